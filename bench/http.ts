/**
 * The endpoint under load, in a local workerd: streams side by side, and a short request beside long ones.
 *
 *   npm run bench:http [-- --seconds 5] [--out bench/results/http]
 *
 * Times are a client's, with wrangler's local proxy in them (some ten milliseconds a request). Fails where
 * an answer is not 200 or a stream is cut. `--out` writes <name>.json and <name>.svg. The last line is
 * JSON.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { startWorker } from "../scripts/wrangler.ts";
import { median, quantile } from "./measure.ts";
import { writeChart, writeJson } from "./plot.ts";
import { findWorkerd, residentBytes } from "./workerd.ts";

const STREAMS = [1, 2, 4, 8, 16, 32, 64];
/** Tokens of a stream, of a long request and of a short one. */
const [TOKENS, LONG, SHORT] = [100, 450, 8];
const SHORT_REQUESTS = 50;

interface Outcome {
	firstTokenMs: number;
	totalMs: number;
	tokens: number;
}

const { values } = parseArgs({
	options: {
		seconds: { type: "string", default: "5" },
		out: { type: "string" },
	},
});
const seconds = Number(values.seconds);
const worker = await startWorker({ port: 8796, ready: "/health" });
const pid = await findWorkerd();
let seed = 0;

/** Streams one completion; no temperature ends it early often, so most have all their tokens. */
async function stream(maxTokens: number): Promise<Outcome> {
	const begun = performance.now();
	const response = await fetch(`${worker.url}/v1/completions`, {
		method: "POST",
		body: JSON.stringify({
			prompt: "Once upon a time",
			max_tokens: maxTokens,
			seed: seed++,
			stream: true,
		}),
	});
	if (response.status !== 200 || !response.body)
		throw new Error(`${response.status}: ${await response.text()}`);
	let firstTokenMs = 0;
	let text = "";
	for await (const chunk of response.body.pipeThrough(
		new TextDecoderStream(),
	)) {
		firstTokenMs ||= performance.now() - begun;
		text += chunk;
	}
	if (!text.endsWith("data: [DONE]\n\n")) throw new Error("a stream was cut");
	const tokens = text.match(/"exit_layer":/g)?.length ?? 0;
	return { firstTokenMs, totalMs: performance.now() - begun, tokens };
}

/** `count` clients, each with one stream after the other, until the time is up. */
async function load(count: number): Promise<Outcome[]> {
	const outcomes: Outcome[] = [];
	const end = performance.now() + seconds * 1000;
	const client = async () => {
		while (performance.now() < end) outcomes.push(await stream(TOKENS));
	};
	await Promise.all(Array.from({ length: count }, client));
	return outcomes;
}

await load(4);
const memory = async () => (pid ? (await residentBytes(pid)) / 2 ** 20 : NaN);
const memoryBefore = await memory();
const levels = [];
for (const streams of STREAMS) {
	process.stderr.write(`\r${streams} streams   `);
	const begun = performance.now();
	const outcomes = await load(streams);
	const elapsed = (performance.now() - begun) / 1000;
	const of = (key: keyof Outcome, share: number) =>
		quantile(
			outcomes.map((outcome) => outcome[key]),
			share,
		);
	levels.push({
		streams,
		requests: outcomes.length,
		tokensPerSecond:
			outcomes.reduce((sum, { tokens }) => sum + tokens, 0) / elapsed,
		firstTokenMs: [of("firstTokenMs", 0.5), of("firstTokenMs", 0.99)],
		totalMs: [of("totalMs", 0.5), of("totalMs", 0.99)],
		memoryMib: await memory(),
	});
}

/** Milliseconds of short requests, one after the other, while `long` clients keep long ones going. */
async function shortBeside(long: number): Promise<number[]> {
	let isOver = false;
	const clients = Array.from({ length: long }, async () => {
		while (!isOver) await stream(LONG);
	});
	const times: number[] = [];
	for (let i = 0; i < SHORT_REQUESTS; i++)
		times.push((await stream(SHORT)).totalMs);
	isOver = true;
	await Promise.all(clients);
	return times;
}
const fairness = [];
for (const long of [0, 1, 3, 8]) {
	process.stderr.write(`\ra short request beside ${long} long ones   `);
	const times = await shortBeside(long);
	fairness.push({
		long,
		medianMs: median(times),
		p99Ms: quantile(times, 0.99),
	});
}
process.stderr.write("\n");
await worker.stop();

console.log(
	`${cpus()[0]?.model}; Node ${process.version}; ${seconds} s each, ${TOKENS} tokens a stream\n`,
);
console.log(
	"| streams | requests | tokens/s | first token, ms: p50, p99 | whole stream, ms: p50, p99 | workerd, MiB |",
);
console.log("| - | - | - | - | - | - |");
const pair = (times: number[]) => times.map((ms) => ms.toFixed(0)).join(", ");
for (const level of levels)
	console.log(
		`| ${level.streams} | ${level.requests} | ${level.tokensPerSecond.toFixed(0)} | ${pair(level.firstTokenMs)} | ${pair(level.totalMs)} | ${level.memoryMib.toFixed(0)} |`,
	);
console.log(`\nBefore the first: ${memoryBefore.toFixed(0)} MiB.\n`);
console.log(
	`| long requests (${LONG} tokens) beside | a short one (${SHORT} tokens), ms: median | p99 |`,
);
console.log("| - | - | - |");
for (const { long, medianMs, p99Ms } of fairness)
	console.log(`| ${long} | ${medianMs.toFixed(0)} | ${p99Ms.toFixed(0)} |`);
const result = {
	cpu: cpus()[0]?.model,
	node: process.version,
	seconds,
	memoryBefore,
	levels,
	fairness,
};
if (values.out) {
	await writeJson(`${values.out}.json`, result);
	await writeChart(`${values.out}.svg`, {
		title: "The endpoint under load",
		subtitle: `${cpus()[0]?.model}, local workerd behind wrangler's proxy`,
		x: "streams side by side",
		y: "tokens per second, all together",
		points: true,
		series: {
			"tokens per second": levels.map(({ streams, tokensPerSecond }) => ({
				x: streams,
				y: tokensPerSecond,
			})),
		},
	});
}
console.log(`\n${JSON.stringify(result)}`);
