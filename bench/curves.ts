/**
 * Draws how training went: bits per byte of the validation stories that train.py watched, by exit.
 *
 *   npm run curves -- bench/results/training/*.jsonl
 *
 * A file is a run's log.jsonl under the system's name. Writes bench/results/training/full-depth.svg, one line
 * a system, and <system>.svg, one line an exit.
 */

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { writeChart } from "./plot.ts";

const FOLDER = "bench/results/training";

interface Line {
	tokens: number;
	valid_bits_per_byte?: Record<string, number>;
}

const paths = process.argv.slice(2);
if (paths.length === 0) {
	console.error(`Usage: npm run curves -- ${FOLDER}/*.jsonl`);
	process.exit(2);
}
const common = {
	subtitle: "stories watched during training; without the engine's rounding",
	x: "million token positions",
	y: "bits per byte",
};
const fullDepth: Record<string, { x: number; y: number }[]> = {};
for (const path of paths) {
	const name = basename(path, ".jsonl");
	const lines = (await readFile(path, "utf8")).trim().split("\n");
	const exits: Record<string, { x: number; y: number }[]> = {};
	for (const { tokens, valid_bits_per_byte } of lines.map(
		(line): Line => JSON.parse(line),
	))
		for (const [depth, y] of Object.entries(valid_bits_per_byte ?? {})) {
			exits[`layer ${depth}`] ??= [];
			exits[`layer ${depth}`]?.push({ x: tokens / 1e6, y });
		}
	fullDepth[name] = Object.values(exits).at(-1) ?? [];
	await writeChart(`${FOLDER}/${name}.svg`, {
		...common,
		title: `Training ${name}, by exit`,
		series: exits,
	});
}
await writeChart(`${FOLDER}/full-depth.svg`, {
	...common,
	title: "Training, at full depth",
	series: fullDepth,
});
