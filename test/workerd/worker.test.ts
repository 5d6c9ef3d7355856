import { env, SELF } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { readGoldenStory } from "../support/files.ts";

const golden = readGoldenStory();

function post(body: object) {
	return SELF.fetch("https://edge.test/v1/completions", {
		method: "POST",
		body: JSON.stringify(body),
	});
}

describe("the Worker, in workerd, with its model", () => {
	it("writes the golden story", async () => {
		const { prompt, max_tokens, story } = golden;
		const response = await post({
			prompt,
			max_tokens,
			temperature: 0,
		});
		const { choices, bitskip } = await response.json<{
			choices: { text: string }[];
			bitskip: object;
		}>();
		expect(choices[0]?.text).toBe(story);
		expect(bitskip).toMatchObject({
			policy: "full",
			exit_layers: { 24: max_tokens },
		});
	});

	it("leaves at a layer when asked", async () => {
		const { prompt, max_tokens } = golden;
		const response = await post({
			prompt,
			max_tokens,
			temperature: 0,
			bitskip: { exit: "layer", layer: 18 },
		});
		const { bitskip } = await response.json<{
			bitskip: { macs: number; macs_full: number };
		}>();
		expect(bitskip.macs / bitskip.macs_full).toBeLessThan(0.8);
	});

	it("turns budget_ms into MACs by MACS_PER_MS, and keeps to them", async () => {
		const response = await post({
			prompt: golden.prompt,
			max_tokens: 400,
			temperature: 0,
			bitskip: { exit: "budget", budget_ms: 3 },
		});
		const { usage, choices, bitskip } = await response.json<{
			usage: { completion_tokens: number };
			choices: { finish_reason: string }[];
			bitskip: { macs: number; budget_exhausted: boolean };
		}>();
		expect(bitskip.budget_exhausted).toBe(true);
		expect(choices[0]?.finish_reason).toBe("length");
		// One token more, some 2 million at the first exit, would have been too much.
		const budget = 3 * env.MACS_PER_MS;
		expect(bitskip.macs).toBeLessThanOrEqual(budget);
		expect(bitskip.macs).toBeGreaterThan(budget - 2.5e6);
		expect(usage.completion_tokens).toBeGreaterThan(5);
	});

	it("streams, and serves requests side by side as one by one", async () => {
		const ask = async (seed: number) => {
			const response = await post({
				prompt: "One day",
				max_tokens: 30,
				seed,
				stream: true,
			});
			const text = await response.text();
			expect(text).toMatch(/data: \[DONE\]\n\n$/);
			return [...text.matchAll(/"text":"((?:[^"\\]|\\.)*)"/g)]
				.map((m) => m[1])
				.join("");
		};
		const seeds = [1, 2, 3, 4, 5, 6, 7];
		const together = await Promise.all(seeds.map(ask));
		for (const [i, seed] of seeds.entries())
			expect(await ask(seed)).toBe(together[i]);
		expect(new Set(together).size).toBeGreaterThan(1);
	});

	it("takes sequences back from clients that leave", async () => {
		for (let i = 0; i < 12; i++) {
			const controller = new AbortController();
			const left = SELF.fetch("https://edge.test/v1/completions", {
				method: "POST",
				body: JSON.stringify({ max_tokens: 400, stream: i % 2 === 0 }),
				signal: controller.signal,
			});
			if (i % 2 === 0) await (await left).body?.getReader().read();
			else await new Promise((resolve) => setTimeout(resolve, 2));
			controller.abort();
			await left.catch(() => {});
		}
		expect((await post({ max_tokens: 2 })).status).toBe(200);
	});

	it("refuses what the model cannot do", async () => {
		const tooLong = await post({ prompt: "word ".repeat(600) });
		expect(tooLong.status).toBe(400);
		expect(await tooLong.json()).toMatchObject({ error: { param: "prompt" } });
		const noExit = await post({ bitskip: { exit: "layer", layer: 5 } });
		expect(noExit.status).toBe(400);
		expect(await noExit.json()).toMatchObject({
			error: {
				param: "bitskip.layer",
				message: expect.stringMatching(/6, 12, 18, 24/),
			},
		});
	});

	it.each([
		["/", "text/html"],
		["/page/page.js", "text/javascript"],
		["/page/local.worker.js", "text/javascript"],
		["/page/page.css", "text/css"],
		["/page/relaxed.wasm", "application/wasm"],
		["/page/strict.wasm", "application/wasm"],
		["/stories.tokenizer.json", "application/json"],
		["/stories.bitskip", ""],
	])(
		"hands out %s, which nobody may run code in, and asks to check for a newer one",
		async (path, type) => {
			const url = `https://edge.test${path}`;
			const response = await SELF.fetch(url);
			expect(response.status).toBe(200);
			const { headers } = response;
			expect(headers.get("content-type") ?? "").toContain(type);
			expect(headers.get("cache-control")).toBe("no-cache");
			expect(headers.get("x-content-type-options")).toBe("nosniff");
			const policy = headers.get("content-security-policy");
			expect(policy).toContain("default-src 'none'");
			expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval';");
			expect((await response.bytes()).length).toBeGreaterThan(1000);
			const again = await SELF.fetch(url, {
				headers: { "if-none-match": headers.get("etag") ?? "" },
			});
			expect(again.status).toBe(304);
		},
	);

	it.each(["/index.html", "/page", "/page/", "/page/none.js", "/stories"])(
		"has nothing at %s",
		async (path) => {
			const response = await SELF.fetch(`https://edge.test${path}`);
			expect(response.status).toBe(404);
			expect(await response.json()).toHaveProperty("error.message");
		},
	);
});
