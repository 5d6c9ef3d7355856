import type { z } from "@hono/zod-openapi";
import { Validator } from "@seriousme/openapi-schema-validator";
import { hc } from "hono/client";
import { beforeEach, describe, expect, it } from "vitest";
import { type AppType, createApp } from "../../src/http/app.ts";
import {
	ChatCompletion,
	ChatCompletionChunk,
	Completion,
	CompletionChunk,
	ErrorBody,
	ModelList,
	Tokens,
} from "../../src/http/response.ts";
import { createTokenizer } from "../../src/tokenizer.ts";
import { type FakeEngine, fakeEngine } from "../support/fake.ts";
import { readText } from "../support/files.ts";

const tokenizer = createTokenizer(
	readText("build/assets/stories.tokenizer.json"),
);
const STORY = "Tom saw a 🐈. The 🐈 ran.";
let engine: FakeEngine;
beforeEach(() => {
	engine = fakeEngine(tokenizer.encode(STORY));
});
const app = createApp<object>(async () => ({
	modelId: "test",
	engine,
	tokenizer,
}));

const post = (path: string, body: object) =>
	app.request(path, { method: "POST", body: JSON.stringify(body) });

/** Schemas let unknown fields pass and drop them. */
function expectExactly(schema: z.ZodType, value: unknown): void {
	expect(schema.parse(value)).toEqual(value);
}

const messages = [{ role: "user", content: "One" }];
const options = [
	{},
	{ n: 2 },
	{ bitskip: { exit: "budget", budget_macs: 1e9 } },
];
const COMPLETIONS = [
	{ prompt: ["One", "Two"], echo: true },
	{ logprobs: 2 },
].flatMap((body) => options.map((more) => ({ ...body, ...more })));
const CHATS = [
	{ messages },
	{ messages, logprobs: true, top_logprobs: 2 },
].flatMap((body) => options.map((more) => ({ ...body, ...more })));

describe("/openapi.json", () => {
	it("is a valid OpenAPI 3.1 document of every route", async () => {
		const document = await (await app.request("/openapi.json")).json();
		const { valid, errors } = await new Validator().validate(document);
		expect(errors).toBeUndefined();
		expect(valid).toBe(true);
		const described = Object.entries(document.paths).flatMap(
			([path, methods]) =>
				Object.keys(methods as object).map(
					(method) =>
						`${method.toUpperCase()} ${path.replace(/\{(.*)\}/, ":$1")}`,
				),
		);
		const routes = app.routes
			.filter(({ method }) => method !== "ALL")
			.map(({ method, path }) => `${method} ${path}`);
		const undescribed = ["GET /", "GET /openapi.json"];
		expect(described.sort()).toEqual(
			[...new Set(routes)].filter((r) => !undescribed.includes(r)).sort(),
		);
		for (const chunk of ["CompletionChunk", "ChatCompletionChunk"])
			expect(document.components.schemas).toHaveProperty(chunk);
	});

	it.each([
		["/v1/completions", Completion, COMPLETIONS],
		["/v1/chat/completions", ChatCompletion, CHATS],
		[
			"/tokenize",
			Tokens,
			[{ content: "🐈" }, { content: "a", with_pieces: true }],
		],
	])("%s answers what it says", async (path, schema, bodies) => {
		for (const body of bodies) {
			const response = await post(path, body);
			expect(response.status).toBe(200);
			expectExactly(schema, await response.json());
		}
	});

	it.each([
		["/v1/completions", CompletionChunk, COMPLETIONS],
		["/v1/chat/completions", ChatCompletionChunk, CHATS],
	])("%s streams what it says", async (path, schema, bodies) => {
		for (const body of bodies) {
			const stream_options = { include_usage: true };
			const response = await post(path, {
				...body,
				stream: true,
				stream_options,
			});
			const events = (await response.text()).split("\n\n").filter(Boolean);
			expect(events.pop()).toBe("data: [DONE]");
			expect(events.length).toBeGreaterThan(2);
			for (const event of events)
				expectExactly(schema, JSON.parse(event.replace(/^data: /, "")));
		}
	});

	it("lists models and errors as it says", async () => {
		expectExactly(ModelList, await (await app.request("/v1/models")).json());
		for (const response of [
			await post("/v1/completions", { n: 0 }),
			await app.request("/v1/models/none"),
			await app.request("/nowhere"),
		])
			expectExactly(ErrorBody, await response.json());
	});
});

describe("AppType", () => {
	const client = hc<AppType>("http://localhost", {
		fetch: (input: RequestInfo | URL, init?: RequestInit) =>
			app.request(input as string, init),
	});

	it("gives Hono's client the paths, parameters and answers", async () => {
		const response = await client.v1.completions.$post({
			json: { prompt: "One", max_tokens: 100 },
		});
		if (response.status !== 200) throw new Error(`${response.status}`);
		const { choices, bitskip } = await response.json();
		const text: string | undefined = choices[0]?.text;
		const macs: number = bitskip.macs;
		expect([text, macs]).toEqual([STORY, 100]);

		const model = await client.v1.models[":id"].$get({ param: { id: "test" } });
		expect(await model.json()).toMatchObject({ id: "test" });
	});

	it("refuses wrong parameters before they are sent", async () => {
		const response = await client.v1.chat.completions.$post({
			// @ts-expect-error: no such role
			json: { messages: [{ role: "robot", content: "" }] },
		});
		expect(response.status).toBe(400);
	});
});
