/**
 * Text to text: what lies between an engine, which knows ids, and those who show or send text.
 *
 * @module
 */

import type {
	Engine,
	GeneratedToken,
	GenerateOptions,
	GenerationSummary,
} from "./engine.ts";
import type { Tokenizer } from "./tokenizer.ts";

type TokenWork = Pick<GeneratedToken, "exitLayer" | "macs" | "macsFull">;

/**
 * Text that is certain not to belong to a stop string, maybe none, with the work up to the token that brought
 * it; the last remainder has no token of its own.
 */
export type TextPiece = { text: string } & (
	| TokenWork
	| { [name in keyof TokenWork]?: undefined }
);

/** Yields pieces, returns what they cost. */
export type TextGenerator = AsyncGenerator<TextPiece, GenerationSummary>;

export interface CompletionOptions extends GenerateOptions {
	/** The text ends before the first of these. */
	stop?: readonly string[];
}

/**
 * Continues `prompt`, text or token ids, one piece a token.
 * @throws what Engine.generate does.
 */
export async function* complete(
	engine: Engine,
	tokenizer: Tokenizer,
	prompt: string | readonly number[],
	{ stop = [], ...options }: CompletionOptions,
): TextGenerator {
	const ids = [
		engine.config.bosTokenId,
		...(typeof prompt === "string" ? tokenizer.encode(prompt) : prompt),
	];
	const decoder = tokenizer.decoder();
	const matcher = new StopMatcher(stop);
	const tokens = engine.generate(ids, options);
	try {
		for (;;) {
			const { value, done } = await tokens.next(matcher.stopped);
			if (done) {
				const text = matcher.push(decoder.end()) + matcher.end();
				if (text) yield { text };
				return value;
			}
			const { id, ...work } = value;
			yield { text: matcher.push(decoder.push(id)), ...work };
		}
	} finally {
		await tokens.return(undefined as never);
	}
}

/** Lets text through up to the first stop string, holding back what may become one. */
export class StopMatcher {
	readonly #stops: readonly string[];
	#held = "";
	stopped = false;

	constructor(stops: readonly string[]) {
		this.#stops = stops;
	}

	/** The part of all text so far that has become certain. */
	push(text: string): string {
		if (this.stopped) return "";
		this.#held += text;
		const found = this.#stops
			.map((stop) => this.#held.indexOf(stop))
			.filter((at) => at >= 0);
		if (found.length > 0) {
			this.stopped = true;
			return this.#held.slice(0, Math.min(...found));
		}
		const kept = Math.max(
			0,
			...this.#stops.map((stop) => overlap(this.#held, stop)),
		);
		return this.#release(this.#held.length - kept);
	}

	/** What was held back, when no more text comes. */
	end(): string {
		return this.stopped ? "" : this.#release(this.#held.length);
	}

	#release(length: number): string {
		const text = this.#held.slice(0, length);
		this.#held = this.#held.slice(length);
		return text;
	}
}

/** The length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
	for (let n = Math.min(text.length, stop.length - 1); n > 0; n--)
		if (stop.startsWith(text.slice(text.length - n))) return n;
	return 0;
}
