/**
 * `bitskip eval`: how well each exit predicts a text.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadPath } from "../node.ts";
import { measureQuality, splitStories } from "../quality.ts";
import { isKernel, KERNELS } from "../wasm.ts";
import { type Command, Progress, parseNumber, UsageError } from "./command.ts";

export const evaluate: Command = {
	summary: "bits per byte of a text at each exit",
	usage: `Usage: bitskip eval <text file> [image|folder]

How well each exit predicts a text, by the engine itself: bits per byte, perplexity a token, how often its
top token is the last layer's, and multiply-accumulates a token. Parts of the text that <|endoftext|>
separates stand alone; what does not fit the context is left out. Default: the shipped model.

  --parts N      only the first N parts
  --kernel K     ${KERNELS.join(", ")} (the same figures, sooner or later)
  --json         the figures as JSON
`,
	async run(args) {
		const { positionals, values } = parseArgs({
			args,
			allowPositionals: true,
			options: {
				parts: { type: "string" },
				kernel: { type: "string", default: "dot8" },
				json: { type: "boolean", default: false },
			},
		});
		const [text, path] = positionals;
		if (!text || positionals.length > 2)
			throw new UsageError("eval takes a text file, and an image or a folder");
		const { kernel } = values;
		if (!isKernel(kernel))
			throw new UsageError(
				`--kernel is ${kernel}, and must be one of ${KERNELS.join(", ")}`,
			);
		const all = splitStories(readFileSync(text, "utf8"));
		const parts =
			values.parts === undefined
				? all
				: all.slice(0, parseNumber("parts", values.parts, 1, 1e9));
		if (parts.length === 0)
			throw new RangeError(`${text} is empty: give a text of some sentences`);
		const { model, tokenizer } = await loadPath(path, { kernel });
		const progress = new Progress();
		const quality = measureQuality(model, tokenizer, parts, (done, tokens) =>
			progress.update(
				() =>
					`${done} of ${parts.length} parts, ${((tokens / progress.elapsed) * 1000).toFixed(0)} tokens/s`,
			),
		);
		progress.end();
		if (values.json) {
			console.log(JSON.stringify(quality));
			return;
		}
		console.log(
			`${quality.tokens} tokens, ${quality.bytes} bytes\n\nexit   bits/byte  perplexity  as last layer  MACs/token (million)`,
		);
		for (const exit of quality.exits)
			console.log(
				[
					String(exit.layer).padStart(4),
					exit.bitsPerByte.toFixed(4).padStart(11),
					exit.perplexity.toFixed(2).padStart(11),
					`${(exit.agreement * 100).toFixed(1)} %`.padStart(14),
					(exit.macsPerToken / 1e6).toFixed(2).padStart(21),
				].join(" "),
			);
	},
};
