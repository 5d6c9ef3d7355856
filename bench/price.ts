/**
 * What a million tokens cost on Cloudflare Workers, from the model's MACs and wrangler.toml's MACS_PER_MS.
 *
 *   npm run price
 *
 * Prices are Cloudflare's of November 2026: change them here when they change.
 */

import { unstable_readConfig } from "wrangler";
import { headMacs, tokensMacs } from "../src/cost.ts";
import { loadStories } from "../src/node.ts";

/** Dollars. */
const PER_MILLION_CPU_MS = 0.02;
const PER_MILLION_REQUESTS = 0.3;
/** Workers AI's llama-3.2-1b-instruct, per million tokens; what is free a day, at its price for neurons. */
const WORKERS_AI = { input: 0.027, output: 0.201, freeADay: 10_000 * 0.011e-3 };
/** The free plan, a day and a request. */
const FREE = { requests: 100_000, cpuMs: 10 };
/** The mean token is one of a text of so many. */
const TEXT = 256;
const STORY = 150;
const PROMPT = 5;

const { MACS_PER_MS } = unstable_readConfig({ config: "wrangler.toml" })
	.vars as { MACS_PER_MS: number };
const { config } = (await loadStories()).model;
const head = headMacs(config);

console.log(
	`${MACS_PER_MS / 1e6} million MACs per ms; the mean token of a text of ${TEXT}\n`,
);
console.log(
	"| exit at layer | ms a token written | $ per million read | $ per million written | tokens in the free plan's 10 ms |",
);
console.log("| - | - | - | - | - |");
for (const layer of config.exits) {
	const read = tokensMacs(config, 0, TEXT, layer) / TEXT;
	const [msRead, msWritten] = [read, read + head].map(
		(macs) => macs / MACS_PER_MS,
	) as [number, number];
	const price = (ms: number) => (ms * PER_MILLION_CPU_MS).toFixed(4);
	console.log(
		`| ${layer} | ${msWritten.toFixed(2)} | ${price(msRead)} | ${price(msWritten)} | ${written(layer)} |`,
	);
}
console.log(
	`\nRequests, ${STORY} tokens each: $${(PER_MILLION_REQUESTS / STORY).toFixed(4)} per million tokens.`,
);
console.log(
	`Workers AI, llama-3.2-1b-instruct: $${WORKERS_AI.input} read, $${WORKERS_AI.output} written; free ${(WORKERS_AI.freeADay / WORKERS_AI.output).toFixed(2)} million tokens written a day.`,
);
console.log(
	`Ours on the free plan, each request as long as its 10 ms: ${config.exits.map((layer) => `${(FREE.requests * written(layer)) / 1e6} million at layer ${layer}`).join(", ")}.`,
);

/** Tokens that fit into the free plan's CPU time, behind a prompt of a few. */
function written(layer: number): number {
	let tokens = 0;
	const macs = (n: number) =>
		tokensMacs(config, 0, PROMPT + n - 1, layer) + n * head;
	while (macs(tokens + 1) <= FREE.cpuMs * MACS_PER_MS) tokens++;
	return tokens;
}
