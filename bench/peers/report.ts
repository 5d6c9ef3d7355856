/**
 * What a run measured, as tables.
 *
 * @module
 */

import type { Peer } from "./peers.ts";
import { PROMPT, TOKENS } from "./session.ts";

export interface Row extends Pick<Peer, "name" | "kind" | "worker"> {
	/** Tokens per second, medians over rounds. */
	decode: number;
	prefill: number;
	codeBytes: number;
	modelBytes: number;
	memoryBytes: number;
	/** The lowest CPU time over wall time of a round. */
	cpuShare: number;
	/** Correlation of its logits with our engine's after the prompt, where weights are the same. */
	correlation?: number;
}

export interface ShapeResult {
	shape: string;
	note: string;
	rows: Row[];
	/** Peers that did not run, and why. */
	skipped: { name: string; why: string }[];
}

/** One target of the comparison at 24x256: our speed over somebody's. */
export interface Target {
	name: string;
	ratio: number;
	wanted: number;
}

const MEBI = 2 ** 20;

/** What is not the same in all rows. */
export const DIFFERENCES =
	"Of the same weights, exits left out. llama.cpp's `bitnet` has SiLU where our model has relu², at about the same cost, so that its logits differ; random weights make more of it. onnxruntime keeps keys, values and attention in fp32. Memory is what a process grew by when it loaded a model and ran it once.";

export function table({ shape, note, rows, skipped }: ShapeResult): string {
	const best = ourBest(rows, "decode");
	const lines = rows.map((row) =>
		[
			row.name,
			row.decode.toFixed(0),
			`${(best / row.decode).toFixed(1)}x`,
			row.prefill.toFixed(0),
			(row.codeBytes / MEBI).toFixed(2),
			(row.modelBytes / MEBI).toFixed(1),
			(row.memoryBytes / MEBI).toFixed(0),
			row.correlation?.toFixed(5) ?? "",
			row.worker,
		].join(" | "),
	);
	return [
		`### ${shape} (${note})`,
		"",
		`| | decode, tokens/s, positions ${PROMPT} to ${PROMPT + TOKENS - 1} | our best is faster | prefill of ${PROMPT}, tokens/s | code, MiB | model, MiB | memory, MiB | correlation of logits with ours | in a Worker |`,
		"| - | - | - | - | - | - | - | - | - |",
		...lines.map((line) => `| ${line} |`),
		...skipped.map(({ name, why }) => `\n${name} did not run: ${why}`),
	].join("\n");
}

type Speed = "decode" | "prefill";

function ourBest(rows: Row[], key: Speed): number {
	return fastest(
		rows,
		key,
		({ kind, name }) => kind === "ours" && !inWorkerd(name),
	);
}

const inWorkerd = (name: string) => name.includes("workerd");

/** The highest speed among the rows that `is` takes; NaN where none does. */
function fastest(rows: Row[], key: Speed, is: (row: Row) => boolean): number {
	const speeds = rows.filter(is).map((row) => row[key]);
	return speeds.length > 0 ? Math.max(...speeds) : Number.NaN;
}

/** The targets that can be told from what ran. */
export function targets(rows: Row[]): Target[] {
	const named = (start: string) => (row: Row) => row.name.startsWith(start);
	const isWasm = ({ kind }: Row) => kind === "wasm";
	const against = (
		name: string,
		key: Speed,
		is: (row: Row) => boolean,
		wanted: number,
	): Target => ({
		name: `${key}, against ${name}`,
		ratio: ourBest(rows, key) / fastest(rows, key, is),
		wanted,
	});
	const strict = fastest(rows, "decode", named("BitSkip strict, workerd"));
	return [
		against("the best wasm peer", "decode", isWasm, 8),
		against(
			"onnxruntime-web int8",
			"decode",
			named("onnxruntime-web int8"),
			10,
		),
		against(
			"llama.cpp TQ2_0, native, at its best",
			"decode",
			named("llama.cpp TQ2_0"),
			2.5,
		),
		against(
			"onnxruntime-node int8",
			"decode",
			named("onnxruntime-node int8"),
			5,
		),
		against("onnxruntime-web", "prefill", named("onnxruntime-web"), 7),
		against("onnxruntime-node", "prefill", named("onnxruntime-node"), 0.9),
		{
			name: "decode, strict in workerd against the best wasm peer in Node",
			ratio: strict / fastest(rows, "decode", isWasm),
			wanted: 4,
		},
	].filter(({ ratio }) => Number.isFinite(ratio));
}

export function targetLines(all: Target[]): string {
	return all
		.map(
			({ name, ratio, wanted }) =>
				`- ${name}: ${ratio.toFixed(2)}x (wanted ${wanted}x: ${ratio >= wanted ? "met" : "missed"})`,
		)
		.join("\n");
}
