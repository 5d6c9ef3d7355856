/**
 * Bytes that a model takes, from its config alone: what assembly/image.ts and assembly/transformer.ts
 * lay out.
 *
 * @module
 */

import { HEADER_SIZE, type ModelConfig } from "../image.ts";
import { roundUp } from "./tiles.ts";

const align64 = (n: number) => roundUp(n, 64);

/** Bytes of the image. */
export function imageSize(config: ModelConfig): number {
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, gateDim } = config;
	const ternary = config.weights === "ternary";
	const kvDim = (dim / nHeads) * nKvHeads;
	const vocabRows = roundUp(config.vocabSize, 32);
	const matrix = (rows: number, columns: number) =>
		align64(ternary ? (rows * columns) / 4 : rows * columns * 4);
	const norm = align64(4 * dim);
	const embedding = ternary
		? vocabRows * dim + align64(4 * vocabRows)
		: 4 * vocabRows * dim;
	const layer =
		64 +
		3 * norm +
		align64(4 * hiddenDim) +
		matrix(dim + 2 * kvDim, dim) +
		matrix(dim, dim) +
		matrix(2 * hiddenDim, dim) +
		matrix(dim, hiddenDim);
	const gate = gateDim && 4 * gateDim * dim + 2 * align64(4 * gateDim) + 64;
	return (
		HEADER_SIZE +
		embedding +
		nLayers * layer +
		(config.exits.length - 1) * (norm + gate) +
		norm
	);
}

/** Bytes of a sequence's keys and values: int7 with two scales a position, or f32. */
export function sequenceBytes(config: ModelConfig): number {
	const { dim, nLayers, nHeads, nKvHeads, maxSeqLen, weights } = config;
	const headDim = dim / nHeads;
	const head =
		weights === "ternary"
			? roundUp(maxSeqLen, 32) * (headDim + roundUp(headDim, 32) + 8)
			: 8 * maxSeqLen * headDim + 4 * roundUp(maxSeqLen, 16);
	return nLayers * align64(nKvHeads * head);
}
