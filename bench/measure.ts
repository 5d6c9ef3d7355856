/**
 * Times decoding and prefill of a loaded model, in any runtime.
 *
 * @module
 */

import { headMacs, tokensMacs } from "../src/cost.ts";
import type { Model } from "../src/wasm.ts";

export interface Measurement {
	/** Depth, in layers. */
	layer: number;
	decodeTokensPerSecond: number;
	/** Multiply-accumulates a second while decoding, as src/cost.ts counts them. */
	decodeMacsPerSecond: number;
	prefillTokensPerSecond: number;
	/** From a prompt of PROMPT tokens to the logits of the first token after it, milliseconds. */
	firstTokenMs: number;
	/** Milliseconds of each decoded token, where the clock is fine enough to tell. */
	tokenMs?: number[];
}

/** Tokens from position 0 to this one are timed: the mean position of a short story. */
export const POSITIONS = 256;
/** Tokens of the prompt whose first answer is timed, several times over. */
export const PROMPT = 64;
const PROMPT_REPEATS = 4;

/**
 * One round over all exits: decodes POSITIONS tokens (embedding, layers, head, one at a time), then
 * prefills as many in whole batches, then short prompts. Local clocks may tick in milliseconds: a round
 * lasts many.
 */
export function measureRound(model: Model): Measurement[] {
	const { config, maxBatch } = model;
	const positions = Math.min(POSITIONS, config.maxSeqLen);
	const isClockFine = clockTick() < 0.01;
	const token = (position: number) => (position * 31) % config.vocabSize;
	return config.exits.map((layer, exit) => {
		const prefill = (count: number) => {
			for (let at = 0; at < count; at += maxBatch) {
				const batch = Math.min(maxBatch, count - at);
				for (let i = 0; i < batch; i++) model.embed(i, token(at + i));
				for (let l = 0; l < layer; l++) model.layer(0, l, at, batch);
			}
		};
		const tokenMs: number[] = [];
		let last = performance.now();
		const decodeSeconds = time(() => {
			for (let position = 0; position < positions; position++) {
				model.embed(0, token(position));
				for (let l = 0; l < layer; l++) model.layer(0, l, position, 1);
				model.head(exit, 0);
				if (!isClockFine) continue;
				const now = performance.now();
				tokenMs.push(now - last);
				last = now;
			}
		});
		const prefillSeconds = time(() => prefill(positions));
		const promptSeconds = time(() => {
			for (let i = 0; i < PROMPT_REPEATS; i++) {
				prefill(PROMPT);
				model.head(exit, (PROMPT - 1) % maxBatch);
			}
		});
		const macs =
			tokensMacs(config, 0, positions, layer) + positions * headMacs(config);
		return {
			layer,
			decodeTokensPerSecond: positions / decodeSeconds,
			decodeMacsPerSecond: macs / decodeSeconds,
			prefillTokensPerSecond: positions / prefillSeconds,
			firstTokenMs: (promptSeconds * 1000) / PROMPT_REPEATS,
			...(isClockFine && { tokenMs }),
		};
	});
}

/** Seconds. */
function time(work: () => void): number {
	const begun = performance.now();
	work();
	return (performance.now() - begun) / 1000;
}

/** Milliseconds between two readings that differ; Infinity where the clock stands still. */
function clockTick(): number {
	const begun = performance.now();
	for (let i = 0; i < 1e5; i++) {
		const now = performance.now();
		if (now > begun) return now - begun;
	}
	return Infinity;
}

export function median(values: number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2
		? (sorted[middle] as number)
		: ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The value that `share` of all, from 0 to 1, do not exceed. */
export function quantile(values: number[], share: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] as number;
}
