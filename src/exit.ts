/**
 * When a token leaves the model. Policies decide from what they are told and from the gates, never from
 * a clock: the same request gives the same tokens, whatever the load.
 *
 * @module
 */

import { headMacs, tokenMacs } from "./cost.ts";
import type { ModelConfig } from "./image.ts";

export type ExitOptions =
	/** All layers, every token. */
	| { exit: "full" }
	/** Every token, the prompt too, leaves at `layer`: exactly the model cut off there. */
	| { exit: "layer"; layer: number }
	/**
	 * A generated token leaves at the first exit whose gate gives a probability of at least `threshold`
	 * that the last layer would say the same. The prompt runs through all layers.
	 */
	| { exit: "gate"; threshold: number }
	/**
	 * The request spends at most `budgetMacs`. What is left is spread evenly over the tokens still wanted;
	 * each goes as deep as its share allows.
	 */
	| { exit: "budget"; budgetMacs: number };

/** What the engine asks while it generates. Exits are numbers from 0, the shallowest. */
export interface ExitPolicy {
	/** The prompt's exit. No later token goes deeper: it would find no keys and values there. */
	readonly promptExit: number;
	/** Whether a generated token may leave before `promptExit`, and needs keys and values up to it. */
	readonly isMixed: boolean;
	/**
	 * The deepest exit allowed to the token at `position`, or undefined where the request must end.
	 * @param spent MACs so far. @param wanted tokens still wanted, this one included.
	 */
	limit(position: number, spent: number, wanted: number): number | undefined;
	/** Where given, asked at each exit before the limit: does a gate with this logit let the token out? */
	leaves?(gateLogit: number): boolean;
}

/** Options that the model cannot follow; `param` names the one at fault. */
export class ExitError extends Error {
	override name = "ExitError";
	readonly param: "layer" | "threshold" | "budget_macs";
	/** Whether the options are sound and only this prompt asks for more than the budget. */
	readonly isBudgetTooSmall: boolean;
	constructor(
		message: string,
		param: ExitError["param"],
		isBudgetTooSmall = false,
	) {
		super(message);
		this.param = param;
		this.isBudgetTooSmall = isBudgetTooSmall;
	}
}

/**
 * The policy for one request.
 * @param promptTokens the prompt's length. @param maxTokens tokens wanted after it.
 * @throws ExitError where the options do not fit the model, or the prompt not the budget.
 */
export function createPolicy(
	options: ExitOptions,
	config: ModelConfig,
	promptTokens: number,
	maxTokens: number,
): ExitPolicy {
	const last = config.exits.length - 1;
	switch (options.exit) {
		case "full":
			return fixed(last);
		case "layer": {
			const exit = config.exits.indexOf(options.layer);
			if (exit < 0)
				throw new ExitError(
					`no exit at layer ${options.layer}; this model's are ${config.exits.join(", ")}`,
					"layer",
				);
			return fixed(exit);
		}
		case "gate": {
			const { threshold } = options;
			if (!(threshold > 0 && threshold <= 1))
				throw new ExitError(
					`the threshold is ${threshold}, and must be a probability above 0, at most 1`,
					"threshold",
				);
			const logit = Math.log(threshold / (1 - threshold));
			return {
				...fixed(last),
				isMixed: true,
				leaves: (gateLogit) => gateLogit >= logit,
			};
		}
		case "budget":
			return budget(options.budgetMacs, config, promptTokens, maxTokens);
	}
}

function fixed(exit: number): ExitPolicy {
	return { promptExit: exit, isMixed: false, limit: () => exit };
}

function budget(
	budgetMacs: number,
	config: ModelConfig,
	promptTokens: number,
	maxTokens: number,
): ExitPolicy {
	if (!(budgetMacs > 0))
		throw new ExitError(
			`the budget is ${budgetMacs} MACs, and must be above 0`,
			"budget_macs",
		);
	const { exits, maxSeqLen } = config;
	const depth = (exit: number) => exits[exit] as number;
	const head = headMacs(config);
	/** MACs of tokens `from` to `to` - 1, each with a head or not. */
	const run = (from: number, to: number, exit: number, cached: number) => {
		let macs = 0;
		for (let position = from; position < to; position++)
			macs += tokenMacs(config, position, depth(exit), depth(cached));
		return macs;
	};
	const promptMacs = (exit: number) => run(0, promptTokens, exit, exit) + head;
	// The deepest prompt that leaves enough for all tokens wanted at the first exit; if there is none, the
	// first exit.
	const end = Math.min(promptTokens + maxTokens - 1, maxSeqLen);
	const tokensAtFirst = (cached: number) =>
		run(promptTokens, end, 0, cached) + (end - promptTokens) * head;
	let promptExit = exits.length - 1;
	while (
		promptExit > 0 &&
		promptMacs(promptExit) + tokensAtFirst(promptExit) > budgetMacs
	)
		promptExit--;
	if (promptMacs(promptExit) > budgetMacs)
		throw new ExitError(
			`a prompt of ${promptTokens} tokens costs ${promptMacs(0)} MACs at the first exit, and the budget is ${budgetMacs}: give more, or a shorter prompt`,
			"budget_macs",
			true,
		);
	return {
		promptExit,
		isMixed: true,
		limit(position, spent, wanted) {
			const left = budgetMacs - spent;
			const cost = (exit: number) =>
				tokenMacs(config, position, depth(exit), depth(promptExit)) + head;
			for (let exit = promptExit; exit > 0; exit--)
				if (cost(exit) <= left / wanted) return exit;
			return cost(0) <= left ? 0 : undefined;
		},
	};
}
