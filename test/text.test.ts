import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { complete, StopMatcher } from "../src/completion.ts";
import type { Engine } from "../src/engine.ts";
import { argmax, createSampler } from "../src/sampler.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { fakeEngine } from "./support/fake.ts";
import { readText } from "./support/files.ts";

const tokenizer = createTokenizer(
	readText("build/assets/stories.tokenizer.json"),
);

function decode(ids: number[]): string {
	const decoder = tokenizer.decoder();
	return ids.map((id) => decoder.push(id)).join("") + decoder.end();
}

describe("tokenizer", () => {
	it("gives any text back", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary" }), (text) => {
				expect(decode(tokenizer.encode(text))).toBe(text);
			}),
		);
	});

	it("makes the ids that train/tokenizer.py makes", () => {
		// From Tokenizer.encode there, for the shipped tokenizer.json.
		const text = "Once upon a time, there was a \"dog\".\nIt's 12 o'clock.";
		expect(tokenizer.encode(text)).toEqual([
			419, 435, 259, 395, 45, 398, 281, 259, 318, 101, 112, 104, 35, 47, 11,
			950, 377, 33, 50, 51, 311, 40, 100, 109, 982, 47,
		]);
	});

	it("never says a special token because a text spells it", () => {
		for (const text of ["<|endoftext|>", "a<|endoftext|>b", "<|endoftext|"]) {
			const ids = tokenizer.encode(text);
			expect(ids).not.toContain(0);
			expect(decode(ids)).toBe(text);
		}
	});

	it("replaces lone surrogates and broken UTF-8 by U+FFFD", () => {
		expect(decode(tokenizer.encode("a\ud800b"))).toBe("a\ufffdb");
		const [first] = tokenizer.encode("é");
		expect(decode([first as number])).toBe("\ufffd");
	});

	it("holds characters back until they are whole", () => {
		const ids = tokenizer.encode("🐈");
		const decoder = tokenizer.decoder();
		const pieces = ids.map((id) => decoder.push(id));
		expect(pieces.slice(0, -1).join("")).toBe("");
		expect(pieces.at(-1)).toBe("🐈");
	});

	it("refuses what is not a byte-level tokenizer", () => {
		expect(() => createTokenizer("{")).toThrow(SyntaxError);
		expect(() => createTokenizer("{}")).toThrow(/model.vocab/);
	});
});

describe("sampler", () => {
	const logits = () => new Float32Array([1, 3, 2, -1, 3]);

	it("takes the first of the likeliest at temperature 0", () => {
		expect(createSampler({ temperature: 0, topP: 1, seed: 1 })(logits())).toBe(
			1,
		);
		expect(argmax(logits())).toBe(1);
	});

	it("is the same for the same seed, and another for another", () => {
		const draw = (seed: number) => {
			const sample = createSampler({ temperature: 1, topP: 1, seed });
			return Array.from({ length: 30 }, () => sample(logits()));
		};
		expect(draw(7)).toEqual(draw(7));
		expect(draw(7)).not.toEqual(draw(8));
	});

	it("draws each token as often as its probability says", () => {
		const sample = createSampler({ temperature: 1, topP: 1, seed: 3 });
		const draws = 20_000;
		const counts = [0, 0, 0, 0, 0];
		for (let i = 0; i < draws; i++) {
			const token = sample(logits());
			counts[token] = (counts[token] as number) + 1;
		}
		const weights = Array.from(logits(), Math.exp);
		const total = weights.reduce((a, b) => a + b);
		weights.forEach((weight, i) => {
			const p = weight / total;
			// Five standard deviations of a binomial share.
			const bound = 5 * Math.sqrt((p * (1 - p)) / draws);
			expect(Math.abs((counts[i] as number) / draws - p)).toBeLessThan(bound);
		});
	});

	it("stays within the nucleus", () => {
		// The two 3s have 0.4 each; the first alone does not reach 0.5, both do.
		const sample = createSampler({ temperature: 1, topP: 0.5, seed: 3 });
		const drawn = new Set(Array.from({ length: 200 }, () => sample(logits())));
		expect(drawn).toEqual(new Set([1, 4]));
		const one = createSampler({ temperature: 1, topP: 0.01, seed: 3 });
		expect(new Set(Array.from({ length: 50 }, () => one(logits())))).toEqual(
			new Set([1]),
		);
	});

	it("finds the nucleus that sorting all tokens finds", () => {
		const weight = fc.float({ noNaN: true, min: -6, max: 6 });
		const vocabulary = fc.array(weight, { minLength: 2, maxLength: 60 });
		const topP = fc.double({ noNaN: true, min: 0.001, max: 0.999 });
		fc.assert(
			fc.property(vocabulary, topP, (values, topP) => {
				const peak = Math.max(...values);
				const weights = values.map((v) => Math.fround(Math.exp(v - peak)));
				const total = weights.reduce((a, b) => a + b);
				const sorted = weights.toSorted((a, b) => b - a);
				let mass = 0;
				let smallest = 1;
				for (const w of sorted) {
					if (mass >= topP * total) break;
					mass += w;
					smallest = w;
				}
				const sample = createSampler({ temperature: 1, topP, seed: 1 });
				for (let i = 0; i < 20; i++) {
					const token = sample(new Float32Array(values));
					expect(weights[token]).toBeGreaterThanOrEqual(smallest * (1 - 1e-6));
				}
			}),
		);
	});

	it("picks a token whatever the temperature", () => {
		for (const temperature of [1e-30, 1e-3, 100])
			for (const topP of [0.5, 1]) {
				const sample = createSampler({ temperature, topP, seed: 1 });
				expect([0, 1, 2, 3, 4]).toContain(sample(logits()));
			}
	});
});

describe("stop strings", () => {
	it("end the text before the first of them, wherever pieces are cut", () => {
		const piece = fc.stringMatching(/^[abc]{0,3}$/);
		const stopStrings = fc.array(fc.stringMatching(/^[abc]{1,4}$/), {
			maxLength: 3,
		});
		fc.assert(
			fc.property(fc.array(piece), stopStrings, (pieces, stops) => {
				const matcher = new StopMatcher(stops);
				let text = "";
				let seen = "";
				for (const part of pieces) {
					if (matcher.stopped) break;
					seen += part;
					text += matcher.push(part);
					expect(seen.startsWith(text)).toBe(true);
				}
				text += matcher.end();
				const found = stops.map((s) => seen.indexOf(s)).filter((i) => i >= 0);
				const end = found.length ? Math.min(...found) : seen.length;
				expect(text).toBe(seen.slice(0, end));
				expect(matcher.stopped).toBe(found.length > 0);
			}),
			{ numRuns: 500 },
		);
	});
});

describe("complete", () => {
	const options = { maxTokens: 50, sample: argmax };

	it("puts the beginning-of-text token before the prompt", async () => {
		let prompt: readonly number[] = [];
		const engine: Engine = fakeEngine([], (ids) => {
			prompt = ids;
		});
		for await (const _ of complete(engine, tokenizer, "Hi", options));
		expect(prompt).toEqual([0, ...tokenizer.encode("Hi")]);
	});

	it("stops the engine at a stop string, and counts what was made", async () => {
		const engine = fakeEngine(tokenizer.encode("one two three four"));
		const pieces = complete(engine, tokenizer, "", {
			...options,
			stop: [" three"],
		});
		let text = "";
		let result = await pieces.next();
		for (; !result.done; result = await pieces.next())
			text += result.value.text;
		expect(text).toBe("one two");
		expect(result.value.finishReason).toBe("stop");
		expect(result.value.completionTokens).toBe(
			tokenizer.encode("one two three").length,
		);
	});

	it("closes the engine's generator when its reader leaves", async () => {
		const engine = fakeEngine([5, 6, 7]);
		for await (const _ of complete(engine, tokenizer, "", options)) break;
		expect(engine.open).toBe(0);
	});
});
