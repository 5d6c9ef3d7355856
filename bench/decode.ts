/**
 * How fast the shipped model is: all kernels, in this Node and in workerd, at every exit, one thread.
 *
 *   npm run bench [-- --rounds N] [--out bench/results/decode]
 *
 * Rounds of all variants alternate, so that noise of the machine hits all alike; medians over rounds are
 * shown, and of single tokens the percentiles over all rounds. workerd's clock is too coarse for these.
 * `--out` writes <name>.json and <name>.svg. The last line is JSON.
 */

import { createRequire } from "node:module";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startWorker } from "../scripts/wrangler.ts";
import { loadStories } from "../src/node.ts";
import { KERNELS } from "../src/wasm.ts";
import {
	type Measurement,
	measureRound,
	median,
	POSITIONS,
	PROMPT,
	quantile,
} from "./measure.ts";
import { writeChart, writeJson } from "./plot.ts";

const { values } = parseArgs({
	options: {
		rounds: { type: "string", default: "15" },
		out: { type: "string" },
	},
});
const rounds = Number(values.rounds);
const { version: workerdVersion } = createRequire(import.meta.url)(
	"workerd/package.json",
) as { version: string };

const worker = await startWorker({
	config: "bench/wrangler.toml",
	port: 8799,
	ready: "/",
});
interface Variant {
	name: string;
	memoryBytes: number;
	run: () => Promise<Measurement[]>;
}
const inNode: Variant[] = [];
for (const kernel of KERNELS) {
	const { model } = await loadStories({ kernel });
	inNode.push({
		name: `node ${kernel}`,
		memoryBytes: model.memoryBytes,
		run: async () => measureRound(model),
	});
}
const variants: Variant[] = [
	...inNode,
	...KERNELS.map((kernel, i) => ({
		name: `workerd ${kernel}`,
		memoryBytes: inNode[i]?.memoryBytes as number,
		run: async () =>
			(await fetch(`${worker.url}/${kernel}`)).json() as Promise<Measurement[]>,
	})),
];

const results = new Map<string, Measurement[][]>();
// The first two rounds compile and warm up.
for (let round = -2; round < rounds; round++) {
	for (const { name, run } of variants) {
		const measured = await run();
		if (round >= 0) results.set(name, [...(results.get(name) ?? []), measured]);
	}
	process.stderr.write(`\rround ${Math.max(round + 1, 0)} of ${rounds} `);
}
process.stderr.write("\n");
await worker.stop();

const summary = variants.map(({ name, memoryBytes }) => {
	const runs = results.get(name) as Measurement[][];
	const exits = (runs[0] as Measurement[]).map(({ layer }, exit) => {
		const all = runs.map((run) => run[exit] as Measurement);
		const of = (key: Exclude<keyof Measurement, "tokenMs">) =>
			median(all.map((measurement) => measurement[key]));
		const tokenMs = all.flatMap((measurement) => measurement.tokenMs ?? []);
		return {
			layer,
			decode: of("decodeTokensPerSecond"),
			prefill: of("prefillTokensPerSecond"),
			macsPerSecond: of("decodeMacsPerSecond"),
			firstTokenMs: of("firstTokenMs"),
			...(tokenMs.length > 0 && {
				tokenMs: [0.5, 0.95, 0.99].map((share) => quantile(tokenMs, share)),
			}),
		};
	});
	return { name, memoryBytes, exits };
});
const cpu = cpus()[0]?.model ?? "unknown CPU";
console.log(
	`${cpu}; Node ${process.version}; median of ${rounds} rounds of ${POSITIONS} tokens; prompts of ${PROMPT} tokens\n`,
);
console.log(
	"| | exit at layer | decode, tokens/s | against full depth | GMAC/s | a token, ms: p50, p95, p99 | prefill, tokens/s | first token, ms |",
);
console.log("| - | - | - | - | - | - | - | - |");
for (const { name, exits } of summary) {
	const full = exits.at(-1)?.decode as number;
	for (const exit of exits) {
		const row = [
			name,
			exit.layer,
			exit.decode.toFixed(0),
			`${(exit.decode / full).toFixed(2)}x`,
			(exit.macsPerSecond / 1e9).toFixed(1),
			exit.tokenMs?.map((ms) => ms.toFixed(3)).join(", ") ?? "",
			exit.prefill.toFixed(0),
			exit.firstTokenMs.toFixed(1),
		];
		console.log(`| ${row.join(" | ")} |`);
	}
}
const megabytes = (summary[0]?.memoryBytes as number) / 2 ** 20;
console.log(
	`\nThe module's memory, one sequence: ${megabytes.toFixed(1)} MiB. BitSkip (arXiv 2510.23766v1), its V1: ` +
		"32.0 tokens/s, leaving at 3/4 of the depth 1.33x; its fp32 model 97.8 and 1.31x.",
);
const result = {
	cpu,
	node: process.version,
	v8: process.versions.v8,
	workerd: workerdVersion,
	rounds,
	summary,
};
if (values.out) {
	await writeJson(`${values.out}.json`, result);
	await writeChart(`${values.out}.svg`, {
		title: "Decoding speed by exit",
		subtitle: `${cpu}, one thread, Node ${process.version} and workerd ${workerdVersion}`,
		x: "exit at layer",
		y: "tokens per second",
		points: true,
		series: Object.fromEntries(
			summary.map(({ name, exits }) => [
				name,
				exits.map(({ layer, decode }) => ({ x: layer, y: decode })),
			]),
		),
	});
}
console.log(`\n${JSON.stringify(result)}`);
