/**
 * What a token costs, in multiply-accumulates (MACs): the unit of budgets, because an edge worker
 * cannot read a clock while it computes. Counted are matrix products, attention and gates; norms,
 * rotations and Hadamard transforms, which multiply little, are not.
 *
 * @module
 */

import type { ModelConfig } from "./image.ts";

/** MACs of one layer for a token at `position`, counted from 0. */
export function layerMacs(config: ModelConfig, position: number): number {
	const { dim, hiddenDim, nHeads, nKvHeads } = config;
	const kvDim = (dim / nHeads) * nKvHeads;
	const linear = dim * (2 * dim + 2 * kvDim) + 3 * dim * hiddenDim;
	return linear + 2 * dim * (position + 1);
}

/** MACs of the logits at any exit. */
export function headMacs({ dim, vocabSize }: ModelConfig): number {
	return dim * vocabSize;
}
