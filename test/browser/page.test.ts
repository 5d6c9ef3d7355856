import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type LocalWorker, startWorker } from "../../scripts/wrangler.ts";
import { findChromium, freePort } from "../support/chromium.ts";

const executablePath = findChromium();
if (!executablePath)
	console.warn(
		"The page is not tested: no Chromium here. `apt-get install chromium`, or set CHROMIUM to its path.",
	);

/** What the page shows of a story. */
interface Shown {
	tokens: { text: string; title: string }[];
	work: string;
	counts: string[];
}

describe.skipIf(!executablePath)("the page, in Chromium", () => {
	let worker: LocalWorker;
	let browser: Browser;
	const open: Page[] = [];
	/** Of all pages: what the console or an uncaught error complained of. */
	const complaints: string[] = [];

	beforeAll(async () => {
		worker = await startWorker({ port: await freePort(), ready: "/health" });
		browser = await chromium.launch({
			executablePath: executablePath as string,
			args: [
				"--no-sandbox",
				"--disable-background-networking",
				"--disable-component-update",
				"--disable-sync",
			],
		});
	});
	afterAll(async () => {
		await browser?.close();
		await worker?.stop();
	});
	afterEach(async () => {
		for (const page of open.splice(0)) await page.context().close();
		expect(complaints.splice(0)).toEqual([]);
	});

	/** @param expected complaints that are part of the test. */
	async function visit(
		options: Parameters<Browser["newContext"]>[0] = {},
		expected?: RegExp,
	): Promise<Page> {
		const context = await browser.newContext(options);
		return visitIn(await context.newPage(), expected);
	}

	async function visitIn(page: Page, expected?: RegExp): Promise<Page> {
		open.push(page);
		page.on("console", (message) => {
			const isBad = ["error", "warning"].includes(message.type());
			if (isBad && !expected?.test(message.text()))
				complaints.push(message.text());
		});
		page.on("pageerror", (error) => complaints.push(String(error)));
		await page.goto(worker.url);
		return page;
	}

	/** Presses Write and waits for the end. */
	async function write(page: Page): Promise<Shown> {
		await page.getByRole("button", { name: "Write" }).click();
		await page.waitForFunction(
			() => document.getElementById("story")?.ariaBusy === "false",
		);
		return page.evaluate(() => ({
			tokens: [...document.querySelectorAll<HTMLElement>(".token")].map(
				({ textContent, title }) => ({ text: textContent ?? "", title }),
			),
			work: document.getElementById("work")?.textContent ?? "",
			counts: [...document.querySelectorAll("#depths output")].map(
				(output) => output.textContent ?? "",
			),
		}));
	}

	/** What must not differ between two places; the work may: one may have had keys and values at hand. */
	const story = ({ tokens, counts }: Shown) => ({ tokens, counts });
	const status = (page: Page) => page.locator("#status").textContent();
	const slide = (page: Page, id: string, value: string) =>
		page.locator(`#${id}`).fill(value);

	it("asks for a key where the endpoint does, and sends it", async () => {
		const page = await visit({}, /401/);
		const sent: (string | undefined)[] = [];
		await page.route("**/v1/completions", async (route) => {
			const { authorization } = route.request().headers();
			sent.push(authorization);
			if (authorization) await route.continue();
			else
				await route.fulfill({
					status: 401,
					json: { error: { message: "no API key", type: "", param: null } },
				});
		});
		expect(await page.getByLabel("API key").isVisible()).toBe(false);
		await write(page);
		expect(await page.locator("#error").textContent()).toBe("no API key");
		await page.getByLabel("API key").fill(" a-key ");
		expect((await write(page)).tokens.length).toBeGreaterThan(5);
		expect(sent).toEqual([undefined, "Bearer a-key"]);
	});

	it("leads to the API's documentation, which lists its routes", async () => {
		const page = await visit();
		await page.getByRole("link", { name: "The API" }).click();
		await page.getByText("/v1/chat/completions").first().waitFor();
		await page.getByText("ChatCompletionChunk").first().waitFor();
	});

	it("streams what the API says, token by token, with work and depths", async () => {
		const page = await visit();
		await page.getByLabel("by a budget").check();
		await slide(page, "budget", "400");
		await page.getByLabel("Seed", { exact: true }).fill("7");
		await page.evaluate(() => {
			const story = document.getElementById("story") as HTMLElement;
			story.dataset.updates = "0";
			new MutationObserver(() => {
				story.dataset.updates = String(Number(story.dataset.updates) + 1);
			}).observe(story, { childList: true });
		});
		const shown = await write(page);
		const response = await fetch(`${worker.url}/v1/completions`, {
			method: "POST",
			body: JSON.stringify({
				prompt: "Once upon a time",
				max_tokens: 200,
				temperature: 0.8,
				seed: 7,
				bitskip: { exit: "budget", budget_macs: 400e6 },
			}),
		});
		const { choices, bitskip } = (await response.json()) as {
			choices: { text: string }[];
			bitskip: { exit_layers: Record<string, number>; macs: number };
		};
		expect(shown.tokens.map(({ text }) => text).join("")).toBe(
			choices[0]?.text,
		);
		expect(shown.counts).toEqual(
			[6, 12, 18, 24].map((l) => `${bitskip.exit_layers[l] ?? 0} tokens`),
		);
		// Asked a second time, the prompt's keys and values may be at hand, and cost nothing.
		const [work, budget] = shown.work.split(" of ").map(Number);
		expect(budget).toBe(400);
		expect(work).toBeGreaterThanOrEqual(Math.round(bitskip.macs / 1e6));
		expect(work).toBeLessThanOrEqual(400);
		// In one piece, the story would be one update or two.
		const updates = await page.locator("#story").getAttribute("data-updates");
		expect(Number(updates)).toBeGreaterThan(5);
	});

	it("writes the same tokens in this browser, for all policies", async () => {
		const page = await visit();
		for (const policy of ["full", "layer", "gate", "budget"]) {
			await page.locator(`[name=policy][value=${policy}]`).check();
			await page.getByLabel("on the edge").check();
			const edge = await write(page);
			await page.getByLabel("in this browser").check();
			const local = await write(page);
			expect(edge.tokens.length).toBeGreaterThan(20);
			expect(story(local)).toEqual(story(edge));
			expect(await status(page)).toMatch(/in this browser.*kernel dot(8|16)/);
		}
	});

	it("takes the strict module where relaxed SIMD is not to be had, and writes the same", async () => {
		const page = await visit();
		const edge = await write(page);
		await page.route("**/local.worker.js", async (route) => {
			const response = await route.fetch();
			const body = `WebAssembly.validate = () => false;${await response.text()}`;
			await route.fulfill({ response, body });
		});
		await page.getByLabel("in this browser").check();
		expect(story(await write(page))).toEqual(story(edge));
		expect(await status(page)).toMatch(/kernel strict/);
	});

	it("downloads the model once, and shows how far it is", async () => {
		const context = await browser.newContext();
		const asked: string[] = [];
		context.on("request", (request) =>
			asked.push(new URL(request.url()).pathname),
		);
		for (const visits of [1, 2]) {
			const page = await visitIn(await context.newPage());
			await page.evaluate(() => {
				const bar = document.getElementById(
					"download-bar",
				) as HTMLProgressElement;
				new MutationObserver(() => {
					bar.dataset.seen = `${bar.dataset.seen ?? ""} ${bar.value}`;
				}).observe(bar, { attributes: true, attributeFilter: ["value"] });
			});
			await page.getByLabel("in this browser").check();
			await write(page);
			expect(asked.filter((path) => path === "/")).toHaveLength(visits);
			expect(asked.filter((path) => path === "/stories.bitskip")).toHaveLength(
				1,
			);
			const seen = await page
				.locator("#download-bar")
				.getAttribute("data-seen");
			expect(Number(seen?.split(" ").at(-1))).toBe(1);
		}
	});

	it.each(["on the edge", "in this browser"])(
		"cancels %s, by button and by Escape, and writes on",
		async (where) => {
			const page = await visit();
			await page.getByLabel(where).check();
			const whole = await write(page);
			await page.getByLabel("Tokens", { exact: true }).fill("500");
			for (const how of ["button", "key"]) {
				await page.evaluate((way) => {
					const story = document.getElementById("story") as HTMLElement;
					const observer = new MutationObserver(() => {
						if (!story.querySelector(".token")) return;
						observer.disconnect();
						if (way === "button") document.getElementById("cancel")?.click();
						else dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
					});
					observer.observe(story, { childList: true });
				}, how);
				const { tokens } = await write(page);
				expect(tokens.length).toBeLessThan(100);
				expect(await status(page)).toBe(
					`Cancelled after ${tokens.length} tokens.`,
				);
			}
			await page.getByLabel("Tokens", { exact: true }).fill("200");
			expect(story(await write(page))).toEqual(story(whole));
		},
	);

	it.each(["on the edge", "in this browser"])(
		"says what is wrong with a prompt, %s",
		async (where) => {
			const page = await visit({}, /status of 400/);
			await page.getByLabel(where).check();
			await page.getByLabel("Prompt").fill("word ".repeat(600));
			await write(page);
			expect(await page.locator("#error").textContent()).toMatch(
				/the prompt has \d+ tokens; this model's context of 512/,
			);
			await page.getByLabel("Prompt").fill("One day");
			await page.getByLabel("Prompt").press("Control+Enter");
			await page.waitForFunction(() =>
				/^\d+ tokens/.test(
					document.getElementById("status")?.textContent ?? "",
				),
			);
			expect(await page.locator("#error").textContent()).toBe("");
		},
	);

	it.each(["light", "dark"] as const)(
		"has no accessibility fault that axe finds, in %s, with a story",
		async (colorScheme) => {
			const page = await visit({ colorScheme });
			await page.getByLabel("when its gate opens").check();
			await write(page);
			await page.evaluate(axe.source);
			const { violations, passes } = await page.evaluate(() =>
				(globalThis as unknown as { axe: typeof axe }).axe.run(),
			);
			expect(violations.map(({ id, nodes }) => [id, nodes[0]?.html])).toEqual(
				[],
			);
			expect(passes.map(({ id }) => id)).toContain("color-contrast");
		},
	);

	it("fits a phone", async () => {
		const page = await visit({
			viewport: { width: 320, height: 640 },
			isMobile: true,
			hasTouch: true,
		});
		await page.getByLabel("by a budget").check();
		await write(page);
		const width = await page.evaluate(
			() => document.documentElement.scrollWidth,
		);
		expect(width).toBeLessThanOrEqual(320);
	});
});
