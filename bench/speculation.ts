/**
 * Self-speculation (Zhang et al., 2024): tokens drafted at an early exit, checked by the layers behind it
 * in one batch. The text is the full model's greedy one, token for token; the question is the time.
 *
 *   npm run bench:speculation [-- --rounds 5]
 *
 * Rounds of all variants alternate; medians are shown. The last line is JSON.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { loadStories } from "../src/node.ts";
import { argmax } from "../src/sampler.ts";
import { median } from "./measure.ts";

const PROMPTS = ["Once upon a time", "One day, Lily went to the park."];
const TOKENS = 200;
const DRAFTS = [1, 2, 4];

const { values } = parseArgs({
	options: { rounds: { type: "string", default: "5" } },
});
const { model, tokenizer } = await loadStories();
const { config, hidden } = model;
const last = config.exits.length - 1;

/** Runs the layers between two exits (-1: the embedding) for rows 0 to count - 1. */
function between(from: number, to: number, position: number, count: number) {
	const begin = from < 0 ? 0 : (config.exits[from] as number);
	for (let l = begin; l < (config.exits[to] as number); l++)
		model.layer(0, l, position, count);
}

const top = (exit: number, slot: number) => argmax(model.head(exit, slot));

/** The likeliest token after ids, TOKENS times, and how many batches of layers it took. */
function full(ids: number[]) {
	const tokens = [...ids];
	for (let at = 0; at < ids.length + TOKENS - 1; at++) {
		model.embed(0, tokens[at] as number);
		between(-1, last, at, 1);
		if (at >= ids.length - 1) tokens.push(top(last, 0));
	}
	return { tokens, checks: TOKENS };
}

function speculate(ids: number[], exit: number, drafts: number) {
	const tokens = [...ids];
	const rows = new Float32Array((drafts + 1) * config.dim);
	for (let at = 0; at < ids.length - 1; at++) {
		model.embed(0, tokens[at] as number);
		between(-1, last, at, 1);
	}
	let checks = 0;
	while (tokens.length < ids.length + TOKENS) {
		const position = tokens.length - 1;
		const drafted: number[] = [];
		for (let i = 0; i <= drafts; i++) {
			model.embed(0, drafted.at(-1) ?? (tokens[position] as number));
			between(-1, exit, position + i, 1);
			rows.set(hidden.subarray(0, config.dim), i * config.dim);
			if (i < drafts) drafted.push(top(exit, 0));
		}
		hidden.set(rows);
		between(exit, last, position, drafts + 1);
		checks++;
		for (let i = 0; i <= drafts; i++) {
			const token = top(last, i);
			tokens.push(token);
			if (token !== drafted[i]) break;
		}
	}
	return { tokens: tokens.slice(0, ids.length + TOKENS), checks };
}

const prompts = PROMPTS.map((text) => [
	config.bosTokenId,
	...tokenizer.encode(text),
]);
const variants = [
	{ exit: last, drafts: 0 },
	...config.exits
		.slice(0, -1)
		.flatMap((_, exit) => DRAFTS.map((drafts) => ({ exit, drafts }))),
].map((variant) => ({ ...variant, ms: [] as number[], checks: 0 }));
const expected = prompts.map((ids) => full(ids).tokens.join());
for (let round = -2; round < Number(values.rounds); round++) {
	for (const variant of variants) {
		const { exit, drafts, ms } = variant;
		const begun = performance.now();
		const results = prompts.map((ids) =>
			drafts ? speculate(ids, exit, drafts) : full(ids),
		);
		if (round >= 0) ms.push(performance.now() - begun);
		variant.checks = results.reduce((sum, { checks }) => sum + checks, 0);
		results.forEach(({ tokens }, i) => {
			if (tokens.join() !== expected[i])
				throw new Error(`exit ${exit}, ${drafts} drafts: another text`);
		});
	}
	process.stderr.write(`\rround ${Math.max(round + 1, 0)} `);
}
process.stderr.write("\n");
const baseline = median(variants[0]?.ms ?? []);
console.log(
	`${cpus()[0]?.model}; Node ${process.version}; kernel ${model.kernel}\n`,
);
console.log("| drafts at layer | drafts | tokens a check | speed |");
console.log("| - | - | - | - |");
const result = variants.map(({ exit, drafts, ms, checks }) => ({
	layer: config.exits[exit],
	drafts,
	tokensPerCheck: (TOKENS * prompts.length) / checks,
	speed: baseline / median(ms),
}));
for (const { layer, drafts, tokensPerCheck, speed } of result)
	console.log(
		`| ${layer} | ${drafts} | ${tokensPerCheck.toFixed(2)} | ${speed.toFixed(2)} |`,
	);
console.log(`\n${JSON.stringify(result)}`);
