import fc from "fast-check";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { modules } from "#modules";
import { createEngine, type Engine } from "../src/engine.ts";
import type { ExitOptions } from "../src/exit.ts";
import { createApp } from "../src/http/app.ts";
import type { Service } from "../src/http/choice.ts";
import { Account } from "../src/operations/account.ts";
import { meter, mostMacs } from "../src/operations/meter.ts";
import { type Metered, operate } from "../src/operations/operate.ts";
import {
	type OperationsBindings,
	readSettings,
} from "../src/operations/settings.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { loadModel } from "../src/wasm.ts";
import { fakeEngine } from "./support/fake.ts";
import { packVectors, readText } from "./support/files.ts";

const KEY = "sk-test-0123456789abcdef";
const OTHER_KEY = "sk-test-fedcba9876543210";
const tokenizer = createTokenizer(
	readText("build/assets/stories.tokenizer.json"),
);
const ids = tokenizer.encode("Tom saw a dog. The dog ran.");

let lines: Record<string, unknown>[];
let errors: unknown[];
beforeEach(() => {
	lines = [];
	errors = [];
	vi.spyOn(console, "log").mockImplementation((line) => {
		lines.push(JSON.parse(line));
	});
	vi.spyOn(console, "error").mockImplementation((error) => {
		errors.push(error);
	});
});

/** The endpoint with its operations in front, on an engine that says the same always. */
function serve(engine: Engine = fakeEngine(ids)) {
	const service: Service = { modelId: "test", engine, tokenizer };
	const app = operate(
		createApp<OperationsBindings & Metered>(async (env) => ({
			...service,
			engine: env.METER(service.engine),
		})),
	);
	return (
		path: string,
		{
			body,
			key,
			env = { ENVIRONMENT: "development" },
			...init
		}: Omit<RequestInit, "body"> & {
			body?: object;
			key?: string;
			env?: OperationsBindings;
		} = {},
	) =>
		app.request(
			path,
			{
				...init,
				...(body && { method: "POST", body: JSON.stringify(body) }),
				headers: {
					...(key && { Authorization: `Bearer ${key}` }),
					...(init.headers as Record<string, string>),
				},
			},
			env,
		);
}
const completions = "/v1/completions";
const lastLine = () => vi.waitFor(() => lines.at(-1) ?? expect.fail("no line"));

describe("keys", () => {
	const env = { API_KEYS: `${KEY}, ${OTHER_KEY}` };

	it("serves who has one, by any of them, and names no key anywhere", async () => {
		const ask = serve();
		for (const key of [KEY, OTHER_KEY])
			expect((await ask(completions, { key, env, body: {} })).status).toBe(200);
		await vi.waitFor(() => expect(lines.length).toBe(2));
		const clients = lines.map(({ client }) => client);
		expect(clients[0]).toMatch(/^key-[0-9a-f]{8}$/);
		expect(new Set(clients).size).toBe(2);
		const metrics = await (await ask("/metrics", { key: KEY, env })).text();
		expect(JSON.stringify(lines) + metrics).not.toContain(KEY.slice(0, 6));
	});

	it.each([
		[{}, /Authorization: Bearer/, null],
		[{ Authorization: "Basic abc" }, /Authorization: Bearer/, null],
		[{ Authorization: "Bearer" }, /Authorization: Bearer/, null],
		[{ Authorization: `Bearer ${KEY}x` }, /not valid/, "invalid_api_key"],
		[
			{ Authorization: `Bearer ${KEY.slice(0, -1)}` },
			/not valid/,
			"invalid_api_key",
		],
		[{ Authorization: `Bearer ${KEY}, ${OTHER_KEY}` }, /Bearer/, null],
	])(
		"refuses %j with 401, in OpenAI's shape",
		async (headers, message, code) => {
			const ask = serve();
			for (const path of [completions, "/v1/models", "/metrics"]) {
				const response = await ask(path, { headers, env });
				expect(response.status).toBe(401);
				expect(response.headers.get("WWW-Authenticate")).toBe("Bearer");
				expect(await response.json()).toEqual({
					error: {
						message: expect.stringMatching(message),
						type: "invalid_request_error",
						param: null,
						code,
					},
				});
			}
		},
	);

	it("no header, however odd, opens or breaks it", async () => {
		const ask = serve();
		const odd = fc.oneof(
			fc.string({ unit: "grapheme-ascii" }),
			fc.string({ unit: fc.constantFrom("B", "earer ", " ", ",", KEY, "\t") }),
			fc.constant(KEY).map((key) => `bearer  ${key}`),
		);
		let opened = 0;
		await fc.assert(
			fc.asyncProperty(odd, async (Authorization) => {
				const headers = { Authorization };
				const { status } = await ask("/v1/models", { headers, env });
				const isRight = /^bearer +\S+$/i.test(Authorization.trim());
				const expected = isRight && Authorization.trim().endsWith(` ${KEY}`);
				if (expected) opened++;
				expect(status).toBe(expected ? 200 : 401);
			}),
			{ numRuns: 500, seed: 1 },
		);
		expect(opened).toBeGreaterThan(50);
	});

	it("no headers at all lead to a 5xx, a secret or a stack trace", async () => {
		const ask = serve();
		const name = fc.constantFrom(
			...["Accept", "Accept-Encoding", "Cookie", "If-None-Match", "Origin"],
			...["Content-Type", "Content-Length", "Transfer-Encoding", "Expect"],
			...["X-Request-Id", "X-Forwarded-For", "CF-Connecting-IP", "Range"],
			...["Access-Control-Request-Method", "X-HTTP-Method-Override", "Host"],
		);
		const value = fc.oneof(
			fc.string({ unit: "grapheme-ascii" }),
			fc.constantFrom("*", "0", "-1", "1e99", "chunked", "application/json"),
		);
		const request = fc.record({
			headers: fc.dictionary(name, value, { maxKeys: 5 }),
			path: fc.constantFrom(completions, "/v1/models", "/tokenize", "/metrics"),
			method: fc.constantFrom("GET", "POST", "OPTIONS", "PUT", "HEAD"),
			hasKey: fc.boolean(),
		});
		const statuses = new Set<number>();
		const property = async ({
			headers,
			path,
			method,
			hasKey,
		}: typeof request extends fc.Arbitrary<infer T> ? T : never) => {
			const isPost = method === "POST";
			const response = await ask(path, {
				method,
				headers,
				env,
				...(hasKey && { key: KEY }),
				...(isPost && { body: { max_tokens: 1, content: "a" } }),
			});
			const answer = await response.text();
			expect([200, 204, 304, 400, 401, 404, 405, 413]).toContain(
				response.status,
			);
			statuses.add(response.status);
			const all = answer + JSON.stringify([...response.headers]);
			expect(all).not.toContain(KEY);
			expect(all).not.toMatch(/\n\s+at |node_modules|\.ts:\d/);
			for (const error of errors) expect(String(error)).not.toContain(KEY);
		};
		await fc.assert(fc.asyncProperty(request, property), {
			numRuns: 2000,
			seed: 1,
		});
		for (const status of [200, 204, 401, 404])
			expect(statuses).toContain(status);
	});

	it("a route that nobody thought of guarding computes nothing without a key", () => {
		const account = new Account("POST", "/new");
		const caps = readSettings(env);
		const metered = meter(fakeEngine(ids), account, caps);
		const options = { maxTokens: 1, sample: () => 5 };
		expect(() => metered.generate([0], options)).toThrow(/API key/);
		account.client = "key-1";
		expect(() => metered.generate([0], options)).not.toThrow();
	});

	it("pages elsewhere may ask, and read why they were refused", async () => {
		const ask = serve();
		const headers = { Origin: "https://page.test" };
		const preflight = await ask(completions, {
			method: "OPTIONS",
			env,
			headers: {
				...headers,
				"Access-Control-Request-Method": "POST",
				"Access-Control-Request-Headers": "authorization,content-type",
			},
		});
		expect(preflight.status).toBe(204);
		expect(preflight.headers.get("Access-Control-Allow-Headers")).toMatch(
			/authorization/,
		);
		for (const key of [KEY, "wrong"]) {
			const response = await ask("/v1/models", { env, headers, key });
			expect(response.status).toBe(key === KEY ? 200 : 401);
			expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
			expect(
				response.headers.get("Access-Control-Allow-Credentials"),
			).toBeNull();
		}
	});

	it("leaves open what computes nothing", async () => {
		const ask = serve();
		for (const path of ["/", "/health"])
			expect((await ask(path, { env })).status).toBe(200);
	});
});

describe("settings", () => {
	it.each([
		[{}],
		[{ ENVIRONMENT: "production" }],
		[{ ENVIRONMENT: "staging", API_KEYS: " , " }],
		[{ ALLOW_OPEN: "false" }],
	])(
		"a deployment set up as %j serves nobody, and tells its log why",
		async (env) => {
			const ask = serve();
			for (const path of ["/", "/health", "/v1/models", "/metrics"]) {
				const response = await ask(path, { env });
				expect(response.status).toBe(503);
				expect(await response.json()).toMatchObject({
					error: { type: "server_error", code: "not_configured" },
				});
			}
			expect(errors[0]).toMatch(/API_KEYS: not set.*ALLOW_OPEN/);
		},
	);

	it.each([
		[{ ALLOW_OPEN: "true" }],
		[{ ALLOW_OPEN: true }],
		[{ API_KEYS: KEY }],
		[{ ENVIRONMENT: "development" }],
	])("serves when %j says so", async (env) => {
		const response = await serve()("/health", { env });
		expect(response.status).toBe(200);
	});

	it.each([
		[{ ALLOW_OPEN: "maybe" }, /ALLOW_OPEN: must be true or false/],
		[{ ENVIRONMENT: "prod" }, /ENVIRONMENT: .*"development".*"production"/],
		[{ API_KEYS: "short" }, /API_KEYS: every key .* 16 characters/],
		[{ MAX_MACS: "lots" }, /MAX_MACS: must be a number/],
		[{ MAX_TOKENS: 0 }, /MAX_TOKENS: must be above 0/],
		[{ MAX_CONCURRENCY: "1.5" }, /MAX_CONCURRENCY: must be a whole number/],
	])("%j is refused by name", (env, message) => {
		expect(() => readSettings({ API_KEYS: KEY, ...env })).toThrow(message);
	});

	it("an error of the settings holds no key", () => {
		const read = () => readSettings({ API_KEYS: "tooshort", MAX_MACS: "x" });
		expect(read).toThrow(/API_KEYS.*MAX_MACS/);
		expect(read).not.toThrow(/tooshort/);
	});
});

describe("limits", () => {
	const development = { ENVIRONMENT: "development" };

	it("a rate limit counts by key, or by address where all are welcome", async () => {
		const asked: string[] = [];
		const RATE_LIMITER = {
			async limit({ key }: { key: string }) {
				asked.push(key);
				return { success: asked.length <= 2 };
			},
		};
		const ask = serve();
		const env = { API_KEYS: KEY, RATE_LIMITER };
		expect((await ask(completions, { env, key: KEY, body: {} })).status).toBe(
			200,
		);
		const open = { ...development, RATE_LIMITER };
		const headers = { "CF-Connecting-IP": "192.0.2.1" };
		await ask("/v1/models", { env: open, headers });
		expect(asked).toEqual([expect.stringMatching(/^key-/), "192.0.2.1"]);
		const refused = await ask(completions, { env: open, body: {} });
		expect(refused.status).toBe(429);
		expect(refused.headers.get("Retry-After")).toBe("60");
		expect(await refused.json()).toMatchObject({
			error: { type: "requests", code: "rate_limit_exceeded", param: null },
		});
		expect((await ask("/health", { env: open })).status).toBe(200);
	});

	it("an isolate computes so many requests at a time, and gives their places back", async () => {
		const engine = fakeEngine(ids);
		const ask = serve(engine);
		const env = { ...development, MAX_CONCURRENCY: 2 };
		const stream = () => ask(completions, { env, body: { stream: true } });
		for (let round = 0; round < 3; round++) {
			const [one, two] = [await stream(), await stream()];
			const refused = await stream();
			expect(refused.status).toBe(429);
			expect(refused.headers.get("Retry-After")).toBe("1");
			expect(await refused.json()).toMatchObject({
				error: { code: "rate_limit_exceeded" },
			});
			expect((await ask("/v1/models", { env })).status).toBe(200);
			await one?.text();
			await two?.body?.cancel();
			await vi.waitFor(async () =>
				expect(await (await ask("/metrics", { env })).text()).toContain(
					"bitskip_requests_in_flight 0",
				),
			);
			expect(engine.open).toBe(0);
		}
		const bad = () => ask(completions, { env, body: { max_tokens: 0 } });
		for (let i = 0; i < 3; i++) expect((await bad()).status).toBe(400);
	});

	it.each([
		[
			{ MAX_PROMPT_TOKENS: 3 },
			{ prompt: "Tom saw a dog." },
			/prompt has \d+ tokens.*at most 3/,
			"prompt",
			"context_length_exceeded",
		],
		[
			{ MAX_TOKENS: 5 },
			{ max_tokens: 6 },
			/max_tokens is 6.*at most 5/,
			"max_tokens",
			"max_tokens_exceeded",
		],
		[
			{ MAX_MACS: 1000 },
			{ max_tokens: 6 },
			/may cost \d+ MACs.*allows 1000.*budget/,
			"max_tokens",
			"macs_exceeded",
		],
	])("%j refuses %j", async (caps, body, message, param, code) => {
		const env = { ...development, ...caps };
		for (const stream of [false, true]) {
			const response = await serve()(completions, {
				env,
				body: { ...body, stream },
			});
			expect(response.status).toBe(400);
			expect((await response.json()).error).toMatchObject({ param, code });
			expect((await serve()(completions, { env, body })).status).toBe(400);
		}
		const refused = serve()(completions, { env, body });
		expect((await (await refused).json()).error.message).toMatch(message);
		const budget = { exit: "budget", budget_macs: 900 };
		const within = { prompt: "", max_tokens: 5, bitskip: budget };
		expect((await serve()(completions, { env, body: within })).status).toBe(
			200,
		);
	});

	it("no generation costs more than was thought possible", async () => {
		const model = loadModel(modules.strict, packVectors("v1"), {
			sequences: 1,
		});
		const engine = createEngine(model);
		const exit: fc.Arbitrary<ExitOptions> = fc.oneof(
			fc.constant({ exit: "full" } as const),
			fc
				.constantFrom(1, 3, 4)
				.map((layer) => ({ exit: "layer", layer }) as const),
			fc
				.record({
					threshold: fc.double({ min: 0.01, max: 1, noNaN: true }),
					skipped: fc.constantFrom("propagate" as const, "catch-up" as const),
				})
				.map((gate) => ({ exit: "gate", ...gate }) as const),
		);
		await fc.assert(
			fc.asyncProperty(
				fc.array(fc.integer({ min: 1, max: 69 }), {
					minLength: 1,
					maxLength: 40,
				}),
				fc.integer({ min: 1, max: 60 }),
				exit,
				async (prompt, maxTokens, exit) => {
					const bound = mostMacs(exit, model.config, prompt.length, maxTokens);
					const tokens = engine.generate(prompt, {
						maxTokens,
						exit,
						sample: () => 5,
						scope: crypto.randomUUID(),
					});
					for (;;) {
						const { value, done } = await tokens.next();
						if (!done) continue;
						expect(value.macs).toBeLessThanOrEqual(bound);
						if (exit.exit !== "gate") expect(value.macs).toBe(bound);
						return;
					}
				},
			),
			{ numRuns: 100, seed: 1 },
		);
	});

	it("all generations of a request are under one cap", () => {
		const engine = fakeEngine(ids);
		const once = mostMacs({ exit: "full" }, engine.config, 1, 5);
		const caps = {
			API_KEYS: [],
			MAX_PROMPT_TOKENS: 9,
			MAX_TOKENS: 9,
			MAX_MACS: 1.5 * once,
		};
		const metered = meter(engine, new Account("POST", completions), caps);
		const options = { maxTokens: 5, sample: () => 5 };
		metered.generate([0], options);
		expect(() => metered.generate([0], options)).toThrow(/MACs/);
	});
});

describe("logs, metrics and data points", () => {
	const SECRET_TEXT = "Zanzibar";

	it("say what was spent, and nothing of the text", async () => {
		const points: object[] = [];
		const env = {
			API_KEYS: KEY,
			ANALYTICS: { writeDataPoint: (point: object) => points.push(point) },
		};
		const ask = serve();
		const response = await ask(`${completions}?user=${SECRET_TEXT}`, {
			env,
			key: KEY,
			body: { prompt: SECRET_TEXT, stop: SECRET_TEXT, max_tokens: 3 },
		});
		const { usage } = await response.json();
		const line = await lastLine();
		expect(line).toEqual({
			message: "request",
			request_id: response.headers.get("X-Request-Id"),
			method: "POST",
			route: completions,
			status: 200,
			client: expect.stringMatching(/^key-/),
			policy: "full",
			cache: "none",
			prompt_tokens: usage.prompt_tokens,
			cached_tokens: 0,
			completion_tokens: 3,
			exit_layers: { 4: 3 },
			macs: 100,
			macs_full: 200,
		});
		expect(points).toEqual([
			{
				indexes: [line.client],
				blobs: [completions, "200", "full", "none", '{"4":3}'],
				doubles: [usage.prompt_tokens, 0, 3, 100, 200],
			},
		]);
		await ask(`/v1/${SECRET_TEXT}`, { env });
		await ask(`/${SECRET_TEXT}`, { env });
		await vi.waitFor(() => expect(lines.length).toBe(3));
		expect(lines.map(({ route, status }) => [route, status])).toEqual([
			[completions, 200],
			["other", 401],
			["other", 404],
		]);
		const metrics = await (await ask("/metrics", { env, key: KEY })).text();
		expect(JSON.stringify([lines, points]) + metrics).not.toContain(
			SECRET_TEXT,
		);
	});

	it("a stream is written down when it has ended, and so is one whose client left", async () => {
		const ask = serve();
		const done = await ask(completions, { body: { stream: true } });
		expect(lines).toEqual([]);
		await done.text();
		expect(await lastLine()).toMatchObject({
			status: 200,
			completion_tokens: ids.length,
		});
		const controller = new AbortController();
		const left = await ask(completions, {
			body: { stream: true },
			signal: controller.signal,
		});
		controller.abort();
		await left.body?.cancel();
		await vi.waitFor(() => expect(lines.length).toBe(2));
		expect(lines[1]).toMatchObject({ status: 499, macs: 100 });
		expect(lines[1]?.completion_tokens).toBeLessThan(ids.length);
	});

	it("/metrics is Prometheus' text format, and adds up", async () => {
		const ask = serve();
		for (const max_tokens of [2, 3])
			await (await ask(completions, { body: { max_tokens } })).json();
		await ask(completions, { body: { max_tokens: 0 } });
		await vi.waitFor(() => expect(lines.length).toBe(3));
		const response = await ask("/metrics");
		expect(response.headers.get("Content-Type")).toMatch(
			/^text\/plain; version=0\.0\.4/,
		);
		const text = await response.text();
		for (const line of text.trimEnd().split("\n"))
			expect(line).toMatch(
				/^(# (HELP \w+ .+|TYPE \w+ (counter|gauge))|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? \d+)$/,
			);
		for (const sample of [
			`bitskip_requests_total{route="${completions}",status="200"} 2`,
			`bitskip_requests_total{route="${completions}",status="400"} 1`,
			'bitskip_tokens_total{kind="completion",policy="full"} 5',
			'bitskip_macs_total{policy="full"} 200',
			'bitskip_macs_full_total{policy="full"} 400',
			'bitskip_exit_tokens_total{layer="4"} 5',
			"bitskip_requests_in_flight 0",
		])
			expect(text).toContain(`${sample}\n`);
	});
});

describe("completions by GET", () => {
	const get = `${completions}?prompt=Once&temperature=0&max_tokens=3`;

	it("say the same as by POST, and how long they keep", async () => {
		const ask = serve();
		const response = await ask(get);
		expect(response.status).toBe(200);
		const posted = await ask(completions, {
			body: { prompt: "Once", temperature: 0, max_tokens: 3 },
		});
		const [one, other] = [await response.json(), await posted.json()];
		expect(one.choices).toEqual(other.choices);
		expect(one.usage).toEqual(other.usage);
		expect(response.headers.get("Cache-Control")).toBe("public, max-age=86400");
		expect(response.headers.get("Vary")).toBeNull();
		expect(response.headers.get("ETag")).toMatch(/^W\/"[0-9a-f]{32}"$/);
		expect(posted.headers.get("ETag")).toBeNull();
	});

	it("are private where there are keys", async () => {
		const env = { API_KEYS: KEY };
		expect((await serve()(get, { env })).status).toBe(401);
		const response = await serve()(get, { env, key: KEY });
		expect(response.headers.get("Cache-Control")).toBe(
			"private, max-age=86400",
		);
		expect(response.headers.get("Vary")).toBe("Authorization");
	});

	it("are not sent again to who has them; the order of parameters is no matter", async () => {
		let computed = 0;
		const ask = serve(
			fakeEngine(ids, () => {
				computed++;
			}),
		);
		// Another prompt than elsewhere: workerd's cache outlives a test.
		const fresh = get.replace("Once", "Etag");
		const etag = (await ask(fresh)).headers.get("ETag") as string;
		const again = fresh.replace(/\?(.*)&(.*)&(.*)/, "?$3&$1&$2");
		expect(again).not.toBe(fresh);
		for (const tag of [etag, etag.slice(2), `"x", ${etag}`]) {
			const headers = { "If-None-Match": tag };
			const response = await ask(again, { headers });
			expect(response.status).toBe(304);
			expect(response.headers.get("ETag")).toBe(etag);
			expect(await response.text()).toBe("");
		}
		expect(computed).toBe(1);
		for (const other of [
			fresh.replace("max_tokens=3", "max_tokens=2"),
			fresh.replace("Etag", "etag"),
		])
			expect((await ask(other)).headers.get("ETag")).not.toBe(etag);
		const env = {
			ENVIRONMENT: "development",
			CF_VERSION_METADATA: { id: "another" },
		};
		expect((await ask(fresh, { env })).headers.get("ETag")).not.toBe(etag);
	});

	it.each([
		["prompt=a", /seed.*temperature=0/, "seed"],
		["prompt=a&temperature=0.5", /seed/, "seed"],
		["prompt=a&seed=1&stream=true", /does not stream/, "stream"],
		["prompt=a&seed=1&seed=2", /2 times/, "seed"],
		["prompt=a&seed=x", /seed/, "seed"],
		["prompt=a&seed=1&max_tokens=0", /max_tokens/, "max_tokens"],
		["prompt=a&seed=1&exit=layer", /layer/, "bitskip.layer"],
		["prompt=a&seed=1&exit=gate&threshold=2", /threshold/, "bitskip.threshold"],
	])("?%s is a 400, and not kept", async (query, message, param) => {
		const response = await serve()(`${completions}?${query}`);
		expect(response.status).toBe(400);
		expect(response.headers.get("Cache-Control")).toBeNull();
		const { error } = await response.json();
		expect(error.message).toMatch(message);
		expect(error.param).toBe(param);
	});

	it("no query, however odd, is worse than a 400", async () => {
		const ask = serve();
		const name = fc.oneof(
			fc.constantFrom("prompt", "seed", "stop", "max_tokens", "exit", "layer"),
			fc.constantFrom("temperature", "threshold", "budget_macs", "bitskip"),
			fc.string({ unit: "binary" }),
		);
		const value = fc.oneof(
			fc.constantFrom("0", "1", "-1", "1e9", "full", "gate", "layer", "true"),
			fc.double().map(String),
			fc.string({ unit: "binary" }),
		);
		const statuses = new Set<number>();
		await fc.assert(
			fc.asyncProperty(
				fc.array(fc.tuple(name, value), { maxLength: 6 }),
				async (pairs) => {
					const query = new URLSearchParams(pairs);
					const { status } = await ask(`${completions}?${query}`);
					expect([200, 400]).toContain(status);
					statuses.add(status);
				},
			),
			{ numRuns: 500, seed: 1 },
		);
		expect(statuses.size).toBe(2);
	});

	it("take numbers as text where text is wanted, several stops, and exits", async () => {
		const prompts: number[][] = [];
		const ask = serve(fakeEngine(ids, (prompt) => prompts.push([...prompt])));
		const query = "prompt=42&seed=1&stop=zz&stop=%20dog&exit=budget";
		const response = await ask(`${completions}?${query}&budget_macs=1e9`);
		const { choices, bitskip } = await response.json();
		expect(prompts[0]?.slice(1)).toEqual(tokenizer.encode("42"));
		expect(choices[0].text).toBe("Tom saw a");
		expect(bitskip.policy).toBe("budget");
	});
});
