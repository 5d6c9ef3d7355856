/**
 * Quality by the engine itself: bits per byte, perplexity and agreement with the last layer, at every
 * exit, on a text file of stories separated by `<|endoftext|>` lines.
 *
 *   npm run eval -- <text file> [--stories N] [--kernel strict|dot8|dot16] [--out results.json]
 *
 * Each story stands alone, begun and ended by the end-of-text token, which is predicted too; what does
 * not fit the context is left out, text and bytes alike. The last line is JSON.
 */

import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { headMacs, layerMacs } from "../src/cost.ts";
import { loadStories } from "../src/node.ts";
import { argmax } from "../src/sampler.ts";
import type { Tokenizer } from "../src/tokenizer.ts";
import { isKernel, type Model } from "../src/wasm.ts";

interface ExitTotals {
	nats: number;
	/** Positions whose top token is the last layer's. */
	agree: number;
	/** MACs of a token that leaves here. */
	macs: number;
}

interface Totals {
	tokens: number;
	bytes: number;
	exits: ExitTotals[];
}

/** Adds a story's predictions to `totals`. */
function evaluate(
	model: Model,
	tokenizer: Tokenizer,
	story: string,
	totals: Totals,
): void {
	const { config } = model;
	const ids = [
		config.bosTokenId,
		...tokenizer.encode(story),
		config.eosTokenId,
	];
	const fed = Math.min(ids.length - 1, config.maxSeqLen);
	for (let at = 0; at < fed; at += model.maxBatch) {
		const count = Math.min(model.maxBatch, fed - at);
		for (let slot = 0; slot < count; slot++)
			model.embed(slot, ids[at + slot] as number);
		const tops: number[][] = [];
		for (let l = 0; l < config.nLayers; l++) {
			model.layer(0, l, at, count);
			const exit = config.exits.indexOf(l + 1);
			if (exit < 0) continue;
			const total = totals.exits[exit] as ExitTotals;
			const top: number[] = [];
			for (let slot = 0; slot < count; slot++) {
				const logits = model.head(exit, slot);
				total.nats += crossEntropy(logits, ids[at + slot + 1] as number);
				total.macs += headMacs(config) + (l + 1) * layerMacs(config, at + slot);
				top.push(argmax(logits));
			}
			tops.push(top);
		}
		const last = tops.at(-1) as number[];
		for (const [exit, top] of tops.entries())
			(totals.exits[exit] as ExitTotals).agree += top.filter(
				(id, slot) => id === last[slot],
			).length;
	}
	totals.tokens += fed;
	const text = tokenizer.decoder();
	const covered = ids
		.slice(1, fed + 1)
		.map((id) => text.push(id))
		.join("");
	totals.bytes += Buffer.byteLength(covered + text.end());
}

/** -ln softmax(logits)[target] */
function crossEntropy(logits: Float32Array, target: number): number {
	const peak = logits[argmax(logits)] as number;
	let sum = 0;
	for (const logit of logits) sum += Math.exp(logit - peak);
	return Math.log(sum) + peak - (logits[target] as number);
}

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		stories: { type: "string" },
		kernel: { type: "string", default: "dot8" },
		out: { type: "string" },
	},
});
const [path] = positionals;
const { kernel } = values;
if (!path || !isKernel(kernel)) {
	console.error(
		"Usage: npm run eval -- <text file> [--stories N] [--kernel strict|dot8|dot16] [--out results.json]",
	);
	process.exit(2);
}
const { model, tokenizer } = await loadStories({ kernel });
const text = await readFile(path, "utf8").catch((error: Error) => {
	console.error(`cannot read the text: ${error.message}`);
	process.exit(2);
});
const stories = text
	.split("<|endoftext|>")
	.map((story) => story.trim())
	.filter(Boolean)
	.slice(0, values.stories ? Number(values.stories) : undefined);
const totals: Totals = {
	tokens: 0,
	bytes: 0,
	exits: model.config.exits.map(() => ({ nats: 0, agree: 0, macs: 0 })),
};
const begun = performance.now();
let shown = begun;
for (const [i, story] of stories.entries()) {
	evaluate(model, tokenizer, story, totals);
	if (performance.now() - shown < 1000) continue;
	shown = performance.now();
	const rate = (totals.tokens / (shown - begun)) * 1000;
	process.stderr.write(
		`\r${i + 1} of ${stories.length} stories, ${rate.toFixed(0)} tokens/s `,
	);
}
process.stderr.write("\n");

const rows = totals.exits.map(({ nats, agree, macs }, exit) => ({
	layer: model.config.exits[exit] as number,
	bitsPerByte: nats / Math.LN2 / totals.bytes,
	perplexity: Math.exp(nats / totals.tokens),
	agreement: agree / totals.tokens,
	macsPerToken: macs / totals.tokens,
}));
console.log(
	`${stories.length} stories, ${totals.tokens} tokens, ${totals.bytes} bytes, ${kernel} kernel\n`,
);
console.log(
	"| exit at layer | bits per byte | perplexity (per token) | top token as the last layer's | million MACs per token |",
);
console.log("| - | - | - | - | - |");
for (const row of rows)
	console.log(
		`| ${row.layer} | ${row.bitsPerByte.toFixed(4)} | ${row.perplexity.toFixed(2)} | ${(row.agreement * 100).toFixed(1)} % | ${(row.macsPerToken / 1e6).toFixed(2)} |`,
	);
const result = {
	stories: stories.length,
	tokens: totals.tokens,
	bytes: totals.bytes,
	kernel,
	engine: `node ${process.version}, V8 ${process.versions.v8}`,
	cpu: `${cpus()[0]?.model}, ${availableParallelism()} cores`,
	exits: rows,
};
console.log(`\n${JSON.stringify(result)}`);
if (values.out)
	await writeFile(values.out, `${JSON.stringify(result, null, "\t")}\n`);
