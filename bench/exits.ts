/**
 * What each exit policy makes of its work: bits per byte, and agreement with the full model's top token,
 * against MACs per token. The engine itself runs, fed the text's tokens in place of sampled ones.
 *
 *   npm run bench:exits -- <text file> [model folder] [--stories 100] [--out bench/results/exits]
 *
 * `confidence` is the classic baseline: the head at every exit, leaving where its top probability reaches
 * the threshold; heads are counted, and the one of the exit taken is not run twice. A budget is given to a
 * story in proportion to its tokens. `--out` writes <name>.json, <name>.svg and <name>-agreement.svg.
 * The last line is JSON.
 */

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { gateMacs, headMacs, tokenMacs } from "../src/cost.ts";
import { createEngine } from "../src/engine.ts";
import type { ExitOptions } from "../src/exit.ts";
import { loadFolder } from "../src/node.ts";
import { crossEntropy, splitStories } from "../src/quality.ts";
import { argmax } from "../src/sampler.ts";
import type { Model } from "../src/wasm.ts";
import { writeChart, writeJson } from "./plot.ts";

const THRESHOLDS = [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.94];
const BUDGETS = [0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.05];

interface Point {
	policy: string;
	setting: number;
	macsPerToken: number;
	bitsPerByte: number;
	agreement: number;
}

interface Story {
	/** Begun by the token that no one predicts, ended by the end-of-text token. */
	ids: number[];
	bytes: number;
	/** The full model's top tokens, from the second token on. */
	tops: number[];
}

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		stories: { type: "string", default: "100" },
		out: { type: "string" },
	},
});
const [path, folder = "models/stories"] = positionals;
if (!path) {
	console.error(
		"Usage: npm run bench:exits -- <text file> [model folder] [--stories N] [--out NAME]",
	);
	process.exit(2);
}
const { model, tokenizer } = await loadFolder(folder, { kernel: "dot8" });
const { config } = model;
const engine = createEngine(model);
const stories = splitStories(await readFile(path, "utf8"))
	.map((text): Story => {
		const ids = tokenizer.encode(text);
		return {
			ids: [config.bosTokenId, ...ids, config.eosTokenId],
			bytes: Buffer.byteLength(text),
			tops: [],
		};
	})
	.filter(({ ids }) => ids.length <= config.maxSeqLen)
	.slice(0, Number(values.stories));
const predictions = stories.reduce((sum, { ids }) => sum + ids.length - 1, 0);
const bytes = stories.reduce((sum, story) => sum + story.bytes, 0);

/** What the head at every exit costs beyond what the engine has counted. */
let extraMacs = 0;
/** The model with gates that run the head and look how sure it is. */
const confident: Model = {
	...model,
	gate(exit, slot) {
		const logits = model.head(exit, slot);
		extraMacs += headMacs(config) - gateMacs(config);
		const p = Math.exp(-crossEntropy(logits, argmax(logits)));
		return Math.log(p / (1 - p));
	},
};
const confidentEngine = createEngine(confident);

async function measure(
	policy: string,
	setting: number,
	optionsOf: (story: Story) => ExitOptions,
): Promise<Point> {
	let nats = 0;
	let agree = 0;
	let macs = 0;
	extraMacs = 0;
	for (const story of stories) {
		const { ids, tops } = story;
		let at = 1;
		const isFull = policy === "full";
		const tokens = (
			policy === "confidence" ? confidentEngine : engine
		).generate(ids.slice(0, 1), {
			maxTokens: ids.length - 1,
			exit: optionsOf(story),
			sample(logits) {
				const target = ids[at] as number;
				nats += crossEntropy(logits, target);
				const top = argmax(logits);
				if (isFull) tops[at] = top;
				if (tops[at] === top) agree++;
				at++;
				return target;
			},
		});
		for (;;) {
			const { value, done } = await tokens.next();
			if (!done) {
				if (value.exitLayer < config.nLayers && policy === "confidence")
					extraMacs -= headMacs(config);
				continue;
			}
			if (at !== ids.length)
				throw new Error(`${policy} ${setting} ended a story early`);
			macs += value.macs;
			break;
		}
	}
	process.stderr.write(`\r${policy} ${setting}        `);
	return {
		policy,
		setting,
		macsPerToken: (macs + extraMacs) / predictions,
		bitsPerByte: nats / Math.LN2 / bytes,
		agreement: agree / predictions,
	};
}

/** Of a story at full depth. */
function fullMacs({ ids }: Story): number {
	let macs = 0;
	for (let position = 0; position < ids.length - 1; position++)
		macs += tokenMacs(config, position, config.nLayers) + headMacs(config);
	return macs;
}

/** Bits per byte on the line between the two fixed layers next to so many MACs. */
function fixedLayersAt(macsPerToken: number): number {
	const layers = points.filter(({ policy }) => policy === "layer");
	const above = layers.findIndex((point) => point.macsPerToken >= macsPerToken);
	const [a, b] = layers.slice(Math.max(above - 1, 0));
	if (above < 0 || !a || !b) return (layers.at(-1) as Point).bitsPerByte;
	const share =
		(macsPerToken - a.macsPerToken) / (b.macsPerToken - a.macsPerToken);
	return a.bitsPerByte + share * (b.bitsPerByte - a.bitsPerByte);
}

const points = [await measure("full", 1, () => ({ exit: "full" }))];
for (const layer of config.exits)
	points.push(await measure("layer", layer, () => ({ exit: "layer", layer })));
for (const threshold of THRESHOLDS) {
	const exit = { exit: "gate", threshold } as const;
	const caughtUp = { ...exit, skipped: "catch-up" } as const;
	points.push(
		await measure("gate", threshold, () => exit),
		await measure("gate, catch-up", threshold, () => caughtUp),
		await measure("confidence", threshold, () => exit),
	);
}
for (const share of BUDGETS)
	points.push(
		await measure("budget", share, (story) => ({
			exit: "budget",
			budgetMacs: Math.ceil(share * fullMacs(story)),
		})),
	);
process.stderr.write("\n");

console.log(
	"| policy | threshold, layer or share | million MACs per token | bits per byte | of fixed layers, there | top token as the full model's |",
);
console.log("| - | - | - | - | - | - |");
for (const { policy, setting, ...point } of points)
	console.log(
		`| ${policy} | ${setting} | ${(point.macsPerToken / 1e6).toFixed(2)} | ${point.bitsPerByte.toFixed(4)} | ${fixedLayersAt(point.macsPerToken).toFixed(4)} | ${(point.agreement * 100).toFixed(1)} % |`,
	);
const result = {
	model: basename(folder),
	text: basename(path),
	stories: stories.length,
	predictions,
	points,
};
if (values.out) {
	await writeJson(`${values.out}.json`, result);
	const series = (y: "bitsPerByte" | "agreement") =>
		Object.fromEntries(
			["layer", "gate", "gate, catch-up", "confidence", "budget"].map(
				(policy) => [
					policy,
					points
						.filter((point) => point.policy === policy)
						.map((point) => ({ x: point.macsPerToken / 1e6, y: point[y] })),
				],
			),
		);
	const common = {
		subtitle: `${basename(folder)}, ${stories.length} stories of ${basename(path)}`,
		x: "million multiply-accumulates per token",
		points: true,
	};
	await writeChart(`${values.out}.svg`, {
		...common,
		title: "Exit policies: quality against work",
		y: "bits per byte",
		series: series("bitsPerByte"),
	});
	await writeChart(`${values.out}-agreement.svg`, {
		...common,
		title: "Exit policies: agreement with the full model's top token",
		y: "share of positions",
		series: series("agreement"),
	});
}
console.log(`\n${JSON.stringify(result)}`);
