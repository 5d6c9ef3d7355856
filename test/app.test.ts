import { beforeEach, describe, expect, it, vi } from "vitest";
import { EngineError } from "../src/engine.ts";
import { ExitError } from "../src/exit.ts";
import { createApp } from "../src/http/app.ts";
import type { Service } from "../src/http/choice.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { type FakeEngine, fakeEngine } from "./support/fake.ts";
import { readText } from "./support/files.ts";

const tokenizer = createTokenizer(
	readText("build/assets/stories.tokenizer.json"),
);
const STORY = "Tom saw a dog. The dog ran.";

let engine: FakeEngine;
beforeEach(() => {
	engine = fakeEngine(tokenizer.encode(STORY));
});
const service = (): Service => ({
	modelId: "test",
	engine,
	tokenizer,
	macsPerMs: 3e6,
});
const app = createApp(async () => service());

function post(body: unknown, path = "/v1/completions") {
	return app.request(path, {
		method: "POST",
		body: typeof body === "string" ? body : JSON.stringify(body),
	});
}

/** The data of each server-sent event. */
async function events(response: Response): Promise<string[]> {
	const text = await response.text();
	return text
		.split("\n\n")
		.filter(Boolean)
		.map((event) => event.replace(/^data: /, ""));
}

describe("POST /v1/completions", () => {
	it("answers as OpenAI does, with what is ours under bitskip", async () => {
		const response = await post({ prompt: "Once", max_tokens: 100 });
		expect(response.status).toBe(200);
		const tokens = tokenizer.encode(STORY).length;
		expect(await response.json()).toEqual({
			id: expect.stringMatching(/^cmpl-/),
			object: "text_completion",
			created: expect.any(Number),
			model: "test",
			system_fingerprint: "fp_test",
			choices: [
				{ index: 0, text: STORY, logprobs: null, finish_reason: "stop" },
			],
			usage: {
				prompt_tokens: tokenizer.encode("Once").length + 1,
				completion_tokens: tokens,
				total_tokens: tokenizer.encode("Once").length + 1 + tokens,
				prompt_tokens_details: { cached_tokens: 0 },
			},
			bitskip: {
				policy: "full",
				exit_layers: { 4: tokens },
				macs: 100,
				macs_full: 200,
				budget_exhausted: false,
			},
		});
	});

	it("streams the same text, then the reason, usage if asked for, and [DONE]", async () => {
		const response = await post({
			max_tokens: 100,
			stream: true,
			stream_options: { include_usage: true },
		});
		expect(response.headers.get("content-type")).toMatch("text/event-stream");
		const data = await events(response);
		expect(data.at(-1)).toBe("[DONE]");
		const chunks = data.slice(0, -1).map((text) => JSON.parse(text));
		const text = chunks.map((chunk) => chunk.choices[0]?.text ?? "").join("");
		expect(text).toBe(STORY);
		expect(chunks[0].bitskip).toEqual({
			exit_layer: 4,
			macs: 100,
			macs_full: 200,
		});
		expect(chunks.at(-2).choices[0].finish_reason).toBe("stop");
		expect(chunks.at(-2).bitskip.policy).toBe("full");
		expect(chunks.at(-1)).toMatchObject({
			choices: [],
			usage: { completion_tokens: tokenizer.encode(STORY).length },
		});
		expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
	});

	it("has OpenAI's defaults: 16 tokens, no stream", async () => {
		const { choices, usage } = await (await post({})).json();
		const tokens = tokenizer.encode(STORY).length;
		expect(usage.completion_tokens).toBe(Math.min(16, tokens));
		expect(choices[0].finish_reason).toBe(tokens > 16 ? "length" : "stop");
	});

	it("cuts at stop strings", async () => {
		for (const stop of [" dog", [" dog"], ["zzz", " dog"]]) {
			const response = await post({ max_tokens: 100, stop });
			const { choices } = await response.json();
			expect(choices[0]).toMatchObject({
				text: "Tom saw a",
				finish_reason: "stop",
			});
		}
	});

	it("ignores what OpenAI knows and we do not, and nulls", async () => {
		const body = { suffix: "x", user: "me", temperature: null, stop: null };
		expect((await post(body)).status).toBe(200);
	});

	it.each([
		["", /not JSON/, null],
		["{", /not JSON/, null],
		["[]", /object/, null],
		["null", /object/, null],
		[{ prompt: 5 }, /prompt/, "prompt"],
		[{ max_tokens: 0 }, /max_tokens/, "max_tokens"],
		[{ max_tokens: 1.5 }, /max_tokens/, "max_tokens"],
		[{ max_tokens: "9" }, /max_tokens/, "max_tokens"],
		[{ temperature: -1 }, /temperature/, "temperature"],
		[{ temperature: 3 }, /temperature/, "temperature"],
		[{ top_p: 0 }, /top_p/, "top_p"],
		[{ seed: "x" }, /seed/, "seed"],
		[{ stop: [""] }, /stop/, "stop.0"],
		[{ stop: ["a", "b", "c", "d", "e"] }, /stop/, "stop"],
		[{ stream: "yes" }, /stream/, "stream"],
		[{ bitskip: { exit: "never" } }, /bitskip.exit/, "bitskip.exit"],
		[{ bitskip: { exit: "layer" } }, /bitskip.layer/, "bitskip.layer"],
		[
			{ bitskip: { exit: "gate", threshold: 2 } },
			/threshold/,
			"bitskip.threshold",
		],
		[
			{ bitskip: { exit: "budget" } },
			/either budget_macs or budget_ms/,
			"bitskip",
		],
		[
			{ bitskip: { exit: "layer", layer: "x" } },
			/bitskip.layer/,
			"bitskip.layer",
		],
	])("refuses %j with 400", async (body, message, param) => {
		const response = await post(body);
		expect(response.status).toBe(400);
		expect(await response.json()).toEqual({
			error: {
				message: expect.stringMatching(message),
				type: "invalid_request_error",
				param,
				code: null,
			},
		});
	});

	it("passes on what the engine refuses, streaming or not", async () => {
		engine.generate = () => {
			throw new EngineError("too long", "prompt");
		};
		for (const stream of [false, true]) {
			const response = await post({ stream });
			expect(response.status).toBe(400);
			expect((await response.json()).error).toMatchObject({
				message: "too long",
				param: "prompt",
			});
		}
	});

	it.each([
		[
			{ exit: "gate", threshold: 0.9 },
			{ exit: "gate", threshold: 0.9, skipped: "propagate" },
		],
		[
			{ exit: "gate", threshold: 0.9, skipped: "catch-up" },
			{ exit: "gate", threshold: 0.9, skipped: "catch-up" },
		],
		[
			{ exit: "budget", budget_macs: 5e6 },
			{ exit: "budget", budgetMacs: 5e6 },
		],
		[
			{ exit: "budget", budget_ms: 2 },
			{ exit: "budget", budgetMacs: 6e6 },
		],
	])("hands the engine %j as %j", async (bitskip, expected) => {
		const { generate } = engine;
		let got: unknown;
		engine.generate = (prompt, options) => {
			got = options.exit;
			return generate(prompt, options);
		};
		const response = await post({ bitskip });
		expect(got).toEqual(expected);
		expect((await response.json()).bitskip).toMatchObject({
			policy: bitskip.exit,
			budget_exhausted: false,
		});
	});

	it.each(["budget_macs", "budget_ms"])(
		"answers 422 when the prompt does not fit the budget, and names %s",
		async (param) => {
			engine.generate = () => {
				throw new ExitError("too little", "budget_macs", true);
			};
			const bitskip = { exit: "budget", [param]: 1 };
			for (const stream of [false, true]) {
				const response = await post({ bitskip, stream });
				expect(response.status).toBe(422);
				expect((await response.json()).error).toMatchObject({
					message: "too little",
					param: `bitskip.${param}`,
					code: "budget_too_small",
				});
			}
		},
	);

	it("states its work in Server-Timing, in its units and without durations", async () => {
		const { headers } = await post({ max_tokens: 2 });
		expect(headers.get("server-timing")).toBe(
			'macs;desc="100 multiply-accumulates", macs-full;desc="200 multiply-accumulates at full depth", ' +
				'prompt;desc="1 tokens", layer-4;desc="2 tokens"',
		);
	});

	it("refuses budget_ms where it is not calibrated", async () => {
		const { macsPerMs: _, ...rest } = service();
		const uncalibrated = createApp(async () => rest);
		const response = await uncalibrated.request("/v1/completions", {
			method: "POST",
			body: JSON.stringify({ bitskip: { exit: "budget", budget_ms: 1 } }),
		});
		expect(response.status).toBe(400);
		expect((await response.json()).error.param).toBe("bitskip.budget_ms");
	});

	it("refuses a model that it does not have", async () => {
		expect((await post({ model: "test" })).status).toBe(200);
		const response = await post({ model: "gpt-4" });
		expect(response.status).toBe(404);
		expect((await response.json()).error.code).toBe("model_not_found");
	});

	it("refuses a body over 64 KiB", async () => {
		const response = await post({ prompt: "x".repeat(70_000) });
		expect(response.status).toBe(413);
		expect((await response.json()).error.message).toMatch(/65536/);
	});

	it("tells the client, not the secret, when something of ours breaks", async () => {
		const log = vi.spyOn(console, "error").mockImplementation(() => {});
		engine = fakeEngine([5], () => {}, new Error("secret"));
		const whole = await post({});
		expect(whole.status).toBe(500);
		expect(await whole.text()).not.toMatch("secret");
		const data = await events(await post({ stream: true }));
		expect(JSON.parse(data.at(-1) as string).error.type).toBe("server_error");
		expect(data.join("")).not.toMatch("secret");
		expect(log).toHaveBeenCalledTimes(2);
		log.mockRestore();
	});

	it("closes the engine's generator when the client leaves", async () => {
		const response = await post({ stream: true, max_tokens: 100 });
		const reader = response.body?.getReader();
		await reader?.read();
		expect(engine.open).toBe(1);
		await reader?.cancel();
		await vi.waitFor(() => expect(engine.open).toBe(0));
	});
});

describe("other routes", () => {
	it("lists the model", async () => {
		const response = await app.request("/v1/models");
		expect(await response.json()).toEqual({
			object: "list",
			data: [{ id: "test", object: "model", created: 0, owned_by: "bitskip" }],
		});
	});

	it("is healthy when the model is loaded, and says so when it is not", async () => {
		expect(await (await app.request("/health")).json()).toEqual({
			status: "ok",
		});
		const log = vi.spyOn(console, "error").mockImplementation(() => {});
		const broken = createApp(() => Promise.reject(new Error("secret")));
		const response = await broken.request("/health");
		expect(response.status).toBe(500);
		expect(await response.text()).not.toMatch("secret");
		log.mockRestore();
	});

	it("answers 404 in OpenAI's shape", async () => {
		const response = await app.request("/v1/nothing");
		expect(response.status).toBe(404);
		expect((await response.json()).error.message).toMatch(/GET \/v1\/nothing/);
	});
});
