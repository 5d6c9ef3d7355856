/**
 * The engine turns token ids into token ids. It knows neither text nor HTTP.
 *
 * @module
 */

import { createPolicy, type ExitOptions, type ExitPolicy } from "./exit.ts";
import type { ModelConfig } from "./image.ts";
import { Run } from "./run.ts";
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

export interface GenerationSummary {
	/** `stop`: the model ended its text. `length`: maxTokens, the context or the budget is used up. */
	finishReason: "stop" | "length";
	/** Whether the budget ended it. */
	budgetExhausted: boolean;
	promptTokens: number;
	completionTokens: number;
	/** Generated tokens by the depth at which they left. */
	exitLayers: Record<number, number>;
	/** Multiply-accumulates spent, prompt included. */
	macs: number;
	/** What the same tokens would have cost at full depth. */
	macsFull: number;
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
/** How often those who wait for a sequence look again. */
const WAIT_MS = 2;

export function createEngine(model: Model): Engine {
	const { config } = model;
	const pool = new SequencePool(model.sequences);
	return {
		config,
		async *generate(prompt, options) {
			validate(prompt, options, config);
			const policy = createPolicy(
				options.exit ?? { exit: "full" },
				config,
				prompt.length,
				options.maxTokens,
			);
			const sequence = await pool.take(options.signal);
			try {
				return yield* generate(model, sequence, policy, prompt, options);
			} finally {
				pool.giveBack(sequence);
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

async function* generate(
	model: Model,
	sequence: number,
	policy: ExitPolicy,
	prompt: readonly number[],
	{ maxTokens, sample, signal }: GenerateOptions,
): TokenGenerator {
	const { config } = model;
	const run = new Run(model, sequence, policy);
	for (let at = 0; at < prompt.length; at += model.maxBatch) {
		if (at > 0) await turn();
		signal?.throwIfAborted();
		run.prompt(prompt.slice(at, at + model.maxBatch), at);
	}
	const exitLayers: Record<number, number> = {};
	let completionTokens = 0;
	const summary = (
		finishReason: GenerationSummary["finishReason"],
		budgetExhausted = false,
	): GenerationSummary => ({
		finishReason,
		budgetExhausted,
		promptTokens: prompt.length,
		completionTokens,
		exitLayers,
		macs: run.macs,
		macsFull: run.macsFull,
	});
	for (let position = prompt.length; ; position++) {
		signal?.throwIfAborted();
		const id = sample(run.logits());
		if (id === config.eosTokenId) return summary("stop");
		completionTokens++;
		const exitLayer = config.exits[run.exit] as number;
		exitLayers[exitLayer] = (exitLayers[exitLayer] ?? 0) + 1;
		const { macs, macsFull } = run;
		if (yield { id, exitLayer, macs, macsFull }) return summary("stop");
		const wanted = Math.min(
			maxTokens - completionTokens,
			config.maxSeqLen - 1 - position,
		);
		if (wanted === 0) return summary("length");
		const limit = policy.limit(position, run.macs, wanted);
		if (limit === undefined) return summary("length", true);
		if (completionTokens % TOKENS_PER_TURN === 0) await turn();
		run.token(id, position, limit);
	}
}

/** Lets timers, input and other requests have their turn. Node's setTimeout would take 1 ms of it. */
function turn(): Promise<void> {
	const later = globalThis.setImmediate ?? setTimeout;
	return new Promise((resolve) => later(resolve));
}

/**
 * Hands out the numbers of sequences; who finds none waits in line. Waiting is done by a timer of
 * one's own, not by a promise that whoever gives back resolves: a Worker cancels a request that
 * waits for nothing but another request.
 */
class SequencePool {
	readonly #free: number[];
	readonly #line: object[] = [];

	constructor(count: number) {
		this.#free = Array.from({ length: count }, (_, i) => count - 1 - i);
	}

	async take(signal?: AbortSignal): Promise<number> {
		const ticket = {};
		this.#line.push(ticket);
		try {
			for (;;) {
				signal?.throwIfAborted();
				if (this.#line[0] === ticket) {
					const sequence = this.#free.pop();
					if (sequence !== undefined) return sequence;
				}
				await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
			}
		} finally {
			this.#line.splice(this.#line.indexOf(ticket), 1);
		}
	}

	giveBack(sequence: number): void {
		this.#free.push(sequence);
	}
}
