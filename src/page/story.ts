/**
 * What the page asks for and gets, wherever it is computed.
 *
 * @module
 */

import type { GenerationSummary } from "../engine.ts";
import type { ExitOptions } from "../exit.ts";

export interface StoryRequest {
	prompt: string;
	maxTokens: number;
	temperature: number;
	seed: number;
	exit: ExitOptions;
}

/** One token, or, without a layer, what was left over at the end. */
export interface StoryPiece {
	text: string;
	exitLayer?: number;
	/** Work up to here, in multiply-accumulates; and what full depth would have taken. */
	macs?: number;
	macsFull?: number;
}

export type StorySummary = Pick<
	GenerationSummary,
	"finishReason" | "budgetExhausted" | "macs" | "macsFull"
>;

/**
 * Writes a story, piece by piece. Aborting `signal` ends it with the signal's reason.
 * @throws Error whose message is meant for the visitor.
 */
export type Writer = (
	request: StoryRequest,
	signal: AbortSignal,
) => AsyncGenerator<StoryPiece, StorySummary>;
