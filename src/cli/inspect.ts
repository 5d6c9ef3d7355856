/**
 * `bitskip inspect`: what a model takes.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { openFolder } from "../folder.ts";
import type { ModelConfig } from "../image.ts";
import { describePath, readModule } from "../node.ts";
import { parseHuggingFaceConfig } from "../pack/huggingface.ts";
import { formatReport, report } from "../pack/report.ts";
import { loadModel, verifyConfig } from "../wasm.ts";
import { type Command, UsageError } from "./command.ts";

export const inspect: Command = {
	summary: "says what an image, or a folder before it is packed, takes to run",
	usage: `Usage: bitskip inspect <image|folder>

Size, memory of a sequence, multiply-accumulates of a token at each exit, and whether a Cloudflare Worker
can serve it. Of an image, the engine verifies header, size and checksum.

  --json         the same as JSON
  --ternary      of a folder: as \`pack --ternary\` would pack it
`,
	async run(args) {
		const { positionals, values } = parseArgs({
			args,
			allowPositionals: true,
			options: {
				json: { type: "boolean", default: false },
				ternary: { type: "boolean", default: false },
			},
		});
		const [path] = positionals;
		if (!path || positionals.length > 1)
			throw new UsageError("inspect takes one image or folder");
		const { isDirectory } = await describePath(path);
		const config = isDirectory
			? await readFolder(path, values.ternary)
			: await readImage(path);
		const found = report(config);
		if (values.json) console.log(JSON.stringify(found));
		else process.stdout.write(formatReport(found));
	},
};

async function readFolder(path: string, ternary: boolean) {
	const folder = await openFolder(path);
	folder.close();
	const { config } = parseHuggingFaceConfig(folder.configJson, { ternary });
	verifyConfig(await readModule("strict"), config);
	return config;
}

async function readImage(path: string): Promise<ModelConfig> {
	const module = await readModule("strict");
	return loadModel(module, readFileSync(path), { sequences: 1 }).config;
}
