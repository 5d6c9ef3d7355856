/**
 * Quality of models on a text file, by the engine itself: bits per byte, perplexity, agreement with the
 * last layer and cost, at every exit.
 *
 *   npm run eval -- <text file> [model folder ...] [--out bench/results/quality]
 *
 * Without a folder: the shipped model. A system is named after its folder. `--pytorch` takes what
 * train/evaluate.py wrote about the same models and text: its figures are shown beside ours, and a
 * difference above PYTORCH_BOUND is an error. `--out` writes <name>.json and <name>.svg. The last line
 * is JSON.
 */

import { readFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { loadFolder } from "../src/node.ts";
import { measureQuality, type Quality, splitStories } from "../src/quality.ts";
import { isKernel, KERNELS } from "../src/wasm.ts";
import { writeChart, writeJson } from "./plot.ts";

/**
 * Relative, in bits per byte. Both round the same numbers, but sums in another order push single
 * activations over a rounding boundary, one position in a few; over 1,000 tokens that averages out.
 */
const PYTORCH_BOUND = 1e-3;

const USAGE = `npm run eval -- <text file> [model folder ...]
  --stories N       only the first N
  --kernel K        ${KERNELS.join(", ")} (the same figures, sooner or later)
  --pytorch FILE    what train/evaluate.py wrote, to stand beside
  --out NAME        writes NAME.json and NAME.svg`;

function fail(message: string): never {
	console.error(message);
	process.exit(2);
}

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		stories: { type: "string" },
		kernel: { type: "string", default: "dot8" },
		pytorch: { type: "string" },
		out: { type: "string" },
		help: { type: "boolean", default: false },
	},
});
const [path, ...folders] = positionals;
const { kernel } = values;
if (values.help) {
	console.log(USAGE);
	process.exit();
}
if (!path) fail(`No text file given.\n${USAGE}`);
if (!isKernel(kernel)) fail(`--kernel is ${kernel}\n${USAGE}`);
const count = Number(values.stories ?? Number.POSITIVE_INFINITY);
if (!(count >= 1))
	fail(`--stories is ${values.stories}, and must be at least 1`);
if (folders.length === 0) folders.push("models/stories");

type PyTorch = Record<
	string,
	{ stories: number; exits: Record<string, number> }
>;
const readText = (file: string) =>
	readFile(file, "utf8").catch((error: Error) =>
		fail(`cannot read ${file}: ${error.message}`),
	);
const stories = splitStories(await readText(path)).slice(0, count);
const pytorch: PyTorch = values.pytorch
	? JSON.parse(await readText(values.pytorch))
	: {};

const systems: Record<string, Quality> = {};
for (const folder of folders) {
	const name = basename(folder);
	const { model, tokenizer } = await loadFolder(folder, { kernel }).catch(
		(error: Error) => fail(`${folder}: ${error.message}`),
	);
	const begun = performance.now();
	let shown = begun;
	systems[name] = measureQuality(model, tokenizer, stories, (done, tokens) => {
		const now = performance.now();
		if (now - shown < 1000 && done < stories.length) return;
		shown = now;
		const rate = ((tokens / (now - begun)) * 1000).toFixed(0);
		process.stderr.write(
			`\r${name}: ${done} of ${stories.length} stories, ${rate} tokens/s `,
		);
	});
	process.stderr.write("\n");
}

console.log(
	"| system | exit at layer | bits per byte | against its full depth | by PyTorch | perplexity (per token) | top token as the last layer's | million MACs per token |",
);
console.log("| - | - | - | - | - | - | - | - |");
const disagreements: string[] = [];
for (const [name, { exits }] of Object.entries(systems)) {
	const full = exits.at(-1)?.bitsPerByte as number;
	for (const exit of exits) {
		const { layer, bitsPerByte } = exit;
		const reference = pytorch[name];
		const theirs =
			reference?.stories === stories.length
				? reference.exits[layer]
				: undefined;
		if (theirs && Math.abs(bitsPerByte / theirs - 1) > PYTORCH_BOUND)
			disagreements.push(`${name} at layer ${layer}`);
		const cells = [
			name,
			layer,
			bitsPerByte.toFixed(4),
			`+${((bitsPerByte / full - 1) * 100).toFixed(1)} %`,
			theirs?.toFixed(4) ?? "-",
			exit.perplexity.toFixed(2),
			`${(exit.agreement * 100).toFixed(1)} %`,
			(exit.macsPerToken / 1e6).toFixed(2),
		];
		console.log(`| ${cells.join(" | ")} |`);
	}
}
const result = {
	text: basename(path),
	kernel,
	engine: `node ${process.version}, V8 ${process.versions.v8}`,
	cpu: `${cpus()[0]?.model}, ${availableParallelism()} cores`,
	systems,
	...(values.pytorch && { pytorch }),
};
if (values.out) {
	await writeJson(`${values.out}.json`, result);
	await writeChart(`${values.out}.svg`, {
		title: "Quality against work, by exit",
		subtitle: `${basename(path)}, ${stories.length} stories; lower and further left is better`,
		x: "million multiply-accumulates per token",
		y: "bits per byte",
		points: true,
		series: Object.fromEntries(
			Object.entries(systems).map(([name, { exits }]) => [
				name,
				exits.map((exit) => ({
					x: exit.macsPerToken / 1e6,
					y: exit.bitsPerByte,
				})),
			]),
		),
	});
}
console.log(`\n${JSON.stringify(result)}`);
if (disagreements.length > 0) {
	console.error(
		`differs from PyTorch by more than ${PYTORCH_BOUND * 100} %: ${disagreements.join(", ")}`,
	);
	process.exit(1);
}
