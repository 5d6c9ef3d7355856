/**
 * What every peer is asked to do, and how it is timed.
 *
 * @module
 */

/** Tokens of the prompt; decoding begins at this position. */
export const PROMPT = 128;
/** Tokens decoded, one at a time: positions PROMPT to PROMPT + TOKENS - 1. */
export const TOKENS = 128;

/** One sequence of a loaded model. */
export interface Session {
	/** Forgets all tokens, takes `ids`, and computes the logits of the last one. */
	prefill(ids: number[]): void | Promise<void>;
	/** Takes the token `id` at `position`, the next one, and computes its logits. */
	decode(id: number, position: number): void | Promise<void>;
	/** The logits, (vocabSize), that the last call computed. */
	logits(): Float32Array | Promise<Float32Array>;
}

/** What a process is to load. */
export interface Job {
	/** Name of a file in runners/, without `.ts`. */
	runner: string;
	/** The model's file, in the runner's format. */
	model: string;
	/** What else the runner must know. */
	options: Record<string, string>;
	vocabSize: number;
	nLayers: number;
	kvDim: number;
	nKvHeads: number;
}

/** What a runner's module exports. */
export interface Runner {
	open(job: Job): Promise<Session>;
	/** The files that somebody who uses the peer has to ship, paths. */
	files(job: Job): string[];
}

export interface Round {
	prefill: number;
	decode: number;
}

/** The same tokens for all: what they are does not matter to speed. */
export function token(position: number, vocabSize: number): number {
	return (position * 31) % vocabSize;
}

export function prompt(vocabSize: number): number[] {
	return Array.from({ length: PROMPT }, (_, i) => token(i, vocabSize));
}

/** Tokens per second of a prompt and of the tokens after it. */
export async function measureSession(
	session: Session,
	vocabSize: number,
): Promise<Round> {
	const ids = prompt(vocabSize);
	const begun = performance.now();
	await session.prefill(ids);
	const prefilled = performance.now();
	for (let position = PROMPT; position < PROMPT + TOKENS; position++)
		await session.decode(token(position, vocabSize), position);
	const decoded = performance.now();
	return {
		prefill: (PROMPT * 1000) / (prefilled - begun),
		decode: (TOKENS * 1000) / (decoded - prefilled),
	};
}
