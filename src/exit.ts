/**
 * When a token leaves the model. Policies decide from what they are told and from the gates, never from
 * a clock: the same request gives the same tokens, whatever the load.
 *
 * @module
 */

import { gateMacs, headMacs, tokensMacs } from "./cost.ts";
import type { ModelConfig } from "./image.ts";

export type ExitOptions =
	/** All layers, every token. */
	| { exit: "full" }
	/** Every token, the prompt too, leaves at `layer`: exactly the model cut off there. */
	| { exit: "layer"; layer: number }
	/**
	 * A generated token leaves at the first exit whose gate foretells an overlap of at least `threshold`
	 * between the next token's probabilities there and behind the last layer. The prompt runs through all
	 * layers. Default of `skipped`: `propagate`.
	 */
	| { exit: "gate"; threshold: number; skipped?: SkippedLayers }
	/**
	 * The request spends at most `budgetMacs`, shared out evenly over its tokens. A share that lies between
	 * two exits lets some generated tokens go to the deeper one: those that the shallower one's gate keeps.
	 * Without gates they take turns.
	 */
	| { exit: "budget"; budgetMacs: number };

/**
 * Where later tokens find the keys and values of the layers that a token skipped. `propagate`: projected
 * from the state that left (Elbayad et al., 2020). `catch-up`: the token runs through those layers after
 * all, together with the next token that needs them; they are exactly the full model's.
 */
export type SkippedLayers = "propagate" | "catch-up";

/** What the engine asks while it generates. Exits are numbers from 0, the shallowest. */
export interface ExitPolicy {
	/** The prompt's exit. No later token goes deeper: it would find no keys and values there. */
	readonly promptExit: number;
	/** Undefined where no token leaves before `promptExit`, and none skips a layer that another runs. */
	readonly skipped?: SkippedLayers;
	/**
	 * The deepest exit allowed to the token at `position`, or undefined where the request must end.
	 * @param spent MACs so far. @param wanted tokens still wanted, this one included.
	 */
	limit(position: number, spent: number, wanted: number): number | undefined;
	/** The first exit, before the limit, whose gate is asked. This and the next are read after each `limit`. */
	readonly firstGate: number;
	/** The logit at which a gate lets the token out. */
	readonly gateLogit: number;
}

/** Options that the model cannot follow; `param` names the one at fault. */
export class ExitError extends Error {
	override name = "ExitError";
	readonly param: "exit" | "layer" | "threshold" | "budget_macs";
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
			const { threshold, skipped = "propagate" } = options;
			if (config.gateDim === 0)
				throw new ExitError(
					"this model's exits have no gates: ask for a layer or a budget",
					"exit",
				);
			if (!(threshold > 0 && threshold <= 1))
				throw new ExitError(
					`the threshold is ${threshold}, and must be a probability above 0, at most 1`,
					"threshold",
				);
			const gateLogit = logit(threshold);
			return { ...fixed(last), skipped, firstGate: 0, gateLogit };
		}
		case "budget":
			return new Budget(options.budgetMacs, config, promptTokens, maxTokens);
	}
}

function fixed(exit: number): ExitPolicy {
	return {
		promptExit: exit,
		limit: () => exit,
		firstGate: exit,
		gateLogit: Infinity,
	};
}

function logit(probability: number): number {
	return Math.log(probability / (1 - probability));
}

/** How far the gates' logit moves for a token that takes a whole step between exits too little or much. */
const GAIN = 0.5;
/** The gates' logits mean nothing beyond. */
const MAX_LOGIT = 6;

class Budget implements ExitPolicy {
	readonly promptExit: number;
	readonly skipped = "propagate";
	firstGate = 0;
	gateLogit = 0;
	readonly #config: ModelConfig;
	readonly #budget: number;
	/** What the last token was to spend, and what had been spent before it. */
	#share = Number.NaN;
	#before = Number.NaN;

	constructor(
		budget: number,
		config: ModelConfig,
		promptTokens: number,
		maxTokens: number,
	) {
		if (!(budget > 0))
			throw new ExitError(
				`the budget is ${budget} MACs, and must be above 0`,
				"budget_macs",
			);
		this.#budget = budget;
		this.#config = config;
		const promptMacs = (exit: number) => {
			const depth = config.exits[exit] as number;
			return tokensMacs(config, 0, promptTokens, depth) + headMacs(config);
		};
		// The exit at which all tokens would cost more than there is, so that generated ones can share it out
		// by leaving there or earlier; the one before where the prompt would leave too little for them.
		const end = Math.min(promptTokens + maxTokens - 1, config.maxSeqLen);
		const allAt = (prompt: number, generated: number) =>
			promptMacs(prompt) + this.#macs(promptTokens, end, generated, prompt);
		const last = config.exits.length - 1;
		let exit = 0;
		while (exit < last && allAt(exit, exit) <= budget) exit++;
		if (exit > 0 && allAt(exit, 0) > budget) exit--;
		this.promptExit = exit;
		if (promptMacs(exit) > budget)
			throw new ExitError(
				`a prompt of ${promptTokens} tokens costs ${promptMacs(0)} MACs at the first exit, and the budget is ${budget}: give more, or a shorter prompt`,
				"budget_macs",
				true,
			);
	}

	limit(position: number, spent: number, wanted: number): number | undefined {
		const macs = (exit: number) =>
			this.#macs(position, position + 1, exit, this.promptExit);
		const left = this.#budget - spent;
		if (macs(0) > left) return undefined;
		const share = left / wanted;
		let exit = this.promptExit;
		while (exit > 0 && macs(exit) > share) exit--;
		this.firstGate = exit;
		const next = exit + 1;
		const { gateDim } = this.#config;
		if (gateDim === 0 || next > this.promptExit) return exit;

		const step = macs(next) - macs(exit);
		const saved = this.#share - (spent - this.#before);
		this.gateLogit = Number.isNaN(saved)
			? logit(0.5 + (share - macs(exit)) / step / 2)
			: clamp(this.gateLogit + (GAIN * saved) / step);
		this.#share = share;
		this.#before = spent;
		const later = this.#macs(
			position + 1,
			position + wanted,
			0,
			this.promptExit,
		);
		const isAffordable = macs(next) + gateMacs(this.#config) + later <= left;
		return isAffordable ? next : exit;
	}

	/** Of tokens `from` to `to` - 1 that leave at `exit`, with keys and values up to `cached` and heads. */
	#macs(from: number, to: number, exit: number, cached: number): number {
		const [depth, kept] = [exit, cached].map((e) => this.#config.exits[e]);
		return (
			tokensMacs(this.#config, from, to, depth as number, kept) +
			(to - from) * headMacs(this.#config)
		);
	}
}

function clamp(gateLogit: number): number {
	return Math.min(Math.max(gateLogit, -MAX_LOGIT), MAX_LOGIT);
}
