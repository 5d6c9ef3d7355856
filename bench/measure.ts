/**
 * Times decoding and prefill of a loaded model, in any runtime.
 *
 * @module
 */

import type { Model } from "../src/wasm.ts";

export interface Measurement {
	/** Depth, in layers. */
	layer: number;
	decodeTokensPerSecond: number;
	prefillTokensPerSecond: number;
}

/** Tokens from position 0 to this one are timed: the mean position of a short story. */
const POSITIONS = 256;

/**
 * One round over all exits: decodes POSITIONS tokens (embedding, layers, head, one at a time), then
 * prefills as many in whole batches. Local clocks may tick in milliseconds: a round lasts many.
 */
export function measureRound(model: Model): Measurement[] {
	const { exits, vocabSize, maxSeqLen } = model.config;
	const positions = Math.min(POSITIONS, maxSeqLen);
	const token = (position: number) => (position * 31) % vocabSize;
	return exits.map((layer, exit) => {
		const decode = time(() => {
			for (let position = 0; position < positions; position++) {
				model.embed(0, token(position));
				for (let l = 0; l < layer; l++) model.layer(0, l, position, 1);
				model.head(exit, 0);
			}
		});
		const prefill = time(() => {
			for (let at = 0; at < positions; at += model.maxBatch) {
				const count = Math.min(model.maxBatch, positions - at);
				for (let i = 0; i < count; i++) model.embed(i, token(at + i));
				for (let l = 0; l < layer; l++) model.layer(0, l, at, count);
			}
		});
		return {
			layer,
			decodeTokensPerSecond: positions / decode,
			prefillTokensPerSecond: positions / prefill,
		};
	});
}

/** Seconds. */
function time(work: () => void): number {
	const begun = performance.now();
	work();
	return (performance.now() - begun) / 1000;
}

export function median(values: number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2
		? (sorted[middle] as number)
		: ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
