/**
 * The shapes of OpenAI's responses: of its completions and of its chat completions.
 *
 * @module
 */

import type { GenerationSummary } from "../engine.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { TokenLogprobs } from "./choice.ts";
import type {
	ChatChoice,
	ChatChunkChoice,
	CompletionChoice,
	CompletionChunkChoice,
	Usage,
	Work,
} from "./response.ts";

type FinishReason = GenerationSummary["finishReason"];

/** How one choice is written, whole or piece by piece. */
export interface ChoiceFormat<Choice, ChunkChoice> {
	whole(text: string, tokens: TokenLogprobs[], finish: FinishReason): Choice;
	/** Before the first piece of a stream, if there is something to say. */
	begin?(): ChunkChoice;
	piece(text: string, tokens: TokenLogprobs[]): ChunkChoice;
	end(finish: FinishReason): ChunkChoice;
}

/** One of the two APIs. */
export interface Format<ObjectName, Choice, ChunkChoice> {
	/** `object` of a whole response and of a stream's chunks, and what ids begin with. */
	object: ObjectName;
	chunk: string;
	idPrefix: string;
	choice(index: number, echo: string): ChoiceFormat<Choice, ChunkChoice>;
}

/** https://platform.openai.com/docs/api-reference/completions/object */
export function completionFormat(
	tokenizer: Tokenizer,
	hasLogprobs: boolean,
): Format<"text_completion", CompletionChoice, CompletionChunkChoice> {
	return {
		object: "text_completion",
		chunk: "text_completion",
		idPrefix: "cmpl",
		choice(index, echo) {
			let offset = echo.length;
			const logprobs = (tokens: TokenLogprobs[]) => {
				if (!hasLogprobs) return null;
				const texts = tokens.map(({ token }) => tokenText(tokenizer, token));
				return {
					tokens: texts,
					token_logprobs: tokens.map(({ chosen }) => chosen),
					top_logprobs: tokens.map(({ top }) =>
						Object.fromEntries(
							top.map(({ token, logprob }) => [
								tokenText(tokenizer, token),
								logprob,
							]),
						),
					),
					text_offset: texts.map((text) => {
						offset += text.length;
						return offset - text.length;
					}),
				};
			};
			const choice = <Finish>(
				text: string,
				tokens: TokenLogprobs[],
				finish_reason: Finish,
			) => ({ index, text, logprobs: logprobs(tokens), finish_reason });
			return {
				whole: (text, tokens, finish) => choice(echo + text, tokens, finish),
				...(echo && { begin: () => choice(echo, [], null) }),
				piece: (text, tokens) => choice(text, tokens, null),
				end: (finish) => choice("", [], finish),
			};
		},
	};
}

/** https://platform.openai.com/docs/api-reference/chat/object */
export function chatFormat(
	tokenizer: Tokenizer,
	hasLogprobs: boolean,
): Format<"chat.completion", ChatChoice, ChatChunkChoice> {
	const describe = (token: number, logprob: number) => ({
		token: tokenText(tokenizer, token),
		logprob,
		bytes: Array.from(tokenizer.bytes(token) ?? []),
	});
	const logprobs = (tokens: TokenLogprobs[]) =>
		hasLogprobs
			? {
					content: tokens.map(({ token, chosen, top }) => ({
						...describe(token, chosen),
						top_logprobs: top.map(({ token, logprob }) =>
							describe(token, logprob),
						),
					})),
					refusal: null,
				}
			: null;
	return {
		object: "chat.completion",
		chunk: "chat.completion.chunk",
		idPrefix: "chatcmpl",
		choice(index) {
			const chunk = (
				delta: ChatChunkChoice["delta"],
				tokens: TokenLogprobs[],
				finish_reason: FinishReason | null,
			) => ({ index, delta, logprobs: logprobs(tokens), finish_reason });
			return {
				whole: (content, tokens, finish_reason) => ({
					index,
					message: { role: "assistant", content, refusal: null },
					logprobs: logprobs(tokens),
					finish_reason,
				}),
				begin: () => chunk({ role: "assistant", content: "" }, [], null),
				piece: (content, tokens) => chunk({ content }, tokens, null),
				end: (finish) => chunk({}, [], finish),
			};
		},
	};
}

/** A token's text by itself; bytes that are no whole character become U+FFFD. */
export function tokenText(tokenizer: Tokenizer, token: number): string {
	return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
		tokenizer.bytes(token),
	);
}

/** Counts of a whole response; choices of one prompt share it. */
export function usage(
	summaries: GenerationSummary[],
	choicesPerPrompt: number,
): Usage {
	const sum = (
		list: GenerationSummary[],
		key: "promptTokens" | "cachedTokens" | "completionTokens",
	) => list.reduce((total, summary) => total + summary[key], 0);
	const firsts = summaries.filter((_, i) => i % choicesPerPrompt === 0);
	const prompt_tokens = sum(firsts, "promptTokens");
	const completion_tokens = sum(summaries, "completionTokens");
	return {
		prompt_tokens,
		completion_tokens,
		total_tokens: prompt_tokens + completion_tokens,
		prompt_tokens_details: { cached_tokens: sum(firsts, "cachedTokens") },
	};
}

/** What is ours: the work of all choices together. */
export function extension(
	policy: string,
	summaries: GenerationSummary[],
): Work {
	const exit_layers: Record<string, number> = {};
	let [macs, macs_full] = [0, 0];
	for (const summary of summaries) {
		macs += summary.macs;
		macs_full += summary.macsFull;
		for (const [layer, count] of Object.entries(summary.exitLayers))
			exit_layers[layer] = (exit_layers[layer] ?? 0) + count;
	}
	return {
		policy,
		exit_layers,
		macs,
		macs_full,
		budget_exhausted: summaries.some((summary) => summary.budgetExhausted),
	};
}

/**
 * The work in its own units, as metrics without a duration: what it took in milliseconds a Worker cannot
 * know. A stream's headers leave before its work is done, and have none.
 */
export function serverTiming(summaries: GenerationSummary[]): string {
	const { macs, macs_full, exit_layers } = extension("", summaries);
	const { prompt_tokens } = usage(summaries, 1);
	const metrics = [
		`macs;desc="${macs} multiply-accumulates"`,
		`macs-full;desc="${macs_full} multiply-accumulates at full depth"`,
		`prompt;desc="${prompt_tokens} tokens"`,
		...Object.entries(exit_layers).map(
			([layer, tokens]) => `layer-${layer};desc="${tokens} tokens"`,
		),
	];
	return metrics.join(", ");
}
