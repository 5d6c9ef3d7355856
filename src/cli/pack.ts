/**
 * `bitskip pack`: a Hugging Face `bitnet` folder to an image.
 *
 * @module
 */

import {
	closeSync,
	copyFileSync,
	openSync,
	renameSync,
	rmSync,
	writeSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openFolder, readText } from "../folder.ts";
import { readModule, tokenizerBeside } from "../node.ts";
import { parseHuggingFaceConfig } from "../pack/huggingface.ts";
import { writeImage } from "../pack/pack.ts";
import { formatReport, megabytes, report } from "../pack/report.ts";
import { verifyConfig } from "../wasm.ts";
import { type Command, Progress, parseNumber, UsageError } from "./command.ts";

export const pack: Command = {
	summary: "packs a Hugging Face bitnet folder into an image",
	usage: `Usage: bitskip pack <folder> [image]

Packs config.json and model.safetensors (or its shards) into an image, default <folder>.bitskip here, and
puts the tokenizer beside it. Matrices may be packed (U8), or BF16 or F32, which are quantised on the way
by their absolute mean. Says what the model takes and whether a Cloudflare Worker can serve it. Holds only
some rows at a time, however large the model is.

  --ternary      quantise the matrices of a folder that has no quantization_config; else they stay F32
  --context N    a context of N tokens, shorter than the model's: a sequence takes less memory
  --json         the report as JSON, with the seconds and the most memory that packing took
`,
	async run(args) {
		const { positionals, values } = parseArgs({
			args,
			allowPositionals: true,
			options: {
				ternary: { type: "boolean", default: false },
				context: { type: "string" },
				json: { type: "boolean", default: false },
			},
		});
		const [path, output = `${basename(resolve(path ?? "."))}.bitskip`] =
			positionals;
		if (!path || positionals.length > 2)
			throw new UsageError("pack takes a folder, and the name of the image");
		const maxSeqLen =
			values.context === undefined
				? undefined
				: parseNumber("context", values.context, 1, 65536);
		// Before the long work: without a tokenizer the image is of no use.
		await readText(path, "tokenizer.json");
		const folder = await openFolder(path);
		const progress = new Progress();
		// Under its own name only when it is whole.
		const partial = `${output}.partial`;
		try {
			const { config, storage } = parseHuggingFaceConfig(folder.configJson, {
				ternary: values.ternary,
				...(maxSeqLen !== undefined && { maxSeqLen }),
			});
			verifyConfig(await readModule("strict"), config);
			const file = openSync(partial, "w");
			try {
				writeImage(
					config,
					folder.tensors,
					storage,
					(bytes, position) => writeAll(file, bytes, position),
					(written, total) =>
						progress.update(
							() =>
								`packed ${megabytes(written)} of ${megabytes(total)}, ${((100 * written) / total).toFixed(0)} %`,
						),
				);
			} finally {
				closeSync(file);
			}
			renameSync(partial, output);
			copyFileSync(join(path, "tokenizer.json"), tokenizerBeside(output));
			progress.end();
			const seconds = progress.elapsed / 1000;
			// Linux and macOS under Node: kilobytes.
			const peakBytes = process.resourceUsage().maxRSS * 1024;
			if (values.json)
				console.log(JSON.stringify({ ...report(config), seconds, peakBytes }));
			else
				process.stderr.write(
					`${formatReport(report(config))}${output} in ${seconds.toFixed(1)} s, with at most ${megabytes(peakBytes)} of memory\n`,
				);
		} finally {
			rmSync(partial, { force: true });
			folder.close();
		}
	},
};

function writeAll(file: number, bytes: Uint8Array, position: number): void {
	for (let at = 0; at < bytes.length; )
		at += writeSync(file, bytes, at, bytes.length - at, position + at);
}
