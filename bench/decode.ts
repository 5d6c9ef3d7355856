/**
 * Tokens per second of the shipped model: all kernels, in this Node and in workerd, at every exit.
 *
 *   npm run bench [-- --rounds N]
 *
 * Rounds of all variants alternate, so that noise of the machine hits all alike; medians are shown.
 * The last line is JSON.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startWorker } from "../scripts/wrangler.ts";
import { loadStories } from "../src/node.ts";
import { KERNELS } from "../src/wasm.ts";
import { type Measurement, measureRound, median } from "./measure.ts";

const { values } = parseArgs({
	options: { rounds: { type: "string", default: "15" } },
});
const rounds = Number(values.rounds);

const worker = await startWorker({
	config: "bench/wrangler.toml",
	port: 8799,
	ready: "/",
});
const variants: { name: string; run: () => Promise<Measurement[]> }[] = [];
for (const kernel of KERNELS) {
	const { model } = await loadStories({ kernel });
	variants.push({
		name: `node ${kernel}`,
		run: async () => measureRound(model),
	});
}
for (const kernel of KERNELS)
	variants.push({
		name: `workerd ${kernel}`,
		run: async () =>
			(await fetch(`${worker.url}/${kernel}`)).json() as Promise<Measurement[]>,
	});

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

const summary = variants.map(({ name }) => {
	const runs = results.get(name) as Measurement[][];
	const exits = (runs[0] as Measurement[]).map(({ layer }, exit) => {
		const of = (key: "decodeTokensPerSecond" | "prefillTokensPerSecond") =>
			median(runs.map((run) => (run[exit] as Measurement)[key]));
		return {
			layer,
			decode: of("decodeTokensPerSecond"),
			prefill: of("prefillTokensPerSecond"),
		};
	});
	return { name, exits };
});
const cpu = cpus()[0]?.model ?? "unknown CPU";
console.log(
	`${cpu}; Node ${process.version}; median of ${rounds} rounds of 256 tokens\n`,
);
console.log(
	"| | exit at layer | decode, tokens/s | against full depth | prefill, tokens/s |",
);
console.log("| - | - | - | - | - |");
for (const { name, exits } of summary) {
	const full = exits.at(-1)?.decode as number;
	for (const { layer, decode, prefill } of exits)
		console.log(
			`| ${name} | ${layer} | ${decode.toFixed(0)} | ${(decode / full).toFixed(2)}x | ${prefill.toFixed(0)} |`,
		);
}
console.log(
	`\n${JSON.stringify({ cpu, node: process.version, v8: process.versions.v8, rounds, summary })}`,
);
