/**
 * Whether `budget_ms` holds: the CPU time of requests that ask for so many milliseconds.
 *
 *   npm run bench:budget [-- --ms 10 --requests 100]
 *
 * Requests differ in prompt and seed, and get the MACs that wrangler.toml's MACS_PER_MS makes of the
 * milliseconds, on wrangler.toml's kernel. They ask for 32 tokens, or for all that the context holds, which
 * is the worst case: shallow tokens have the most beside their products. Measured are the CPU time of this
 * Node's thread around a completion, and, where /proc tells it, that of workerd, all its threads, around a
 * request. The last line is JSON.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { unstable_readConfig } from "wrangler";
import { startWorker } from "../scripts/wrangler.ts";
import { complete } from "../src/completion.ts";
import { createEngine } from "../src/engine.ts";
import { loadStories } from "../src/node.ts";
import { createSampler } from "../src/sampler.ts";
import type { Kernel } from "../src/wasm.ts";
import { median } from "./measure.ts";
import { cpuMs, findWorkerd } from "./workerd.ts";

const PROMPTS = [
	"Once upon a time",
	"One day, a little dog named Max found a big red ball in the park.",
	"Lily and Tom liked to play. They had a box of toys, and in it was",
];
const MAX_TOKENS = [32, 512];
const WARM_UP = 20;

interface Outcome {
	cpuMs: number;
	exitLayers: Record<string, number>;
}
/** One request; `seed` makes another each time. */
type Run = (
	prompt: string,
	maxTokens: number,
	seed: number,
) => Promise<Outcome>;

const { values } = parseArgs({
	options: {
		ms: { type: "string", default: "10" },
		requests: { type: "string", default: "100" },
	},
});
const budgetMs = Number(values.ms);
const requests = Number(values.requests);
const vars = unstable_readConfig({ config: "wrangler.toml" }).vars as {
	KERNEL: Kernel;
	MACS_PER_MS: number;
};
const { model, tokenizer } = await loadStories({ kernel: vars.KERNEL });
const engine = createEngine(model);
const worker = await startWorker({ port: 8797, ready: "/health" });

const inNode: Run = async (prompt, maxTokens, seed) => {
	const begun = process.threadCpuUsage();
	const pieces = complete(engine, tokenizer, prompt, {
		maxTokens,
		sample: createSampler({ temperature: 1, topP: 1, seed }),
		exit: { exit: "budget", budgetMacs: budgetMs * vars.MACS_PER_MS },
	});
	for (;;) {
		const { value, done } = await pieces.next();
		if (!done) continue;
		const { user, system } = process.threadCpuUsage(begun);
		return { cpuMs: (user + system) / 1000, exitLayers: value.exitLayers };
	}
};

const inWorkerd =
	(pid: number): Run =>
	async (prompt, maxTokens, seed) => {
		const begun = await cpuMs(pid);
		const response = await fetch(`${worker.url}/v1/completions`, {
			method: "POST",
			body: JSON.stringify({
				prompt,
				max_tokens: maxTokens,
				seed,
				bitskip: { exit: "budget", budget_ms: budgetMs },
			}),
		});
		const { bitskip } = (await response.json()) as {
			bitskip: { exit_layers: Record<string, number> };
		};
		return {
			cpuMs: (await cpuMs(pid)) - begun,
			exitLayers: bitskip.exit_layers,
		};
	};

const runs: Record<string, Run> = { "node, engine": inNode };
const workerd = await findWorkerd();
if (workerd) runs["workerd, whole request"] = inWorkerd(workerd);
else console.log("no /proc here: workerd's CPU time is not known");

const outcomes = new Map<string, Outcome[]>();
for (let i = -WARM_UP; i < requests; i++) {
	const seed = i + WARM_UP;
	// The number in front leaves nothing to reuse of an earlier request's keys and values.
	const prompt = `${seed}. ${PROMPTS[seed % PROMPTS.length]}`;
	for (const maxTokens of MAX_TOKENS)
		for (const [name, run] of Object.entries(runs)) {
			const outcome = await run(prompt, maxTokens, seed);
			const key = `${name} | ${maxTokens}`;
			if (i >= 0) outcomes.set(key, [...(outcomes.get(key) ?? []), outcome]);
		}
	process.stderr.write(`\r${Math.max(i + 1, 0)} of ${requests} requests `);
}
process.stderr.write("\n");
await worker.stop();

console.log(
	`${cpus()[0]?.model}; Node ${process.version}; kernel ${vars.KERNEL}; ${budgetMs} ms at ${vars.MACS_PER_MS} MACs per ms\n`,
);
console.log(
	"| | tokens asked for | CPU ms, median | 99 of 100 below | most | within budget | tokens got, median | left at layer, all |",
);
console.log("| - | - | - | - | - | - | - | - |");
const result = [...outcomes].map(([name, list]) => {
	const ms = list.map((outcome) => outcome.cpuMs).toSorted((a, b) => a - b);
	const layers: Record<string, number> = {};
	for (const { exitLayers } of list)
		for (const [layer, count] of Object.entries(exitLayers))
			layers[layer] = (layers[layer] ?? 0) + count;
	const tokens = list.map(({ exitLayers }) =>
		Object.values(exitLayers).reduce((sum, count) => sum + count, 0),
	);
	return {
		name,
		medianMs: median(ms),
		p99Ms: ms[Math.ceil(ms.length * 0.99) - 1] as number,
		maxMs: ms.at(-1) as number,
		withinBudget: ms.filter((value) => value < budgetMs).length / ms.length,
		medianTokens: median(tokens),
		layers,
	};
});
for (const row of result)
	console.log(
		`| ${row.name} | ${row.medianMs.toFixed(1)} | ${row.p99Ms.toFixed(1)} | ${row.maxMs.toFixed(1)} | ${(100 * row.withinBudget).toFixed(0)} % | ${row.medianTokens} | ${Object.entries(
			row.layers,
		)
			.map(([layer, count]) => `${count} at ${layer}`)
			.join(", ")} |`,
	);
console.log(
	`\n${JSON.stringify({ budgetMs, macsPerMs: vars.MACS_PER_MS, kernel: vars.KERNEL, requests, result })}`,
);
