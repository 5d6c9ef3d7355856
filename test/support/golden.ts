import { expect } from "vitest";
import type { SkippedLayers } from "../../src/exit.ts";
import { Run } from "../../src/run.ts";
import { Sequence } from "../../src/sequences.ts";
import type { Model } from "../../src/wasm.ts";
import type { Golden } from "./files.ts";

/** Runs tokens one by one; returns logits (exits, T, V) and gates (exits - 1, T), flat. */
export function run(model: Model, ids: number[], batch = 1, sequence = 0) {
	const { exits, nLayers, vocabSize } = model.config;
	const logits = new Float32Array(exits.length * ids.length * vocabSize);
	const gates = new Float32Array((exits.length - 1) * ids.length);
	for (let at = 0; at < ids.length; at += batch) {
		const tokens = ids.slice(at, at + batch);
		tokens.forEach((token, slot) => {
			model.embed(slot, token);
		});
		for (let l = 0; l < nLayers; l++) {
			model.layer(sequence, l, at, tokens.length);
			const exit = exits.indexOf(l + 1);
			if (exit < 0) continue;
			for (let slot = 0; slot < tokens.length; slot++) {
				const row = exit * ids.length + at + slot;
				if (exit < exits.length - 1) gates[row] = model.gate(exit, slot);
				logits.set(model.head(exit, slot), row * vocabSize);
			}
		}
	}
	return { logits, gates };
}

/** Logits (T, V) of tokens of which each leaves at a depth of its own, flat. */
export function runMixed(
	model: Model,
	ids: number[],
	depths: number[],
	skipped: SkippedLayers,
) {
	const { exits, vocabSize } = model.config;
	const logits = new Float32Array(ids.length * vocabSize);
	const promptExit = exits.length - 1;
	const limit = () => promptExit;
	const [firstGate, gateLogit] = [promptExit, Infinity];
	const policy = { promptExit, skipped, limit, firstGate, gateLogit };
	const run = new Run(model, new Sequence(0), policy);
	ids.forEach((id, position) => {
		run.token(id, position, exits.indexOf(depths[position] as number));
		logits.set(run.logits(), position * vocabSize);
	});
	return { logits, macs: run.macs };
}

/**
 * Compares all exits' logits and gates with PyTorch's. Sums run in another order, which moves a
 * logit by some 1e-6: the floor of the bound. Now and then that moves an activation over a rounding
 * boundary, by a whole level, and everything after it a little. It happens to PyTorch too: its own
 * float32 logits differ from its float64 ones by what golden.json states. The bound is twice that.
 */
export function expectGolden(model: Model, golden: Golden): void {
	const got = run(model, golden.ids);
	const bound = Math.max(1e-4, 2 * golden.float32AgainstFloat64);
	expect(largestDifference(got.logits, golden.logits)).toBeLessThan(bound);
	expect(largestDifference(got.gates, golden.gates)).toBeLessThan(bound);
	const mixed = runMixed(model, golden.ids, golden.depths, "propagate");
	expect(largestDifference(mixed.logits, golden.mixed)).toBeLessThan(bound);
}

function largestDifference(got: Float32Array, expected: Float32Array): number {
	expect(got.length).toBe(expected.length);
	return got.reduce(
		(worst, value, i) =>
			Math.max(worst, Math.abs(value - (expected[i] as number))),
		0,
	);
}
