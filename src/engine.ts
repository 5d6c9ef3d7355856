/**
 * The engine turns token ids into token ids. It knows neither text nor HTTP.
 *
 * @module
 */

import { headMacs, layerMacs } from "./cost.ts";
import { type ExitOptions, exitNumber } from "./exit.ts";
import type { ModelConfig } from "./image.ts";
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
}

export interface GenerationSummary {
	/** `stop`: the model ended its text. `length`: maxTokens or the context is used up. */
	finishReason: "stop" | "length";
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
	readonly param: "prompt" | "max_tokens" | "layer";
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
	 * context, or where `layer` is not one of `config.exits`.
	 */
	generate(prompt: readonly number[], options: GenerateOptions): TokenGenerator;
}

export type TokenGenerator = AsyncGenerator<
	GeneratedToken,
	GenerationSummary,
	boolean | undefined
>;

/** Between so many tokens the engine lets others run: a token takes a fraction of a millisecond. */
const TOKENS_PER_TURN = 8;
/** How often those who wait for a sequence look again. */
const WAIT_MS = 2;

export function createEngine(model: Model): Engine {
	const { config } = model;
	const pool = new SequencePool(model.sequences);
	return {
		config,
		async *generate(prompt, options) {
			const exit = validate(prompt, options, config);
			const sequence = await pool.take(options.signal);
			try {
				return yield* generate(model, sequence, exit, prompt, options);
			} finally {
				pool.giveBack(sequence);
			}
		},
	};
}

/** Returns the number of the exit. */
function validate(
	prompt: readonly number[],
	{ maxTokens, exit: exitOptions = { exit: "full" } }: GenerateOptions,
	config: ModelConfig,
): number {
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
	const exit = exitNumber(exitOptions, config);
	if (exit === undefined)
		throw new EngineError(
			`no exit at layer ${"layer" in exitOptions ? exitOptions.layer : ""}; this model's are ${config.exits.join(", ")}`,
			"layer",
		);
	return exit;
}

async function* generate(
	model: Model,
	sequence: number,
	exit: number,
	prompt: readonly number[],
	{ maxTokens, sample, signal }: GenerateOptions,
): TokenGenerator {
	const { config } = model;
	const exitLayer = config.exits[exit] as number;
	const summary: GenerationSummary = {
		finishReason: "length",
		promptTokens: prompt.length,
		completionTokens: 0,
		exitLayers: {},
		macs: 0,
		macsFull: 0,
	};
	/** Runs tokens at `position` and on; afterwards the last one's state is in the row returned. */
	const forward = (tokens: readonly number[], position: number): number => {
		tokens.forEach((token, slot) => {
			model.embed(slot, token);
		});
		for (let l = 0; l < exitLayer; l++)
			model.layer(sequence, l, position, tokens.length);
		for (let i = 0; i < tokens.length; i++) {
			const macs = layerMacs(config, position + i);
			summary.macs += macs * exitLayer;
			summary.macsFull += macs * config.nLayers;
		}
		return tokens.length - 1;
	};

	let slot = 0;
	for (let at = 0; at < prompt.length; at += model.maxBatch) {
		if (at > 0) await turn();
		signal?.throwIfAborted();
		slot = forward(prompt.slice(at, at + model.maxBatch), at);
	}
	for (let position = prompt.length; ; position++) {
		signal?.throwIfAborted();
		const id = sample(model.head(exit, slot));
		summary.macs += headMacs(config);
		summary.macsFull += headMacs(config);
		if (id === config.eosTokenId) return { ...summary, finishReason: "stop" };
		summary.completionTokens++;
		summary.exitLayers[exitLayer] = (summary.exitLayers[exitLayer] ?? 0) + 1;
		const stop = yield { id, exitLayer };
		if (stop) return { ...summary, finishReason: "stop" };
		if (
			summary.completionTokens === maxTokens ||
			position + 1 === config.maxSeqLen
		)
			return summary;
		if (summary.completionTokens % TOKENS_PER_TURN === 0) await turn();
		slot = forward([id], position);
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
