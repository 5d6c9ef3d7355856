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
	const { dim, hiddenDim } = config;
	const linear = 2 * dim * dim + keyValueMacs(config) + 3 * dim * hiddenDim;
	return linear + 2 * dim * (position + 1);
}

/** MACs of one layer's keys and values alone. */
export function keyValueMacs({ dim, nHeads, nKvHeads }: ModelConfig): number {
	return 2 * dim * (dim / nHeads) * nKvHeads;
}

/** MACs of the gate of an exit. */
export function gateMacs({ dim, gateDim }: ModelConfig): number {
	return dim * gateDim + gateDim;
}

/** MACs of the logits at any exit. */
export function headMacs({ dim, vocabSize }: ModelConfig): number {
	return dim * vocabSize;
}

/**
 * MACs of a token at `position` that leaves after `depth` layers, without gates and head, where layers
 * up to `cached` get its keys and values all the same.
 */
export function tokenMacs(
	config: ModelConfig,
	position: number,
	depth: number,
	cached = depth,
): number {
	return (
		depth * layerMacs(config, position) +
		(cached - depth) * keyValueMacs(config)
	);
}

/** tokenMacs of positions `from` to `to` - 1, which grow by equal steps. */
export function tokensMacs(
	config: ModelConfig,
	from: number,
	to: number,
	depth: number,
	cached = depth,
): number {
	if (to <= from) return 0;
	const first = tokenMacs(config, from, depth, cached);
	const last = tokenMacs(config, to - 1, depth, cached);
	return ((to - from) * (first + last)) / 2;
}
