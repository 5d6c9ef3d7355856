/**
 * An engine for one request: refuses what is above the caps and writes down what is spent.
 *
 * @module
 */

import { gateMacs, headMacs, tokensMacs } from "../cost.ts";
import type { Engine } from "../engine.ts";
import type { ExitOptions } from "../exit.ts";
import { ApiError } from "../http/error.ts";
import type { ModelConfig } from "../image.ts";
import { type Account, ANONYMOUS } from "./account.ts";
import type { Settings } from "./settings.ts";

type Caps = Pick<
	Settings,
	"API_KEYS" | "MAX_PROMPT_TOKENS" | "MAX_TOKENS" | "MAX_MACS"
>;

/**
 * `generate` of the result throws ApiError 400 where the request is above a cap, and 401 where keys are needed
 * and none was looked at: should a route that computes be missing among the guarded ones.
 */
export function meter(engine: Engine, account: Account, caps: Caps): Engine {
	const { config, fingerprint } = engine;
	return {
		config,
		fingerprint,
		generate(prompt, options) {
			const { maxTokens, exit = { exit: "full" }, onEnd } = options;
			if (caps.API_KEYS.length > 0 && account.client === ANONYMOUS)
				throw new ApiError(401, "this needs an API key");
			account.macsAsked += mostMacs(exit, config, prompt.length, maxTokens);
			check(prompt.length, maxTokens, account.macsAsked, caps);
			return engine.generate(prompt, {
				...options,
				scope: account.client,
				onEnd(spent) {
					account.add(exit.exit, spent);
					onEnd?.(spent);
				},
			});
		},
	};
}

function check(
	promptTokens: number,
	maxTokens: number,
	macs: number,
	caps: Caps,
): void {
	if (promptTokens > caps.MAX_PROMPT_TOKENS)
		throw new ApiError(
			400,
			`the prompt has ${promptTokens} tokens; this endpoint takes at most ${caps.MAX_PROMPT_TOKENS}`,
			{ param: "prompt", code: "context_length_exceeded" },
		);
	if (maxTokens > caps.MAX_TOKENS)
		throw new ApiError(
			400,
			`max_tokens is ${maxTokens}; this endpoint gives at most ${caps.MAX_TOKENS}`,
			{ param: "max_tokens", code: "max_tokens_exceeded" },
		);
	if (macs > caps.MAX_MACS)
		throw new ApiError(
			400,
			`the request may cost ${macs} MACs; this endpoint allows ${caps.MAX_MACS}: ask for fewer tokens, an earlier exit (bitskip.layer) or a budget (bitskip.budget_macs)`,
			{ param: "max_tokens", code: "macs_exceeded" },
		);
}

/** Most multiply-accumulates that a generation can come to cost, with nothing cached. */
export function mostMacs(
	exit: ExitOptions,
	config: ModelConfig,
	promptTokens: number,
	maxTokens: number,
): number {
	if (exit.exit === "budget") return exit.budgetMacs;
	const depth = exit.exit === "layer" ? exit.layer : config.nLayers;
	const end = Math.min(promptTokens + maxTokens - 1, config.maxSeqLen - 1);
	const heads = end - promptTokens + 1;
	const gates = exit.exit === "gate" ? config.exits.length - 1 : 0;
	return (
		tokensMacs(config, 0, end, depth) +
		heads * (headMacs(config) + gates * gateMacs(config))
	);
}
