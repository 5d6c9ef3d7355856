import {
	createExecutionContext,
	env,
	SELF,
	waitOnExecutionContext,
} from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import type { OperationsBindings } from "../../src/operations/settings.ts";
import worker, { type Bindings } from "../../src/worker.ts";

const KEY = "sk-test-0123456789abcdef";
const URL = "https://edge.test/v1/completions";
const bindings = env as unknown as Bindings & {
	TWO_A_MINUTE: NonNullable<OperationsBindings["RATE_LIMITER"]>;
};

/** The Worker with other bindings; its work after the answer is awaited. */
async function ask(
	extra: OperationsBindings,
	path: string,
	init: RequestInit = {},
) {
	const context = createExecutionContext();
	const response = await worker.fetch(
		new Request(`https://edge.test${path}`, init),
		{ ...bindings, ...extra },
		context,
	);
	const text = await response.text();
	await waitOnExecutionContext(context);
	return { status: response.status, headers: response.headers, text };
}

const metrics = async () =>
	(await (await SELF.fetch("https://edge.test/metrics")).text()) ?? "";
const sample = (text: string, name: string) =>
	Number(
		text
			.split("\n")
			.find((line) => line.startsWith(name))
			?.split(" ")
			.at(-1) ?? 0,
	);

describe("the Worker's operations, in workerd", () => {
	it("the edge cache serves a repeated GET without computing", async () => {
		const query = "?prompt=Cache&temperature=0&max_tokens=20";
		const first = await ask({}, `/v1/completions${query}`);
		expect(first.status).toBe(200);
		expect(first.headers.get("Cache-Status")).toBe("edge; fwd=miss");
		const before = await ask({}, "/metrics");
		const again = await ask(
			{},
			"/v1/completions?max_tokens=20&temperature=0&prompt=Cache",
		);
		expect(again.headers.get("Cache-Status")).toBe("edge; hit");
		expect(again.headers.get("ETag")).toBe(first.headers.get("ETag"));
		expect(again.text).toBe(first.text);
		const after = await ask({}, "/metrics");
		const macs = 'bitskip_macs_total{policy="full"}';
		expect(sample(before.text, macs)).toBeGreaterThan(20e6);
		expect(sample(after.text, macs)).toBe(sample(before.text, macs));
		expect(after.text).toContain('bitskip_edge_cache_total{result="hit"} 1\n');
	});

	it("what the cache has is for those with a key only", async () => {
		const path = "/v1/completions?prompt=Guarded&seed=1";
		const keyed = { ENVIRONMENT: "production", API_KEYS: KEY };
		const headers = { Authorization: `Bearer ${KEY}` };
		expect((await ask(keyed, path, { headers })).status).toBe(200);
		expect((await ask(keyed, path)).status).toBe(401);
		const again = await ask(keyed, path, { headers });
		expect(again.headers.get("Cache-Status")).toBe("edge; hit");
		expect(again.headers.get("Cache-Control")).toMatch(/^private/);
	});

	it("keeps no error", async () => {
		const path = "/v1/completions?seed=1&max_tokens=0";
		for (let i = 0; i < 2; i++) {
			const { status, headers } = await ask({}, path);
			expect(status).toBe(400);
			expect(headers.get("Cache-Status")).toBeNull();
		}
	});

	it("Cloudflare's rate limit, as workerd has it, refuses the third request", async () => {
		const limited = { RATE_LIMITER: bindings.TWO_A_MINUTE };
		const headers = { "CF-Connecting-IP": "192.0.2.7" };
		const statuses: number[] = [];
		for (let i = 0; i < 3; i++)
			statuses.push((await ask(limited, "/v1/models", { headers })).status);
		expect(statuses).toEqual([200, 200, 429]);
	});

	it("gives places back when clients leave, before the answer and within it", async () => {
		const post = (body: object, signal?: AbortSignal) =>
			SELF.fetch(URL, {
				method: "POST",
				body: JSON.stringify(body),
				...(signal && { signal }),
			});
		const requests = (status: number) =>
			`bitskip_requests_total{route="/v1/completions",status="${status}"}`;
		const served = sample(await metrics(), requests(200));
		for (let i = 0; i < 8; i++) {
			const controller = new AbortController();
			const left = post(
				{ max_tokens: 400, stream: i % 2 === 0 },
				controller.signal,
			);
			if (i % 2 === 0) await (await left).body?.getReader().read();
			else await new Promise((resolve) => setTimeout(resolve, 2));
			controller.abort();
			await left.catch(() => {});
		}
		const kept = await post({ max_tokens: 20, stream: true });
		await kept.text();
		await vi.waitFor(async () => {
			const text = await metrics();
			expect(sample(text, requests(499))).toBe(8);
			expect(sample(text, requests(200))).toBe(served + 1);
			expect(sample(text, "bitskip_requests_in_flight")).toBe(0);
		}, 5000);
	});

	it("a second turn of a chat computes its new tokens only", async () => {
		const post = async (prompt: string) => {
			const body = JSON.stringify({ prompt, temperature: 0, max_tokens: 40 });
			const { text } = await ask({}, "/v1/completions", {
				method: "POST",
				body,
			});
			return JSON.parse(text);
		};
		const prompt = "Once upon a time, there was a cat.";
		const first = await post(prompt);
		const second = await post(`${prompt}${first.choices[0].text} The dog said`);
		const { prompt_tokens, prompt_tokens_details } = second.usage;
		// Greedy text splits into the tokens that it was written in, but for the last one or two.
		expect(prompt_tokens - prompt_tokens_details.cached_tokens).toBeLessThan(
			10,
		);
		expect(prompt_tokens_details.cached_tokens).toBeGreaterThan(40);
		expect(second.bitskip.macs / second.bitskip.macs_full).toBeLessThan(0.6);
	});
});
