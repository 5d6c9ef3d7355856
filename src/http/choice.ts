/**
 * One choice of a completion: a prompt goes on, by the request's sampler and exit.
 *
 * @module
 */

import { complete, type TextPiece } from "../completion.ts";
import type { Engine, GenerationSummary } from "../engine.ts";
import { ExitError, type ExitOptions } from "../exit.ts";
import { type LogProbabilities, logProbabilities } from "../logprobs.ts";
import { createSampler } from "../sampler.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { ApiError, toApiError } from "./error.ts";
import type { CommonRequest } from "./request.ts";

/** What the endpoint serves. */
export interface Service {
	/** The model's name in `/v1/models` and in requests. */
	modelId: string;
	engine: Engine;
	tokenizer: Tokenizer;
	/** MACs in a millisecond of CPU where this runs, as calibrated; without it `budget_ms` is refused. */
	macsPerMs?: number;
}

export interface ChoiceOptions {
	/** In the response, from 0. Each choice has a seed of its own. */
	index: number;
	prompt: string | readonly number[];
	/** Text to say before what is new. */
	echo: string;
	maxTokens: number;
	/** How many of the likeliest tokens to tell with each; undefined: tell no log-probabilities. */
	topLogprobs: number | undefined;
}

/** A token as the model itself saw it. */
export interface TokenLogprobs extends LogProbabilities {
	token: number;
}

export type ChoicePiece = TextPiece & {
	/** Of the token that brought this piece, where asked for. */
	logprobs?: TokenLogprobs;
};

export type ChoicePieces = AsyncGenerator<ChoicePiece, GenerationSummary>;

/**
 * Begins a choice: whatever the engine refuses, it refuses here.
 * @returns what is to come, and the first of it.
 * @throws ApiError where the request does not fit the service; what Engine.generate throws.
 */
export async function beginChoice(
	service: Service,
	request: CommonRequest,
	seed: number,
	options: ChoiceOptions,
	signal: AbortSignal,
): Promise<{
	pieces: ChoicePieces;
	result: IteratorResult<ChoicePiece, GenerationSummary>;
}> {
	const pieces = continuePrompt(service, request, seed, options, signal);
	try {
		return { pieces, result: await pieces.next() };
	} catch (error) {
		const { bitskip } = request;
		if (
			error instanceof ExitError &&
			bitskip.exit === "budget" &&
			bitskip.budget_ms !== undefined
		)
			throw toApiError(error, "budget_ms");
		throw error;
	}
}

async function* continuePrompt(
	service: Service,
	request: CommonRequest,
	seed: number,
	{ index, prompt, maxTokens, topLogprobs }: ChoiceOptions,
	signal: AbortSignal,
): ChoicePieces {
	const sampler = createSampler({
		temperature: request.temperature,
		topP: request.top_p,
		topK: request.top_k,
		minP: request.min_p,
		presencePenalty: request.presence_penalty,
		frequencyPenalty: request.frequency_penalty,
		seed: seed + index,
	});
	let told: TokenLogprobs | undefined;
	const pieces = complete(service.engine, service.tokenizer, prompt, {
		maxTokens,
		sample(logits) {
			if (topLogprobs === undefined) return sampler(logits);
			const model = logits.slice(); // The sampler changes what it gets.
			const token = sampler(logits);
			told = { token, ...logProbabilities(model, token, topLogprobs) };
			return token;
		},
		exit: exitOptions(request.bitskip, service),
		stop: request.stop,
		signal,
	});
	try {
		for (;;) {
			const { value, done } = await pieces.next();
			if (done) return value;
			// The last remainder of text has no token of its own.
			const isToken = value.exitLayer !== undefined;
			yield isToken && told ? { ...value, logprobs: told } : value;
		}
	} finally {
		await pieces.return(undefined as never);
	}
}

function exitOptions(
	options: CommonRequest["bitskip"],
	{ macsPerMs }: Service,
): ExitOptions {
	if (options.exit !== "budget") return options;
	const { budget_macs, budget_ms = 0 } = options;
	if (budget_macs !== undefined)
		return { exit: "budget", budgetMacs: budget_macs };
	if (macsPerMs === undefined)
		throw new ApiError(
			400,
			"this endpoint is not calibrated (MACS_PER_MS is not set): give budget_macs",
			{ param: "bitskip.budget_ms" },
		);
	return { exit: "budget", budgetMacs: Math.floor(budget_ms * macsPerMs) };
}
