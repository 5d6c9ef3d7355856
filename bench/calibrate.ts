/**
 * How many multiply-accumulates a millisecond buys: the figure that turns `budget_ms` into MACs.
 *
 *   npm run calibrate [-- --requests 40]
 *
 * Whole completions run in this Node, and over HTTP in a local workerd as wrangler.toml configures it,
 * at every exit; tokenizer and sampler are in the time. The local proxy before workerd takes some ten
 * milliseconds a request: what `GET /health` takes is subtracted. The last line is for wrangler.toml:
 * what 95 of 100 requests to workerd reached at the least favourable exit, less a fifth.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startWorker } from "../scripts/wrangler.ts";
import { complete } from "../src/completion.ts";
import { createEngine } from "../src/engine.ts";
import { loadStories } from "../src/node.ts";
import { createSampler } from "../src/sampler.ts";
import { median } from "./measure.ts";

/** For requests slower than those seen, and machines slower than this. */
const MARGIN = 0.8;
const PROMPT = "Once upon a time";
const MAX_TOKENS = 240;

/** MACs of one completion and milliseconds; `seed` makes another each time. */
type Run = (
	layer: number,
	seed: number,
) => Promise<{ macs: number; ms: number }>;

const { values } = parseArgs({
	options: { requests: { type: "string", default: "100" } },
});
const requests = Number(values.requests);
const worker = await startWorker({ port: 8798, ready: "/health" });
const { model, tokenizer } = await loadStories();
const engine = createEngine(model);
const { exits } = model.config;

const inNode: Run = async (layer, seed) => {
	const begun = performance.now();
	const pieces = complete(engine, tokenizer, PROMPT, {
		maxTokens: MAX_TOKENS,
		sample: createSampler({ temperature: 1, topP: 1, seed }),
		exit: { exit: "layer", layer },
	});
	for (;;) {
		const { value, done } = await pieces.next();
		if (done) return { macs: value.macs, ms: performance.now() - begun };
	}
};

const proxyMs: number[] = [];
const inWorkerd: Run = async (layer, seed) => {
	const before = performance.now();
	await (await fetch(`${worker.url}/health`)).text();
	const begun = performance.now();
	proxyMs.push(begun - before);
	const response = await fetch(`${worker.url}/v1/completions`, {
		method: "POST",
		body: JSON.stringify({
			prompt: PROMPT,
			max_tokens: MAX_TOKENS,
			seed,
			bitskip: { exit: "layer", layer },
		}),
	});
	const { bitskip } = (await response.json()) as { bitskip: { macs: number } };
	const ms = performance.now() - begun - median(proxyMs);
	return { macs: bitskip.macs, ms };
};

const runtimes: Record<string, Run> = {
	[`node, ${model.kernel}`]: inNode,
	workerd: inWorkerd,
};
const rates = new Map<string, number[]>();
// The first rounds compile and warm up.
for (let seed = -5; seed < requests; seed++) {
	for (const [name, run] of Object.entries(runtimes))
		for (const layer of exits) {
			const { macs, ms } = await run(layer, seed + 5);
			const key = `${name} | ${layer}`;
			if (seed >= 0) rates.set(key, [...(rates.get(key) ?? []), macs / ms]);
		}
	process.stderr.write(`\r${Math.max(seed + 1, 0)} of ${requests} requests `);
}
process.stderr.write("\n");
await worker.stop();

console.log(
	`${cpus()[0]?.model}; Node ${process.version}; ${requests} requests of ${MAX_TOKENS} tokens\n`,
);
console.log(
	"| | exit at layer | million MACs per ms, median | reached by 95 of 100 |",
);
console.log("| - | - | - | - |");
for (const [key, measured] of rates)
	console.log(
		`| ${key} | ${(median(measured) / 1e6).toFixed(1)} | ${(reached(measured) / 1e6).toFixed(1)} |`,
	);
const slowest = Math.min(
	...[...rates].flatMap(([key, measured]) =>
		key.startsWith("workerd") ? [reached(measured)] : [],
	),
);
console.log(`\nMACS_PER_MS = ${Math.floor((slowest * MARGIN) / 1e5) * 1e5}`);

function reached(measured: number[]): number {
	const sorted = measured.toSorted((a, b) => a - b);
	return sorted[Math.floor(sorted.length * 0.05)] as number;
}
