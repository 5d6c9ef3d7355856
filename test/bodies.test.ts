import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { createEngine } from "../src/engine.ts";
import { createApp } from "../src/http/app.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { loadModel } from "../src/wasm.ts";
import { readFile, readText } from "./support/files.ts";

const image = readFile("build/assets/stories.bitskip");
const service = {
	modelId: "test",
	engine: createEngine(loadModel(modules.strict, image, { kernel: "strict" })),
	tokenizer: createTokenizer(readText("build/assets/stories.tokenizer.json")),
	macsPerMs: 1e6,
};
const app = createApp(async () => service);
/** Ten thousand requests in all. */
const RUNS = 2000;

/** Any UTF-16, lone surrogates and control characters included, and special tokens' text. */
const text = fc.oneof(
	fc.string({ unit: "binary", maxLength: 12 }),
	fc
		.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 })
		.map((units) => String.fromCharCode(...units)),
	fc.constantFrom("<|endoftext|>", "\u0000", "\ud800", "Once upon a time"),
);
/** Mostly what a parameter should be, sometimes anything. */
const or = <T>(arbitrary: fc.Arbitrary<T>) =>
	fc.oneof({ weight: 30, arbitrary }, { weight: 1, arbitrary: fc.jsonValue() });
const ids = fc.array(fc.integer({ min: -1, max: 1025 }), { maxLength: 6 });
const number = fc.double({ noNaN: true, min: -0.5, max: 2.5 });
const shared = {
	temperature: or(number),
	top_p: or(fc.double({ noNaN: true, min: 0, max: 1 })),
	top_k: or(fc.nat(2000)),
	min_p: or(fc.double({ noNaN: true, min: 0, max: 1 })),
	presence_penalty: or(number),
	frequency_penalty: or(number),
	seed: or(fc.maxSafeInteger()),
	stop: or(fc.oneof(text, fc.array(text, { maxLength: 5 }))),
	n: or(fc.integer({ min: 0, max: 3 })),
	stream: or(fc.boolean()),
	stream_options: or(fc.record({ include_usage: fc.boolean() })),
	bitskip: or(
		fc.record(
			{
				exit: fc.constantFrom("full", "layer", "gate", "budget"),
				layer: fc.constantFrom(6, 12, 24, 7),
				threshold: fc.double({ noNaN: true, min: 0, max: 1 }),
				skipped: fc.constantFrom("propagate", "catch-up"),
				budget_macs: fc.double({ noNaN: true, min: 0, max: 1e8 }),
			},
			{ requiredKeys: ["exit"] },
		),
	),
	unknown: fc.jsonValue(),
};
const maxTokens = or(fc.integer({ min: 0, max: 4 }));
const optional = { requiredKeys: ["max_tokens"] as "max_tokens"[] };
const completion = fc.record(
	{
		...shared,
		max_tokens: maxTokens,
		prompt: or(fc.oneof(text, fc.array(text, { maxLength: 3 }), ids)),
		echo: or(fc.boolean()),
		logprobs: or(fc.integer({ min: -1, max: 21 })),
	},
	optional,
);
const part = fc.record({ type: fc.constantFrom("text", "image_url"), text });
const message = fc.record({
	role: or(fc.constantFrom("system", "user", "assistant")),
	content: or(fc.oneof(text, fc.array(part, { maxLength: 2 }))),
});
const chat = fc.record(
	{
		...shared,
		max_tokens: maxTokens,
		messages: or(fc.array(message, { maxLength: 3 })),
		logprobs: or(fc.boolean()),
		top_logprobs: or(fc.nat(21)),
	},
	optional,
);

describe("any body", () => {
	it.each([
		["/v1/completions", fc.oneof(completion, fc.jsonValue())],
		["/v1/chat/completions", fc.oneof(chat, fc.jsonValue())],
		["/tokenize", fc.record({ content: or(text), with_pieces: fc.boolean() })],
		["/detokenize", fc.record({ tokens: or(ids) })],
	])(
		"%s: is answered, by 200 or by an error that says what is wrong",
		async (path, body) => {
			const statuses = new Set<number>();
			const property = fc.asyncProperty(
				body as fc.Arbitrary<unknown>,
				async (body) => {
					const response = await app.request(path, {
						method: "POST",
						body: JSON.stringify(body),
					});
					const answer = await response.text();
					expect([200, 400, 404, 422]).toContain(response.status);
					statuses.add(response.status);
					if (response.status !== 200)
						expect(JSON.parse(answer).error.message).not.toBe("");
					else if (answer.startsWith("data: "))
						expect(answer).toMatch(/data: \[DONE\]\n\n$/);
					else expect(() => JSON.parse(answer)).not.toThrow();
				},
			);
			await fc.assert(property, { numRuns: RUNS, seed: 7 });
			expect(statuses).toContain(200);
			expect(statuses).toContain(400);
		},
	);

	it.each(["[", '{"a":', '{"prompt":['])(
		"%s 64 KiB deep is a 400",
		async (open) => {
			const body = open.repeat(60_000 / open.length);
			const response = await app.request("/v1/completions", {
				method: "POST",
				body,
			});
			expect(response.status).toBe(400);
			const closed = "[".repeat(30_000) + "]".repeat(30_000);
			const nested = await app.request("/v1/completions", {
				method: "POST",
				body: `{"prompt":${closed}}`,
			});
			expect(nested.status).toBe(400);
		},
	);

	it("of raw bytes is answered", async () => {
		const bytes = fc.uint8Array({ maxLength: 40 });
		await fc.assert(
			fc.asyncProperty(bytes, async (body) => {
				const { status } = await app.request("/v1/completions", {
					method: "POST",
					body: new Uint8Array(body),
				});
				expect(status).toBe(400);
			}),
			{ seed: 7 },
		);
	});
});
