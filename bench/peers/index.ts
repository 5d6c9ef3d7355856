/**
 * Decoding and prefill side by side with other runtimes: one thread, a process each, alternating rounds.
 *
 *   npm run bench:peers [-- --rounds 7] [--shapes 24x128,24x256,stories15M] [--only onnx] [--out bench/results/peers]
 *
 * Installs the peers into bench/peers first (more than 1 GB). `--only` takes those whose name holds the text, and
 * ours. `--out` writes <name>.json, <name>.md and <name>.svg. A round that had less than 0.9 of a CPU is measured again.
 */

import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "../measure.ts";
import { writeBarChart, writeJson } from "../plot.ts";
import { MODELS, type Shape, writeModel } from "./models.ts";
import { PEERS, type Peer } from "./peers.ts";
import { type Measured, PeerProcess } from "./process.ts";
import {
	DIFFERENCES,
	type Row,
	type ShapeResult,
	table,
	targetLines,
	targets,
} from "./report.ts";
import type { Job } from "./session.ts";
import { startWorkerdPeer } from "./workerd_peer.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
/** The first rounds of all peers are not counted. */
const WARM_UP_ROUNDS = 1;
const { values } = parseArgs({
	options: {
		rounds: { type: "string", default: "7" },
		shapes: { type: "string", default: Object.keys(MODELS).join() },
		only: { type: "string", default: "" },
		out: { type: "string" },
	},
});
const rounds = Number(values.rounds);
const shapes = values.shapes.split(",");
const unknown = shapes.find((name) => !MODELS[name]);
if (unknown !== undefined || !(Number.isInteger(rounds) && rounds > 0)) {
	console.error(
		`--rounds is a number from 1, --shapes are of ${Object.keys(MODELS)}, between commas`,
	);
	process.exit(2);
}

/**
 * Scripts of the packages are not run: all that they need is in them. Not `npm ci`: it refuses the lock, for
 * node-llama-cpp names optional packages for other platforms that are not published.
 */
function install(): void {
	if (existsSync(join(HERE, "node_modules/.package-lock.json"))) return;
	process.stderr.write("installing the peers into bench/peers\n");
	execFileSync(
		"npm",
		["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"],
		{
			cwd: HERE,
			stdio: ["ignore", "inherit", "inherit"],
		},
	);
}

interface Running {
	row: Omit<Row, "decode" | "prefill" | "cpuShare">;
	measure(): Promise<Measured>;
	stop(): Promise<void> | void;
	measured: Measured[];
}

async function startPeer(
	{ name, kind, worker, runner, format, options, trials }: Peer,
	shape: Shape,
	folder: string,
	reference: number[] | undefined,
): Promise<{ running: Running; logits: number[] }> {
	const { nHeads, nKvHeads, dim, nLayers, vocabSize } = shape.weights.config;
	const model = writeModel(shape, format, folder);
	const kvDim = (dim / nHeads) * nKvHeads;
	const job = { runner, model, options, vocabSize, nLayers, kvDim, nKvHeads };
	if (trials) job.options = await fastest(job, trials);
	const { peer, files, memoryBytes } = await PeerProcess.start(job);
	const logits = await peer.logits();
	const correlation =
		reference && shape.isSame ? similarity(logits, reference) : 1;
	if (!(correlation >= shape.minCorrelation)) {
		peer.stop();
		throw new Error(
			`its logits differ from the engine's: correlation ${correlation.toFixed(4)}`,
		);
	}
	const settings = Object.values(job.options).filter(Boolean).join(" ");
	return {
		logits,
		running: {
			row: {
				name: trials ? `${name}: ${settings}` : name,
				kind,
				worker,
				codeBytes: files.reduce((sum, file) => sum + statSync(file).size, 0),
				modelBytes: statSync(model).size,
				memoryBytes,
				...(shape.isSame && { correlation }),
			},
			measure: () => peer.measure(),
			stop: () => peer.stop(),
			measured: [],
		},
	};
}

/** Those of `trials` with which a job decodes fastest. Settings that do not run here are passed over. */
async function fastest(
	job: Job,
	trials: Record<string, string>[],
): Promise<Record<string, string>> {
	let best = { speed: 0, options: job.options };
	for (const options of trials) {
		try {
			const { peer } = await PeerProcess.start({ ...job, options });
			const { decode: speed } = await peer.measure();
			peer.stop();
			process.stderr.write(
				`  ${Object.values(options).join(" ")}: ${speed.toFixed(0)} tokens/s\n`,
			);
			if (speed > best.speed) best = { speed, options };
		} catch (error) {
			process.stderr.write(`  ${Object.values(options).join(" ")}: ${error}\n`);
		}
	}
	return best.options;
}

/** The correlation of two models' logits, which may differ by a constant. */
function similarity(a: number[], b: number[]): number {
	const mean = (x: number[]) =>
		x.reduce((sum, value) => sum + value) / x.length;
	const [meanA, meanB] = [mean(a), mean(b)];
	const dot = (x: number[], meanX: number, y: number[], meanY: number) =>
		x.reduce(
			(sum, value, i) => sum + (value - meanX) * ((y[i] as number) - meanY),
			0,
		);
	return (
		dot(a, meanA, b, meanB) /
		Math.sqrt(dot(a, meanA, a, meanA) * dot(b, meanB, b, meanB))
	);
}

async function compare(shape: Shape, folder: string): Promise<ShapeResult> {
	const all: Running[] = [];
	const skipped: ShapeResult["skipped"] = [];
	let reference: number[] | undefined;
	for (const peer of PEERS) {
		if (peer.kind !== "ours" && !peer.name.includes(values.only)) continue;
		process.stderr.write(`${shape.name}: starting ${peer.name}\n`);
		const refusal = peer.refuses?.(shape.weights.config);
		if (refusal) {
			skipped.push({ name: peer.name, why: refusal });
			continue;
		}
		try {
			const { running, logits } = await startPeer(
				peer,
				shape,
				folder,
				reference,
			);
			reference ??= logits;
			all.push(running);
		} catch (error) {
			// A peer's fault is a line of the report; one of ours ends the run.
			if (peer.kind === "ours") throw error;
			const why = error instanceof Error ? error.message : String(error);
			process.stderr.write(`  did not run: ${why}\n`);
			skipped.push({ name: peer.name, why });
		}
	}
	const strict = all.find(({ row }) => row.name === "BitSkip strict");
	if (strict) {
		const peer = await startWorkerdPeer(shape.image);
		const row = { ...strict.row, name: "BitSkip strict, workerd" };
		all.push({ row, measured: [], ...peer });
	}
	try {
		for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
			for (const { row, measure, measured } of all) {
				process.stderr.write(
					`\r\x1b[K${shape.name}: round ${Math.max(round + 1, 0)} of ${rounds}, ${row.name}`,
				);
				const result = await measure();
				if (round >= 0) measured.push(result);
			}
		}
	} finally {
		process.stderr.write("\n");
		for (const { stop } of all) await stop();
	}
	return {
		shape: shape.name,
		note: shape.note,
		skipped,
		rows: all.map(({ row, measured }) => ({
			...row,
			decode: median(measured.map(({ decode }) => decode)),
			prefill: median(measured.map(({ prefill }) => prefill)),
			cpuShare: Math.min(...measured.map(({ cpuShare }) => cpuShare)),
		})),
	};
}

install();
const { dependencies: versions } = JSON.parse(
	await readFile(join(HERE, "package.json"), "utf8"),
) as { dependencies: Record<string, string> };
const cpu = cpus()[0]?.model ?? "unknown CPU";
const setting = `${cpu}; Node ${process.version}, V8 ${process.versions.v8}; one thread, median of ${rounds} alternating rounds`;

const folder = await mkdtemp(join(tmpdir(), "bitskip-peers-"));
const results: ShapeResult[] = [];
try {
	for (const name of shapes) {
		results.push(await compare((MODELS[name] as () => Shape)(), folder));
		if (values.out) await write(values.out, results);
	}
} finally {
	await rm(folder, { recursive: true });
}
console.log(summarize(results).report);

/** The targets' ratios, and all as markdown. */
function summarize(results: ShapeResult[]) {
	const wide = results.find(({ shape }) => shape === "24x256");
	const reached = wide ? targets(wide.rows) : [];
	const report = [
		`${setting}.`,
		Object.entries(versions)
			.map(([name, version]) => `${name} ${version}`)
			.join(", "),
		...results.map(table),
		DIFFERENCES,
		...(reached.length > 0
			? [`Targets at 24x256, our best kernel:\n\n${targetLines(reached)}`]
			: []),
	].join("\n\n");
	return { reached, report };
}

async function write(out: string, results: ShapeResult[]): Promise<void> {
	const { reached, report } = summarize(results);
	await writeFile(`${out}.md`, `${report}\n`);
	await writeJson(`${out}.json`, {
		cpu,
		node: process.version,
		v8: process.versions.v8,
		versions,
		rounds,
		results,
		targets: reached,
	});
	await writeBarChart(`${out}.svg`, {
		title: "Decoding speed beside other runtimes",
		subtitle: setting,
		value: "tokens per second",
		bars: results.flatMap(({ shape, rows }) =>
			rows.map(({ name, decode }) => ({ group: shape, name, value: decode })),
		),
	});
}
