import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import {
	gateMacs,
	headMacs,
	keyValueMacs,
	layerMacs,
	tokenMacs,
	tokensMacs,
} from "../src/cost.ts";
import {
	createEngine,
	type GenerateOptions,
	type GenerationSummary,
} from "../src/engine.ts";
import { argmax } from "../src/sampler.ts";
import { buildOf, KERNELS, loadModel, type Model } from "../src/wasm.ts";
import { packVectors, readGolden, SYSTEMS } from "./support/files.ts";
import { expectGolden, run, runMixed } from "./support/golden.ts";

async function collect(
	model: Model,
	prompt: number[],
	options: Partial<GenerateOptions> = {},
): Promise<{ ids: number[]; spent: number[]; summary: GenerationSummary }> {
	const tokens = createEngine(model).generate(prompt, {
		maxTokens: 8,
		sample: argmax,
		...options,
	});
	const ids: number[] = [];
	const spent: number[] = [];
	for (;;) {
		const { value, done } = await tokens.next();
		if (done) return { ids, spent, summary: value };
		ids.push(value.id);
		spent.push(value.macs);
	}
}

describe.each(KERNELS)("engine, %s kernel", (kernel) => {
	const load = (system: (typeof SYSTEMS)[number], sequences = 1) =>
		loadModel(modules[buildOf(kernel)], packVectors(system), {
			sequences,
			kernel,
		});

	it.each(SYSTEMS)(
		"%s: PyTorch's logits and gates at every exit, and of mixed depths",
		(system) => {
			expectGolden(load(system), readGolden(system));
		},
	);

	it.each(SYSTEMS)("%s: a batch gives the bits of single tokens", (system) => {
		const { ids } = readGolden(system);
		const model = load(system);
		const one = run(model, ids, 1);
		expect(run(model, ids, 7)).toEqual(one);
		expect(run(model, ids, model.maxBatch)).toEqual(one);
	});

	it("sequences do not see each other", () => {
		const { ids } = readGolden("v1");
		const alone = run(load("v1"), ids);
		const model = load("v1", 3);
		run(model, ids.toReversed(), 1, 1);
		expect(run(model, ids, 1, 2)).toEqual(alone);
		run(model, ids.toReversed(), 1, 1);
		expect(run(model, ids, 1, 2)).toEqual(alone);
	});

	it("generates the token that the logits of the exit say", async () => {
		const { ids } = readGolden("v1");
		const model = load("v1");
		const { exits, vocabSize } = model.config;
		const { logits } = run(model, ids);
		for (const [exit, layer] of exits.entries()) {
			const last = ((exit + 1) * ids.length - 1) * vocabSize;
			const expected = argmax(logits.slice(last, last + vocabSize));
			const { ids: got } = await collect(model, ids, {
				maxTokens: 1,
				exit: { exit: "layer", layer },
			});
			expect(got).toEqual(
				expected === model.config.eosTokenId ? [] : [expected],
			);
		}
	});

	it("leaving at the last layer is the full model, exactly", async () => {
		const model = load("v1");
		for (const prompt of [[0], [0, 5, 9], readGolden("v1").ids]) {
			const full = await collect(model, prompt, { exit: { exit: "full" } });
			const last = await collect(model, prompt, {
				exit: { exit: "layer", layer: 4 },
			});
			expect(last).toEqual(full);
		}
	});

	it("a fixed exit is the truncated model: deeper layers are never touched", async () => {
		const untouched = load("v1");
		const deep: number[] = [];
		const spied: Model = {
			...untouched,
			layer: (sequence, l, position, count) => {
				deep.push(l);
				untouched.layer(sequence, l, position, count);
			},
		};
		await collect(spied, [0, 1, 2], { exit: { exit: "layer", layer: 3 } });
		expect(Math.max(...deep)).toBe(2);
	});

	it("counts what it spends", async () => {
		const model = load("v1");
		const prompt = Array.from({ length: 40 }, (_, i) => (i * 11) % 70);
		const { ids, spent, summary } = await collect(model, prompt, {
			exit: { exit: "layer", layer: 3 },
		});
		const macs = (layers: number, heads: number, fed: number) => {
			let sum = headMacs(model.config) * heads;
			for (let p = 0; p < fed; p++) sum += layers * layerMacs(model.config, p);
			return sum;
		};
		// The last head is that of the end of text, or the last token is not fed back.
		const heads = ids.length + (summary.finishReason === "stop" ? 1 : 0);
		const fed = prompt.length + heads - 1;
		expect(summary).toMatchObject({
			promptTokens: 40,
			completionTokens: ids.length,
			exitLayers: ids.length ? { 3: ids.length } : {},
			macs: macs(3, heads, fed),
			macsFull: macs(4, heads, fed),
		});
		expect(spent).toEqual(ids.map((_, i) => macs(3, i + 1, prompt.length + i)));
	});

	it.each(["v1", "full"] as const)(
		"%s: keyValue stores what layer stores",
		(system) => {
			const { ids } = readGolden(system);
			const [token = 0, next = 0] = ids;
			const [one, other] = [load(system), load(system)];
			one.embed(0, token);
			one.layer(0, 0, 0, 1);
			other.embed(0, token);
			other.keyValue(0, 0, 0, 1);
			for (const model of [one, other]) {
				model.embed(0, next);
				model.layer(0, 0, 1, 1);
			}
			expect(other.head(0, 0)).toEqual(one.head(0, 0));
		},
	);

	it.each(SYSTEMS)(
		"%s: with catch-up, each token sees the full model's keys and values",
		(system) => {
			const model = load(system);
			const { exits, vocabSize } = model.config;
			const { ids, depths } = readGolden(system);
			// So long that those who wait fill more than a batch; only the last takes them all along.
			const late = depths.map((_, i) => (i === ids.length - 1 ? 4 : 1));
			const full = run(model, ids).logits;
			for (const leave of [depths, late]) {
				const { logits, macs } = runMixed(model, ids, leave, "catch-up");
				leave.forEach((depth, i) => {
					const row = exits.indexOf(depth) * ids.length + i;
					expect(logits.slice(i * vocabSize, (i + 1) * vocabSize)).toEqual(
						full.slice(row * vocabSize, (row + 1) * vocabSize),
					);
				});
				const deepest = leave.lastIndexOf(4);
				const caughtUp = tokensMacs(model.config, 0, deepest + 1, 4);
				expect(macs).toBeGreaterThan(caughtUp);
			}
		},
	);

	it("a gate that must be certain never opens, one that need not be always does", async () => {
		const model = load("v1");
		const prompt = readGolden("v1").ids.slice(0, 9);
		const options = { maxTokens: 9, sample: () => 5 };
		const full = await collect(model, prompt, options);
		const never = await collect(model, prompt, {
			...options,
			exit: { exit: "gate", threshold: 1 },
		});
		const gates = 8 * 2 * gateMacs(model.config);
		expect(never.summary).toEqual({
			...full.summary,
			macs: full.summary.macs + gates,
		});
		const always = await collect(model, prompt, {
			...options,
			exit: { exit: "gate", threshold: 1e-300 },
		});
		expect(always.summary.exitLayers).toEqual({ 1: 8, 4: 1 });
	});

	it("spends what it says, and never more than the budget", async () => {
		const model = load("v1");
		const { config } = model;
		let counted = 0;
		const counting: Model = {
			...model,
			layer(sequence, l, position, count) {
				for (let i = 0; i < count; i++)
					counted += layerMacs(config, position + i);
				model.layer(sequence, l, position, count);
			},
			keyValue(sequence, l, position, count) {
				counted += count * keyValueMacs(config);
				model.keyValue(sequence, l, position, count);
			},
			gate(exit, slot) {
				counted += gateMacs(config);
				return model.gate(exit, slot);
			},
			head(exit, slot) {
				counted += headMacs(config);
				return model.head(exit, slot);
			},
		};
		const token = fc.nat({ max: config.vocabSize - 1 });
		const full = tokenMacs(config, 0, config.nLayers);
		const exit = fc.oneof(
			fc.constant({ exit: "full" } as const),
			fc
				.constantFrom(...config.exits)
				.map((layer) => ({ exit: "layer", layer }) as const),
			fc
				.double({ min: 0.01, max: 1, noNaN: true })
				.chain((threshold) =>
					fc
						.constantFrom("propagate", "catch-up")
						.map((skipped) => ({ exit: "gate", threshold, skipped }) as const),
				),
			fc
				.double({ min: 0.01, max: 50, noNaN: true })
				.map(
					(tokens) =>
						({ exit: "budget", budgetMacs: Math.ceil(tokens * full) }) as const,
				),
		);
		let refused = 0;
		let exhausted = 0;
		await fc.assert(
			fc.asyncProperty(
				fc.array(token, { minLength: 1, maxLength: 40 }),
				fc.integer({ min: 1, max: 60 }),
				exit,
				async (prompt, maxTokens, exit) => {
					counted = 0;
					const run = collect(counting, prompt, {
						maxTokens,
						exit,
						sample: () => 5,
					});
					const result = await run.catch((error: unknown) => {
						expect(error).toMatchObject({ isBudgetTooSmall: true });
					});
					if (!result) {
						refused++;
						expect(counted).toBe(0);
						return;
					}
					const { ids, summary } = result;
					expect(summary.macs).toBe(counted);
					const wanted = Math.min(maxTokens, config.maxSeqLen - prompt.length);
					expect(ids.length < wanted).toBe(summary.budgetExhausted);
					if (exit.exit === "budget")
						expect(summary.macs).toBeLessThanOrEqual(exit.budgetMacs);
					if (summary.budgetExhausted) exhausted++;
				},
			),
			{ numRuns: 300, seed: 1 },
		);
		expect(Math.min(refused, exhausted)).toBeGreaterThan(5);
	});

	it("a budget that suffices is the full model; less buys shallower tokens", async () => {
		const model = load("v1");
		const options = { maxTokens: 20, sample: () => 5 };
		const full = await collect(model, [0, 1, 2], options);
		const spend = (budgetMacs: number) =>
			collect(model, [0, 1, 2], {
				...options,
				exit: { exit: "budget", budgetMacs },
			});
		// The last token costs most: a share of the mean would not pay for it.
		const rich = await spend(2 * full.summary.macs);
		expect(rich.summary).toEqual(full.summary);
		const half = await spend(full.summary.macs / 2);
		expect(half.ids.length).toBe(20);
		expect(half.summary.macs).toBeGreaterThan(0.7 * (full.summary.macs / 2));
		await expect(spend(1)).rejects.toThrow(
			/prompt of 3 tokens costs \d+ MACs.*budget is 1/,
		);
	});

	it("ends at maxTokens, at the context's end, at the end token and when told", async () => {
		const model = load("v1");
		const never = () => 5;
		const byCount = await collect(model, [0], { maxTokens: 3, sample: never });
		expect(byCount).toMatchObject({
			ids: [5, 5, 5],
			summary: { finishReason: "length" },
		});
		const byContext = await collect(model, [0, 1], {
			maxTokens: 1000,
			sample: never,
		});
		expect(byContext.ids.length).toBe(model.config.maxSeqLen - 2);
		expect(byContext.summary.finishReason).toBe("length");
		const byEnd = await collect(model, [0], { sample: () => 0 });
		expect(byEnd).toMatchObject({
			ids: [],
			summary: { finishReason: "stop", completionTokens: 0 },
		});
		const tokens = createEngine(model).generate([0], {
			maxTokens: 9,
			sample: never,
		});
		await tokens.next();
		const told = await tokens.next(true);
		expect(told).toMatchObject({
			done: true,
			value: { finishReason: "stop", completionTokens: 1 },
		});
	});

	it.each([
		[[], {}, /prompt is empty/, "prompt"],
		[[70], {}, /token id 70.*0 to 69/, "prompt"],
		[[-1], {}, /token id -1/, "prompt"],
		[[0.5], {}, /token id 0.5/, "prompt"],
		[Array(48).fill(1), {}, /48 tokens.*context of 48.*at most 47/, "prompt"],
		[[0], { maxTokens: 0 }, /max_tokens is 0/, "max_tokens"],
		[
			[0],
			{ exit: { exit: "layer", layer: 2 } },
			/no exit at layer 2.*1, 3, 4/,
			"layer",
		],
		[
			[0],
			{ exit: { exit: "gate", threshold: 0 } },
			/threshold is 0/,
			"threshold",
		],
		[
			[0],
			{ exit: { exit: "gate", threshold: Number.NaN } },
			/threshold is NaN/,
			"threshold",
		],
		[
			[0],
			{ exit: { exit: "budget", budgetMacs: -1 } },
			/budget is -1/,
			"budget_macs",
		],
	] as const)("refuses %j %j", async (prompt, options, message, param) => {
		const model = load("v1");
		const refusal = collect(
			model,
			[...prompt],
			options as Partial<GenerateOptions>,
		);
		await expect(refusal).rejects.toThrow(message);
		await expect(refusal).rejects.toMatchObject({ param });
	});

	it("gives sequences back when done, refused, left and aborted", async () => {
		const model = load("v1", 2);
		const engine = createEngine(model);
		const options = { maxTokens: 20, sample: () => 5 };
		for (let i = 0; i < 6; i++) {
			const controller = new AbortController();
			const aborted = engine.generate([0], {
				...options,
				signal: controller.signal,
			});
			await aborted.next();
			controller.abort();
			await expect(aborted.next()).rejects.toThrow(/abort/i);
			const left = engine.generate([0], options);
			await left.next();
			await left.return(undefined as never);
			await expect(engine.generate([], options).next()).rejects.toThrow();
		}
		for await (const _ of engine.generate([0], options));
	});

	it("lets requests wait in line for a sequence, and leave it", async () => {
		const engine = createEngine(load("v1"));
		const options = { maxTokens: 2, sample: () => 5 };
		const first = engine.generate([0], options);
		await first.next();
		const controller = new AbortController();
		const leaver = engine
			.generate([0], { ...options, signal: controller.signal })
			.next();
		const waiter = engine.generate([0], options).next();
		controller.abort();
		await expect(leaver).rejects.toThrow(/abort/i);
		await first.return(undefined as never);
		expect(await waiter).toMatchObject({ value: { id: 5 } });
	});
});
