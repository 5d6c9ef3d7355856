import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { createEngine, type GenerateOptions } from "../src/engine.ts";
import type { ExitOptions } from "../src/exit.ts";
import { createSampler } from "../src/sampler.ts";
import { Sequence, SequencePool } from "../src/sequences.ts";
import { loadModel, type Model } from "../src/wasm.ts";
import { packVectors } from "./support/files.ts";

const load = (sequences: number) =>
	loadModel(modules.strict, packVectors("v1"), { sequences });

type Generate = Pick<ReturnType<typeof createEngine>, "generate">;

async function collect(
	engine: Generate,
	prompt: number[],
	options: Partial<GenerateOptions> & { leaveAfter?: number },
) {
	const {
		leaveAfter = Infinity,
		seed = 1,
		...rest
	} = {
		seed: prompt.length,
		...options,
	};
	const tokens = engine.generate(prompt, {
		maxTokens: 8,
		sample: createSampler({ temperature: 1, topP: 1, seed }),
		...rest,
	});
	const ids: number[] = [];
	for (;;) {
		const { value, done } = await tokens.next();
		if (done) return { ids, summary: value };
		ids.push(value.id);
		if (ids.length < leaveAfter) continue;
		await tokens.return(undefined as never);
		return { ids };
	}
}

/** Token numbers, few enough that prompts begin alike, and turns that go on from what came before. */
const token = fc.integer({ min: 1, max: 3 });
const exit: fc.Arbitrary<ExitOptions> = fc.oneof(
	fc.constant({ exit: "full" } as const),
	fc.constantFrom(1, 3, 4).map((layer) => ({ exit: "layer", layer }) as const),
	fc
		.record({
			threshold: fc.double({ min: 0.05, max: 0.95, noNaN: true }),
			skipped: fc.constantFrom("propagate" as const, "catch-up" as const),
		})
		.map((gate) => ({ exit: "gate", ...gate }) as const),
	fc
		.integer({ min: 50_000, max: 2_000_000 })
		.map((budgetMacs) => ({ exit: "budget", budgetMacs }) as const),
);
const request = fc.record({
	/** Goes on from the text of the request so many back, if there is one. */
	after: fc.option(fc.nat({ max: 3 })),
	prompt: fc.array(token, { minLength: 1, maxLength: 12 }),
	maxTokens: fc.integer({ min: 1, max: 12 }),
	leaveAfter: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
	exit,
});

describe("reuse of keys and values", () => {
	it("the same tokens come out, whatever was there before, and the MACs add up", async () => {
		const fresh = load(1);
		const used = load(2);
		let reused = 0;
		let exhausted = 0;
		await fc.assert(
			fc.asyncProperty(
				fc.array(request, { minLength: 2, maxLength: 8 }),
				async (requests) => {
					const engine = createEngine(used);
					const texts: number[][] = [];
					for (const { after, prompt, leaveAfter, ...options } of requests) {
						const before = after === null ? undefined : texts.at(-1 - after);
						const ids = [...(before ?? [0]), ...prompt].slice(0, 40);
						const run = { ...options, ...(leaveAfter && { leaveAfter }) };
						const outcome = (engine: Generate) =>
							collect(engine, ids, run).catch((error: Error) => ({
								ids: [],
								refused: error.message,
								summary: undefined,
							}));
						const expected = await outcome(createEngine(fresh));
						const got = await outcome(engine);
						expect(got.ids).toEqual(expected.ids);
						texts.push([...ids, ...got.ids]);
						if (!got.summary || !expected.summary) {
							expect(got).toEqual(expected);
							continue;
						}
						const { cachedTokens, macs } = got.summary;
						expect({
							...got.summary,
							cachedTokens: 0,
							macs: expected.summary.macs,
						}).toEqual(expected.summary);
						expect(macs < expected.summary.macs).toBe(cachedTokens > 0);
						expect(macs).toBeLessThanOrEqual(expected.summary.macs);
						reused += cachedTokens;
						if (got.summary.budgetExhausted && cachedTokens > 0) exhausted++;
					}
				},
			),
			{ numRuns: 300, seed: 1 },
		);
		expect(reused).toBeGreaterThan(1000);
		expect(exhausted).toBeGreaterThan(5);
	});

	it("a second turn runs its new tokens only", async () => {
		const model = load(2);
		let rows = 0;
		const counting: Model = {
			...model,
			layer(sequence, l, position, count) {
				if (l === 0) rows += count;
				model.layer(sequence, l, position, count);
			},
		};
		const engine = createEngine(counting);
		const first = Array.from({ length: 20 }, (_, i) => (i * 7) % 60);
		const sample = () => 5;
		const { ids } = await collect(engine, first, { sample });
		const second = [...first, ...ids, 9, 8, 7];
		rows = 0;
		const { summary } = await collect(engine, second, { sample, maxTokens: 1 });
		// The first turn's last token was never fed back.
		expect(summary).toMatchObject({
			promptTokens: 31,
			cachedTokens: 27,
		});
		expect(rows).toBe(4);
	});

	it("the same prompt again runs its last token, for the state behind it", async () => {
		const engine = createEngine(load(1));
		const prompt = [0, 1, 2, 3, 4, 5];
		const options = { sample: () => 5, maxTokens: 1 };
		const { summary: first } = await collect(engine, prompt, options);
		const { summary: again } = await collect(engine, prompt, options);
		expect(first?.cachedTokens).toBe(0);
		expect(again?.cachedTokens).toBe(5);
		expect(again?.macsFull).toBe(first?.macsFull);
	});

	it("nobody reuses what another scope has written", async () => {
		const engine = createEngine(load(1));
		const cached = async (scope: string) => {
			const { summary } = await collect(engine, [0, 1, 2, 3], {
				scope,
				sample: () => 5,
			});
			return summary?.cachedTokens;
		};
		expect(await cached("a")).toBe(0);
		expect(await cached("b")).toBe(0);
		expect(await cached("b")).toBe(3);
		expect(await cached("a")).toBe(0);
	});

	it("tells once what was spent, also by those who leave or are cut off", async () => {
		const engine = createEngine(load(1));
		const spent: object[] = [];
		const onEnd = (end: object) => spent.push({ ...end });
		const controller = new AbortController();
		const options = { maxTokens: 9, sample: () => 5, onEnd };
		const tokens = engine.generate([0, 1], {
			...options,
			signal: controller.signal,
		});
		await tokens.next();
		await tokens.next();
		controller.abort();
		await expect(tokens.next()).rejects.toThrow(/abort/i);
		const { summary } = await collect(engine, [0, 7], options);
		expect(spent).toEqual([
			expect.objectContaining({ completionTokens: 2, exitLayers: { 4: 2 } }),
			expect.objectContaining({ completionTokens: 9, macs: summary?.macs }),
		]);
		await expect(collect(engine, [], options)).rejects.toThrow();
		expect(spent.length).toBe(2);
	});
});

describe("SequencePool", () => {
	/** A pool of which the sequences hold these texts, the least recently used first. */
	async function poolOf(...texts: number[][]) {
		const pool = new SequencePool(texts.length);
		const taken: Sequence[] = [];
		for (const text of texts) {
			const { sequence } = await pool.take([0, 0], 4);
			sequence.write(text, 0);
			sequence.ran(0, text.length, 4);
			taken.push(sequence);
		}
		for (const sequence of taken) pool.giveBack(sequence);
		return pool;
	}

	it.each([
		["the longest common prefix", [[1], [1, 2, 3], [1, 2]], [1, 2, 3, 4], 1, 3],
		["the least recently used of equals", [[2], [1], [1]], [1, 2], 1, 1],
		["the least recently used where none fits", [[2], [3]], [1, 2], 0, 0],
		[
			"an idle one rather than a long text of which a word fits",
			[[], [1, 2, 3, 4]],
			[1, 9, 9],
			0,
			0,
		],
		["never the last token", [[1, 2, 3]], [1, 2, 3], 0, 2],
	])("takes %s", async (_, texts, prompt, number, reused) => {
		const pool = await poolOf(...texts);
		const taken = await pool.take(prompt, 4);
		expect([taken.sequence.number, taken.reused]).toEqual([number, reused]);
	});

	it("a token that skipped a layer ends the prefix of who needs it", () => {
		const sequence = new Sequence(0);
		sequence.write([1, 2, 3], 0);
		sequence.ran(0, 3, 4);
		sequence.ran(1, 1, 2);
		expect(sequence.prefix([1, 2, 3], 2)).toBe(3);
		expect(sequence.prefix([1, 2, 3], 3)).toBe(1);
		sequence.write([9], 1);
		expect(sequence.length).toBe(2);
		expect(sequence.prefix([1, 9], 1)).toBe(1);
	});
});
