import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { logProbabilities } from "../src/logprobs.ts";
import { createSampler, type SamplerOptions } from "../src/sampler.ts";

/** With ties: few values. */
const logit = fc.oneof(
	fc.float({ noNaN: true, min: -8, max: 8 }),
	fc.constantFrom(-1, 0, 1, 2),
);
const vocabulary = fc.array(logit, { minLength: 1, maxLength: 80 });
const options = fc.record({
	temperature: fc.double({ noNaN: true, min: 0.05, max: 2 }),
	topK: fc.nat(90),
	topP: fc.double({ noNaN: true, min: 0.001, max: 1 }),
	minP: fc.oneof(fc.constant(0), fc.double({ noNaN: true, min: 0, max: 1 })),
	presencePenalty: fc.constantFrom(0, 1.5, -1),
	frequencyPenalty: fc.constantFrom(0, 0.5, -0.25),
	seed: fc.integer(),
});

/** What may be picked, each stage written plainly; the nucleus is cut `slack` earlier or later. */
function allowed(
	logits: number[],
	picked: number[],
	o: Required<SamplerOptions>,
	slack: number,
): number[] {
	const penalized = logits.map((logit, id) => {
		const count = picked.filter((p) => p === id).length;
		const presence = count > 0 ? o.presencePenalty : 0;
		return Math.fround(logit - presence - count * o.frequencyPenalty);
	});
	const peak = Math.max(...penalized);
	const weights = penalized.map((l) =>
		Math.fround(Math.exp((l - peak) / o.temperature)),
	);
	const weight = (id: number) => weights[id] as number;
	const sorted = [...weights.keys()].sort((a, b) => weight(b) - weight(a));
	const top = sorted.slice(0, o.topK || sorted.length);
	const total = top.reduce((sum, id) => sum + weight(id), 0);
	let mass = 0;
	return top.filter((id, rank) => {
		const keep = rank === 0 || mass < (o.topP + slack) * total;
		mass += weight(id);
		return keep && weight(id) >= o.minP;
	});
}

describe("sampler", () => {
	it("picks what the plainly written stages allow, and all of it", () => {
		fc.assert(
			fc.property(vocabulary, options, (logits, o) => {
				const sample = createSampler(o);
				const picked: number[] = [];
				for (let i = 0; i < 20; i++) {
					const token = sample(new Float32Array(logits));
					// Sums in another order differ by less than 1e-9.
					expect(allowed(logits, picked, o, 1e-9)).toContain(token);
					picked.push(token);
				}
			}),
			{ numRuns: 500 },
		);
	});

	it("reaches every token that is allowed", () => {
		const logits = [1, 1.2, 0.8, 0.5, -3, 1.1];
		const o = { temperature: 1, topK: 5, topP: 0.9, minP: 0.3, seed: 4 };
		const none = { presencePenalty: 0, frequencyPenalty: 0 };
		const sample = createSampler(o);
		const drawn = new Set(
			Array.from({ length: 500 }, () => sample(new Float32Array(logits))),
		);
		const expected = allowed(logits, [], { ...o, ...none }, 0);
		expect([...drawn].sort()).toEqual(expected.sort());
	});

	it("draws top-k tokens as often as their probabilities say", () => {
		const logits = [0, 1, 2, 3];
		const sample = createSampler({
			temperature: 1,
			topK: 2,
			topP: 1,
			seed: 11,
		});
		const draws = 20_000;
		let top = 0;
		for (let i = 0; i < draws; i++)
			if (sample(new Float32Array(logits)) === 3) top++;
		const p = Math.E / (1 + Math.E);
		// Five standard deviations of a binomial share.
		const bound = 5 * Math.sqrt((p * (1 - p)) / draws);
		expect(Math.abs(top / draws - p)).toBeLessThan(bound);
	});

	it("moves on from a token that penalties weigh down, at temperature 0 too", () => {
		const sample = createSampler({
			temperature: 0,
			topP: 1,
			frequencyPenalty: 1,
			seed: 0,
		});
		const draw = () => sample(new Float32Array([2.5, 1, 0]));
		expect([draw(), draw(), draw(), draw()]).toEqual([0, 0, 1, 0]);
	});
});

describe("log-probabilities", () => {
	it("are those of a softmax, likeliest first", () => {
		fc.assert(
			fc.property(vocabulary, fc.nat(20), (values, top) => {
				const logits = new Float32Array(values);
				const sum = values.reduce((sum, l) => sum + Math.exp(l), 0);
				const result = logProbabilities(logits, 0, top);
				expect(result.chosen).toBeCloseTo(
					(values[0] as number) - Math.log(sum),
					9,
				);
				const sorted = [...values.keys()].sort(
					(a, b) => (values[b] as number) - (values[a] as number),
				);
				expect(result.top.map(({ token }) => token)).toEqual(
					sorted.slice(0, top),
				);
			}),
		);
	});
});
