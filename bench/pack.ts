/**
 * Time and memory of packing a model of microsoft/bitnet-b1.58-2B-4T's shape, made up: `npm run
 * bench:pack`. Needs 1 GB of disk in the system's temporary folder; the last line is JSON.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TWO_BILLION, writeMadeUpFolder } from "./made_up_folder.ts";

const folder = mkdtempSync(join(tmpdir(), "bitskip-"));
try {
	const bytes = writeMadeUpFolder(folder, TWO_BILLION, "BF16", "U8", 2);
	console.error(`${(bytes / 1e9).toFixed(2)} GB of safetensors`);
	const { status } = spawnSync(
		process.execPath,
		[
			"src/cli/main.ts",
			"pack",
			folder,
			join(folder, "image.bitskip"),
			"--json",
		],
		{ stdio: "inherit" },
	);
	process.exitCode = status ?? 1;
} finally {
	rmSync(folder, { recursive: true });
}
