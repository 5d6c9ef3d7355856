/**
 * What a model of some shape takes to run, from its config alone.
 *
 * @module
 */

import { headMacs, layerMacs } from "../cost.ts";
import type { ModelConfig } from "../image.ts";
import { imageSize, sequenceBytes } from "./size.ts";

/** Cloudflare Workers: memory of an isolate, and the largest file among a Worker's assets, bytes. */
const WORKER_MEMORY = 128e6;
const WORKER_ASSET = 25 * 2 ** 20;

export interface Report {
	config: ModelConfig;
	imageBytes: number;
	/** Keys and values of one sequence. */
	sequenceBytes: number;
	/** Of a token in the middle of the context that leaves at each exit, its logits included. */
	exits: { layer: number; macsPerToken: number }[];
	/** Whether a Cloudflare Worker can serve it, and what stands against it. */
	worker: { fits: boolean; sequences: number; obstacles: string[] };
}

export function report(config: ModelConfig): Report {
	const imageBytes = imageSize(config);
	const perSequence = sequenceBytes(config);
	const middle = config.maxSeqLen >> 1;
	// While it loads, the image is there twice: as it was fetched, and in the module's memory.
	const room = WORKER_MEMORY - 2 * imageBytes;
	const sequences = Math.max(0, Math.floor(room / perSequence));
	const obstacles: string[] = [];
	if (imageBytes > WORKER_ASSET)
		obstacles.push(
			`the image is above the ${megabytes(WORKER_ASSET)} that an asset may have`,
		);
	if (room < 0)
		obstacles.push(
			`loading holds the image twice, above the ${megabytes(WORKER_MEMORY)} of an isolate`,
		);
	else if (sequences === 0)
		obstacles.push(
			`no sequence fits the ${megabytes(WORKER_MEMORY)} of an isolate beside the image: pack with a shorter --context`,
		);
	return {
		config,
		imageBytes,
		sequenceBytes: perSequence,
		exits: config.exits.map((layer) => ({
			layer,
			macsPerToken: layer * layerMacs(config, middle) + headMacs(config),
		})),
		worker: { fits: obstacles.length === 0, sequences, obstacles },
	};
}

/** The report as lines of text. */
export function formatReport({
	config,
	imageBytes,
	sequenceBytes,
	exits,
	worker,
}: Report): string {
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, vocabSize } = config;
	const lines: [string, string][] = [
		["weights", `${config.weights}, activations ${config.activationBits} bits`],
		[
			"shape",
			`${nLayers} layers of ${dim}, feed-forward ${hiddenDim}, ${nHeads} heads on ${nKvHeads}, vocabulary ${vocabSize}`,
		],
		["context", `${config.maxSeqLen} tokens`],
		["gates", config.gateDim ? `${config.gateDim} hidden units` : "none"],
		["image", megabytes(imageBytes)],
		["a sequence", `${megabytes(sequenceBytes)} of keys and values`],
		...exits.map(({ layer, macsPerToken }): [string, string] => [
			`exit at ${layer}`,
			`${(macsPerToken / 1e6).toFixed(2)} million MACs a token, in the middle of the context`,
		]),
		[
			"a Worker",
			worker.fits
				? `fits, with room for ${worker.sequences} sequences (less some MB of scratch and the isolate's own)`
				: `does not fit: ${worker.obstacles.join("; ")}`,
		],
	];
	return lines.map(([name, value]) => `${name.padEnd(12)}${value}\n`).join("");
}

export function megabytes(bytes: number): string {
	return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}
