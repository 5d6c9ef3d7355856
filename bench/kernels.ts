/**
 * The matrix products against each other and against C, and where the time of a token goes.
 *
 *   npm run bench:kernels
 *
 * Variants alternate in rounds inside one process (C in a process of its own, between them), and
 * medians are compared. The last line is JSON.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel, type Model } from "../src/wasm.ts";
import { Kernels } from "../test/support/kernels.ts";
import { median } from "./measure.ts";
import { randomImage, SHAPES } from "./random_model.ts";

const ROUNDS = 9;
/** Rows and columns of the shapes' largest matrices. */
const MATRICES = [
	[128, 128],
	[512, 128],
	[128, 512],
	[1024, 256],
	[256, 1024],
] as const;

const read = (name: string) =>
	readFileSync(new URL(`../build/${name}.wasm`, import.meta.url));
const compile = (name: string) => new WebAssembly.Module(read(name));

/** Seconds of one call, of many. */
function time(call: () => void): number {
	let repeats = 1;
	for (;;) {
		const begun = performance.now();
		for (let i = 0; i < repeats; i++) call();
		const ms = performance.now() - begun;
		if (ms > 2) return ms / 1000 / repeats;
		repeats *= 2;
	}
}

/** Median seconds of each variant, rounds alternating; the first two rounds warm up. */
function compare<Name extends string>(
	variants: Record<Name, () => number>,
): Record<Name, number> {
	const names = Object.keys(variants) as Name[];
	const times = Object.fromEntries(
		names.map((name) => [name, [] as number[]]),
	) as Record<Name, number[]>;
	for (let round = -2; round < ROUNDS; round++)
		for (const name of names) {
			const seconds = variants[name]();
			if (round >= 0) times[name].push(seconds);
		}
	return Object.fromEntries(
		names.map((name) => [name, median(times[name])]),
	) as Record<Name, number>;
}

/** A program that prints GMAC/s for shapes, or why there is none. */
function compileNative(folder: string): string | undefined {
	const program = join(folder, "ternary");
	const source = new URL("native/ternary.c", import.meta.url).pathname;
	const args = ["-O3", "-march=native", source, "-o", program];
	const { status, stderr, error } = spawnSync("gcc", args);
	if (status === 0) return program;
	const why = error?.message ?? String(stderr).split("\n")[0];
	console.log(`no comparison with C: ${why}\n`);
	return undefined;
}

/** One call of a product of `rows` x `columns` by each kernel. */
function kernelCalls(rows: number, columns: number) {
	const strict = new Kernels(compile("kernels-strict"));
	const relaxed = new Kernels(compile("kernels-relaxed"));
	const ternary = (k: Kernels, kernel: number, count: number) => {
		const x = k.allocate(k.call("quantizedSize", columns) * 2);
		const w = k.allocate((rows * columns) / 4);
		const y = k.allocate(rows * 8);
		const stride = k.call("quantizedSize", columns);
		return () => {
			k.call("setKernel", kernel);
			const call = k.exports.matmulTernary as (...args: number[]) => number;
			return (
				time(() => call(y, rows * 4, w, x, stride, rows, columns, count, 1)) /
				count
			);
		};
	};
	const wF32 = strict.allocate(rows * columns * 4);
	const xF32 = strict.allocate(columns * 4);
	const yF32 = strict.allocate(rows * 4);
	const matvecF32 = strict.exports.matvecF32 as (...args: number[]) => number;
	return {
		f32: () => time(() => matvecF32(yF32, wF32, xF32, rows, columns, 1)),
		strict: ternary(strict, 0, 1),
		"strict, two tokens": ternary(strict, 0, 2),
		dot8: ternary(relaxed, 1, 1),
		"dot8, two tokens": ternary(relaxed, 1, 2),
		dot16: ternary(relaxed, 2, 1),
		"dot16, two tokens": ternary(relaxed, 2, 2),
	};
}

function benchKernels(native: string | undefined) {
	console.log("GMAC/s (weights in cache)\n");
	const results: Record<string, Record<string, number>> = {};
	for (const [rows, columns] of MATRICES) {
		const macs = rows * columns;
		const calls: Record<string, () => number> = {
			...kernelCalls(rows, columns),
			...(native && {
				"C, 128-bit VNNI": () =>
					macs / (Number(execFileSync(native, [`${rows}x${columns}`])) * 1e9),
			}),
		};
		const seconds: Record<string, number> = compare(calls);
		results[`${rows}x${columns}`] = Object.fromEntries(
			Object.entries(seconds).map(([name, s]) => [name, macs / s / 1e9]),
		);
		process.stderr.write(`\r${rows}x${columns} done `);
	}
	process.stderr.write("\n");
	const names = Object.keys(Object.values(results)[0] ?? {});
	console.log(`| | ${Object.keys(results).join(" | ")} |`);
	console.log(`| - |${" - |".repeat(MATRICES.length)}`);
	for (const name of names)
		console.log(
			`| ${name} | ${Object.values(results)
				.map((row) => row[name]?.toFixed(1))
				.join(" | ")} |`,
		);
	return results;
}

/** Seconds of one decoded token at `position`: embedding, all layers, head. */
function decodeStep(model: Model, position: number): number {
	const { nLayers, exits } = model.config;
	return time(() => {
		model.embed(0, 1);
		for (let l = 0; l < nLayers; l++) model.layer(0, l, position, 1);
		model.head(exits.length - 1, 0);
	});
}

/** Seconds a token of a whole batch that ends at `position`. */
function prefillStep(model: Model, position: number): number {
	const { nLayers } = model.config;
	const { maxBatch } = model;
	return (
		time(() => {
			for (let i = 0; i < maxBatch; i++) model.embed(i, 1);
			for (let l = 0; l < nLayers; l++)
				model.layer(0, l, position + 1 - maxBatch, maxBatch);
		}) / maxBatch
	);
}

/** Seconds of a token's matrix products alone, over as many different weights as the model has. */
function matrixStep(shape: keyof typeof SHAPES): () => number {
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, vocabSize } =
		SHAPES[shape];
	const kvDim = (dim / nHeads) * nKvHeads;
	const k = new Kernels(compile("kernels-relaxed"));
	k.memory.grow(256);
	const x = k.allocate(k.call("quantizedSize", hiddenDim));
	const y = k.allocate(4 * Math.max(vocabSize, 2 * hiddenDim));
	const layers = Array.from({ length: nLayers }, () =>
		(
			[
				[dim, dim],
				[kvDim, dim],
				[kvDim, dim],
				[dim, dim],
				[hiddenDim, dim],
				[hiddenDim, dim],
				[dim, hiddenDim],
			] as const
		).map(([rows, columns]) => ({
			rows,
			columns,
			w: k.allocate((rows * columns) / 4),
		})),
	).flat();
	const embedding = k.allocate(vocabSize * dim);
	const scales = k.allocate(vocabSize * 4);
	const { matmulTernary, matmulInt7 } = k.exports as Record<
		"matmulTernary" | "matmulInt7",
		(...args: number[]) => number
	>;
	return () =>
		time(() => {
			for (const { rows, columns, w } of layers)
				matmulTernary(y, 0, w, x, 0, rows, columns, 1, 1);
			matmulInt7(y, 0, embedding, scales, x, 0, vocabSize, dim, 1, 1);
		});
}

function benchSteps() {
	const results: Record<string, Record<string, number>> = {};
	for (const name of Object.keys(SHAPES) as (keyof typeof SHAPES)[]) {
		const model = loadModel(compile("relaxed"), randomImage(SHAPES[name]), {
			sequences: 1,
		});
		// Keys and values of all positions, so that attention sees real numbers.
		for (let at = 0; at < 512; at += model.maxBatch) {
			for (let i = 0; i < model.maxBatch; i++)
				model.embed(i, (at + i) % model.config.vocabSize);
			for (let l = 0; l < model.config.nLayers; l++)
				model.layer(0, l, at, model.maxBatch);
		}
		const seconds = compare({
			at10: () => decodeStep(model, 10),
			at128: () => decodeStep(model, 128),
			at500: () => decodeStep(model, 500),
			prefillAt128: () => prefillStep(model, 128),
			matrices: matrixStep(name),
		});
		results[name] = {
			decodeTokensPerSecondAt128: 1 / seconds.at128,
			prefillTokensPerSecondAt128: 1 / seconds.prefillAt128,
			matrixShareAt128: seconds.matrices / seconds.at128,
			prefillOverDecode: seconds.at128 / seconds.prefillAt128,
			at500OverAt10: seconds.at500 / seconds.at10,
		};
	}
	console.log("\nA whole token, dot8, random weights\n");
	console.log(`| | ${Object.keys(results).join(" | ")} |`);
	console.log("| - | - | - |");
	for (const key of Object.keys(results["24x128"] ?? {}))
		console.log(
			`| ${key} | ${Object.values(results)
				.map((row) => {
					const value = row[key] as number;
					return value > 100 ? value.toFixed(0) : value.toFixed(2);
				})
				.join(" | ")} |`,
		);
	return results;
}

/** Whether V8 made the VNNI instruction of the relaxed dot product, by its own listing. */
function emitsVnni(): boolean | undefined {
	const script = `new WebAssembly.Module(require("fs").readFileSync(${JSON.stringify(new URL("../build/kernels-relaxed.wasm", import.meta.url).pathname)}))`;
	const { stdout } = spawnSync(
		process.execPath,
		[
			"--no-liftoff",
			"--no-wasm-lazy-compilation",
			"--print-wasm-code",
			"-e",
			script,
		],
		{ maxBuffer: 1 << 28 },
	);
	const listing = String(stdout);
	return listing.includes("vp") ? listing.includes("vpdpbusd") : undefined;
}

const withoutVnni = process.execArgv.includes("--no-enable-avx-vnni");
const cpu = cpus()[0]?.model ?? "unknown CPU";
console.log(
	`${cpu}; Node ${process.version}, V8 ${process.versions.v8}${withoutVnni ? ", AVX-VNNI switched off" : ""}; median of ${ROUNDS} rounds\n`,
);
const folder = mkdtempSync(join(tmpdir(), "bitskip-"));
try {
	const native = withoutVnni ? undefined : compileNative(folder);
	const kernels = benchKernels(native);
	if (withoutVnni) process.exit(0);
	const vnni = emitsVnni();
	console.log(
		`\nV8 ${vnni === undefined ? "prints no code here, so whether it emits vpdpbusd is unknown" : vnni ? "emits vpdpbusd for the relaxed dot product" : "does not emit vpdpbusd on this CPU"}`,
	);
	const ratio = (a: string, b: string) =>
		median(
			Object.values(kernels)
				.filter((row) => row[a] && row[b])
				.map((row) => (row[a] as number) / (row[b] as number)),
		);
	const ratios = {
		"strict over f32": ratio("strict", "f32"),
		"dot8 over f32": ratio("dot8", "f32"),
		...(native && {
			"dot8 over C": ratio("dot8", "C, 128-bit VNNI"),
			"dot16 over C": ratio("dot16", "C, 128-bit VNNI"),
		}),
	};
	console.log("\nmedian ratios:");
	for (const [name, value] of Object.entries(ratios))
		console.log(`  ${name}: ${value.toFixed(2)}`);
	const steps = benchSteps();
	console.log("\nThe same kernels with AVX-VNNI switched off:\n");
	spawnSync(process.execPath, ["--no-enable-avx-vnni", import.meta.filename], {
		stdio: "inherit",
	});
	console.log(
		`\n${JSON.stringify({ cpu, node: process.version, v8: process.versions.v8, vnni, kernels, ratios, steps })}`,
	);
} finally {
	rmSync(folder, { recursive: true });
}
