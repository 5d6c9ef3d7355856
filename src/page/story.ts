/**
 * What the page asks for and gets, wherever it is computed.
 *
 * @module
 */

import type { TextPiece } from "../completion.ts";
import type { GenerationSummary } from "../engine.ts";
import type { ExitOptions } from "../exit.ts";

export interface StoryRequest {
	prompt: string;
	maxTokens: number;
	temperature: number;
	seed: number;
	exit: ExitOptions;
	/** For an endpoint that asks for one; empty where there is none. */
	key: string;
}

/** The endpoint asks for another key, or for one at all. */
export class KeyError extends Error {
	override name = "KeyError";
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
) => AsyncGenerator<TextPiece, StorySummary>;
