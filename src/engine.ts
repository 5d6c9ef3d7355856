/**
 * The engine turns token ids into token ids. It knows neither text nor HTTP.
 *
 * @module
 */

import { createPolicy, type ExitOptions, type ExitPolicy } from "./exit.ts";
import type { ModelConfig } from "./image.ts";
import { Run } from "./run.ts";
import { SequencePool } from "./sequences.ts";
import type { Model } from "./wasm.ts";

/** Picks the next token from logits, (vocabSize). May write into `logits`. */
export type Sample = (logits: Float32Array) => number;

export interface GenerateOptions {
	/** At most this many tokens are generated. */
	maxTokens: number;
	sample: Sample;
	/** Default: `full`. */
	exit?: ExitOptions;
	/** Aborting ends the generator with the signal's reason at the next token. */
	signal?: AbortSignal;
	/**
	 * Requests reuse keys and values of earlier ones that begin with the same tokens, if these had the same
	 * scope. Default: one scope for all who name none.
	 */
	scope?: string;
	/** Called once when the generator ends, in whatever way, if it had begun to compute. */
	onEnd?: (spent: Spent) => void;
}

export interface GeneratedToken {
	id: number;
	/** The depth, in layers, at which this token left the model. */
	exitLayer: number;
	/** Multiply-accumulates of the request so far, prompt included. */
	macs: number;
	/** What the same tokens would have cost at full depth. */
	macsFull: number;
}

/** What a generation has taken. */
export interface Spent {
	promptTokens: number;
	/** Of these, tokens whose keys and values were there from earlier requests. */
	cachedTokens: number;
	completionTokens: number;
	/** Generated tokens by the depth at which they left. */
	exitLayers: Record<number, number>;
	/** Multiply-accumulates computed: the prompt's included, those of cached tokens not. */
	macs: number;
	/** What the same tokens would have cost at full depth, nothing cached. */
	macsFull: number;
}

export interface GenerationSummary extends Spent {
	/** `stop`: the model ended its text. `length`: maxTokens, the context or the budget is used up. */
	finishReason: "stop" | "length";
	/** Whether the budget ended it. */
	budgetExhausted: boolean;
}

/** A request the engine refuses; `param` names the argument at fault. */
export class EngineError extends Error {
	override name = "EngineError";
	readonly param: "prompt" | "max_tokens";
	constructor(message: string, param: EngineError["param"]) {
		super(message);
		this.param = param;
	}
}

export interface Engine {
	readonly config: ModelConfig;
	/** Names the model's bits: where it is the same, so are all tokens. */
	readonly fingerprint: string;
	/**
	 * Continues `prompt` (token ids, at least one, each below `vocabSize`). The end-of-text token is
	 * consumed, not yielded. Sending `true` into the generator ends it as that token does. Where all
	 * sequences are taken, waits for one, first come, first served.
	 * @throws EngineError where the prompt is empty, has an unknown id or leaves no room in the
	 * context; ExitError where the model cannot follow `exit`.
	 */
	generate(prompt: readonly number[], options: GenerateOptions): TokenGenerator;
}

export type TokenGenerator = AsyncGenerator<
	GeneratedToken,
	GenerationSummary,
	boolean | undefined
>;

/** Between so many tokens the engine lets others run: a token takes a fraction of a millisecond. */
const TOKENS_PER_TURN = 32;

export function createEngine(model: Model): Engine {
	const { config } = model;
	const pool = new SequencePool(model.sequences);
	return {
		config,
		fingerprint: model.fingerprint,
		async *generate(prompt, options) {
			validate(prompt, options, config);
			const policy = createPolicy(
				options.exit ?? { exit: "full" },
				config,
				prompt.length,
				options.maxTokens,
			);
			const { sequence, reused } = await pool.take(
				prompt,
				config.exits[policy.promptExit] as number,
				options.scope,
				options.signal,
			);
			const run = new Run(model, sequence, policy);
			const spent: Spent = {
				promptTokens: prompt.length,
				cachedTokens: reused,
				completionTokens: 0,
				exitLayers: {},
				macs: 0,
				macsFull: 0,
			};
			const update = () =>
				Object.assign(spent, { macs: run.macs, macsFull: run.macsFull });
			try {
				run.reuse(reused);
				const end = yield* generate(model, run, policy, prompt, spent, options);
				return { ...update(), ...end };
			} finally {
				pool.giveBack(sequence);
				options.onEnd?.(update());
			}
		},
	};
}

function validate(
	prompt: readonly number[],
	{ maxTokens }: GenerateOptions,
	config: ModelConfig,
): void {
	if (prompt.length === 0)
		throw new EngineError("the prompt is empty", "prompt");
	if (prompt.length >= config.maxSeqLen)
		throw new EngineError(
			`the prompt has ${prompt.length} tokens; this model's context of ${config.maxSeqLen} leaves room for at most ${config.maxSeqLen - 1}`,
			"prompt",
		);
	const unknown = prompt.find(
		(id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize,
	);
	if (unknown !== undefined)
		throw new EngineError(
			`the prompt has the token id ${unknown}; ids are integers from 0 to ${config.vocabSize - 1}`,
			"prompt",
		);
	if (!Number.isInteger(maxTokens) || maxTokens < 1)
		throw new EngineError(
			`max_tokens is ${maxTokens}, and must be a positive integer`,
			"max_tokens",
		);
}

/** Counts tokens in `spent`; MACs are counted by `run`. */
async function* generate(
	model: Model,
	run: Run,
	policy: ExitPolicy,
	prompt: readonly number[],
	spent: Spent,
	{ maxTokens, sample, signal }: GenerateOptions,
): AsyncGenerator<
	GeneratedToken,
	Omit<GenerationSummary, keyof Spent>,
	boolean | undefined
> {
	const { config } = model;
	const end = (
		finishReason: GenerationSummary["finishReason"],
		budgetExhausted = false,
	) => ({ finishReason, budgetExhausted });
	for (let at = spent.cachedTokens; at < prompt.length; at += model.maxBatch) {
		if (at > spent.cachedTokens) await turn();
		signal?.throwIfAborted();
		run.prompt(prompt.slice(at, at + model.maxBatch), at);
	}
	for (let position = prompt.length; ; position++) {
		signal?.throwIfAborted();
		const id = sample(run.logits());
		if (id === config.eosTokenId) return end("stop");
		spent.completionTokens++;
		const exitLayer = config.exits[run.exit] as number;
		spent.exitLayers[exitLayer] = (spent.exitLayers[exitLayer] ?? 0) + 1;
		const { macs, macsFull } = run;
		if (yield { id, exitLayer, macs, macsFull }) return end("stop");
		const wanted = Math.min(
			maxTokens - spent.completionTokens,
			config.maxSeqLen - 1 - position,
		);
		if (wanted === 0) return end("length");
		const limit = policy.limit(position, run.macs + run.macsReused, wanted);
		if (limit === undefined) return end("length", true);
		if (spent.completionTokens % TOKENS_PER_TURN === 0) await turn();
		run.token(id, position, limit);
	}
}

/** Lets timers, input and other requests have their turn. Node's setTimeout would take 1 ms of it. */
function turn(): Promise<void> {
	const later = globalThis.setImmediate ?? setTimeout;
	return new Promise((resolve) => later(resolve));
}
