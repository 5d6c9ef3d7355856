import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TWO_BILLION, writeMadeUpFolder } from "../../bench/made_up_folder.ts";
import { readConfig } from "../../src/image.ts";
import { xxh32 } from "../../src/xxh32.ts";

let scratch: string;
beforeAll(() => {
	scratch = mkdtempSync(join(tmpdir(), "bitskip-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

const bitskip = (...args: string[]) =>
	spawnSync(process.execPath, ["src/cli/main.ts", ...args], {
		encoding: "utf8",
	});

describe("bitskip pack", () => {
	it("packs shards of 385 MB, quantising on the way, within 280 MB of memory", () => {
		const folder = join(scratch, "large");
		const shape = { ...TWO_BILLION, num_hidden_layers: 1, vocab_size: 24000 };
		const bytes = writeMadeUpFolder(folder, shape, "F32", "BF16", 3);
		expect(bytes).toBeGreaterThan(380e6);
		const path = join(scratch, "large.bitskip");
		const { status, stdout, stderr } = bitskip("pack", folder, path, "--json");
		expect([status, stderr]).toEqual([0, expect.any(String)]);
		const report = JSON.parse(stdout);
		// Node itself, its compiled code and its garbage are about 200 of them.
		expect(report.peakBytes).toBeLessThan(280e6);
		const image = readFileSync(path);
		expect(image.length).toBe(report.imageBytes);
		expect(readConfig(image)).toMatchObject({ dim: 2560, vocabSize: 24000 });
		expect(image.readUInt32LE(16)).toBe(xxh32(image.subarray(20)));
	}, 120_000);

	it("tells mistakes in the call from folders that cannot be packed", () => {
		const call = bitskip("pack");
		expect(call.status).toBe(2);
		expect(call.stderr).toMatch(/--help/);
		const missing = bitskip("pack", join(scratch, "nothing"));
		expect(missing.status).toBe(1);
		expect(missing.stderr).toMatch(/tokenizer.json.*A model folder has/);
		const folder = join(scratch, "odd");
		const shape = { ...TWO_BILLION, num_hidden_layers: 1, vocab_size: 32 };
		writeMadeUpFolder(
			folder,
			{ ...shape, intermediate_size: 6916 },
			"F32",
			"U8",
			1,
		);
		const odd = bitskip("pack", folder, join(scratch, "odd.bitskip"));
		expect(odd.status).toBe(1);
		expect(odd.stderr).toMatch(
			/hiddenDim is 6916, and must be a multiple of 64/,
		);
		writeFileSync(join(folder, "config.json"), "{");
		expect(bitskip("inspect", folder).stderr).toMatch(
			/config.json is not JSON/,
		);
	}, 60_000);

	it("inspects a folder of two billion parameters: the engine takes it, a Worker does not", () => {
		const folder = join(scratch, "2b");
		writeMadeUpFolder(folder, TWO_BILLION, "BF16", "U8", 2);
		const { status, stdout } = bitskip("inspect", folder, "--json");
		expect(status).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({
			imageBytes: 851_623_040,
			worker: { fits: false },
		});
	}, 60_000);

	it("knows all commands, and no others", () => {
		for (const command of ["run", "serve", "pack", "inspect", "eval"]) {
			const { status, stdout } = bitskip(command, "--help");
			expect([status, stdout]).toEqual([
				0,
				expect.stringMatching(`Usage: bitskip ${command} `),
			]);
		}
		expect(bitskip("story").status).toBe(2);
	}, 60_000);
});
