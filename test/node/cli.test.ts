import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const MAIN = ["src/cli/main.ts"];
const IMAGE = "build/assets/stories.bitskip";
const bitskip = (...args: string[]) =>
	spawnSync(process.execPath, [...MAIN, ...args], { encoding: "utf8" });

it("run writes the same text for the same seed", () => {
	const args = ["run", "--model", IMAGE, "--max-tokens", "8"];
	const { status, stdout } = bitskip(
		...[...args, "--temperature", "0", "Once upon a time"],
	);
	expect([status, stdout]).toEqual([
		0,
		"Once upon a time, there was a little girl named Lily",
	]);
	expect(bitskip(...args, "--seed", "1.5").status).toBe(2);
	expect(bitskip(...args, "--layer", "7").stderr).toMatch(/6, 12, 18, 24/);
}, 60_000);

it("eval gives bits per byte for every exit", () => {
	const folder = mkdtempSync(join(tmpdir(), "bitskip-"));
	try {
		const text = join(folder, "text.txt");
		const story = "Once upon a time, there was a little girl named Lily.";
		writeFileSync(text, `${story}<|endoftext|>${story}`);
		const { status, stdout } = bitskip("eval", text, IMAGE, "--json");
		expect(status).toBe(0);
		const { stories, exits } = JSON.parse(stdout);
		expect(stories).toBe(2);
		expect(exits.map(({ layer }: { layer: number }) => layer)).toEqual([
			6, 12, 18, 24,
		]);
		// A sentence like those it was trained on: far below the 8 bits of a random byte.
		expect(exits.at(-1).bitsPerByte).toBeLessThan(1);
		writeFileSync(text, " ");
		expect(bitskip("eval", text, IMAGE).status).toBe(1);
	} finally {
		rmSync(folder, { recursive: true });
	}
}, 60_000);

it("serve answers until it is stopped", async () => {
	const server = spawn(
		process.execPath,
		[...MAIN, "serve", IMAGE, "--port", "0"],
		{
			stdio: ["ignore", "pipe", "inherit"],
		},
	);
	try {
		const [line] = await once(server.stdout, "data");
		const url = /http:\S+/.exec(String(line))?.[0];
		const response = await fetch(`${url}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json", connection: "close" },
			body: JSON.stringify({
				prompt: "Once upon a time",
				max_tokens: 8,
				temperature: 0,
			}),
		});
		expect(response.status).toBe(200);
		const { choices } = (await response.json()) as {
			choices: { text: string }[];
		};
		expect(choices[0]?.text).toBe(", there was a little girl named Lily");
		server.kill("SIGINT");
		expect(await once(server, "exit")).toEqual([0, null]);
	} finally {
		server.kill("SIGKILL");
	}
}, 60_000);
