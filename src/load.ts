/**
 * A model that writes text, from wherever its parts come: what the package exports as `load`.
 *
 * @module
 */

import { complete, type TextGenerator } from "./completion.ts";
import { createEngine, type Engine } from "./engine.ts";
import type { ExitOptions } from "./exit.ts";
import type { ModelConfig } from "./image.ts";
import { createSampler, type SamplerOptions } from "./sampler.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { type Kernel, loadModel } from "./wasm.ts";

type Bytes = ArrayBuffer | Uint8Array<ArrayBuffer>;

/** What loadSync takes. */
export interface Parts {
	/** The engine: the package's strict.wasm or relaxed.wasm. */
	module: WebAssembly.Module | Bytes;
	/** What `bitskip pack` wrote. */
	image: Bytes;
	/** The text of the tokenizer.json beside it. */
	tokenizer: string;
	/** Generations under way at a time; others wait in line. Default 1. */
	sequences?: number;
	/** Default: the module's own. */
	kernel?: Kernel;
}

/** What load takes: each part may be fetched too. */
export interface Sources extends Omit<Parts, "module" | "image" | "tokenizer"> {
	/** Default: the package's own module that this runtime can run. */
	module?: Parts["module"] | Response | URL;
	image: Bytes | Response | URL;
	tokenizer: string | Response | URL;
}

/** Sampler options default to the likeliest token always: temperature 0, topP 1, seed 0. */
export interface TextOptions extends Partial<SamplerOptions> {
	/** At most this many tokens; default: until the text or the context ends. */
	maxTokens?: number;
	/** Texts that end the generation; they are not part of it. */
	stop?: string[];
	/** At most so many multiply-accumulates, the prompt's included. */
	budgetMacs?: number;
	/** Another way to leave early than budgetMacs; give one of them. */
	exit?: ExitOptions;
	signal?: AbortSignal;
}

export interface TextModel {
	readonly config: ModelConfig;
	readonly engine: Engine;
	readonly tokenizer: Tokenizer;
	/**
	 * Continues `prompt`, piece by piece.
	 * @throws EngineError, ExitError or RangeError where prompt or options cannot be.
	 */
	generate(prompt: string, options?: TextOptions): TextGenerator;
}

/**
 * Loads a model from what is at hand, without waiting. Browsers refuse to compile larger modules so on
 * their main thread, Workers any bytes at all: hand a Module in there.
 * @throws ModelError where the image cannot be trusted or run.
 */
export function loadSync(parts: Parts): TextModel {
	const { sequences = 1, kernel } = parts;
	const module =
		parts.module instanceof WebAssembly.Module
			? parts.module
			: new WebAssembly.Module(parts.module);
	const model = loadModel(module, new Uint8Array(parts.image), {
		sequences,
		...(kernel && { kernel }),
	});
	const engine = createEngine(model);
	const tokenizer = createTokenizer(parts.tokenizer);
	return {
		config: model.config,
		engine,
		tokenizer,
		generate(prompt, options = {}) {
			const { budgetMacs, exit, signal, stop, maxTokens, ...sampler } = options;
			if (budgetMacs !== undefined && exit)
				throw new RangeError("give budgetMacs or exit, not both");
			return complete(engine, tokenizer, prompt, {
				maxTokens: maxTokens ?? model.config.maxSeqLen,
				sample: createSampler({ temperature: 0, topP: 1, seed: 0, ...sampler }),
				exit:
					budgetMacs === undefined
						? (exit ?? { exit: "full" })
						: { exit: "budget", budgetMacs },
				...(signal && { signal }),
				...(stop && { stop }),
			});
		},
	};
}

/** The load function of a runtime. @param defaultModule the package's own module there. */
export function createLoad(
	defaultModule: (kernel?: Kernel) => Promise<Parts["module"]>,
): (sources: Sources) => Promise<TextModel> {
	return async ({ module, image, tokenizer, ...rest }) => {
		const parts = await Promise.all([
			module === undefined ? defaultModule(rest.kernel) : fetchModule(module),
			fetchBytes(image),
			fetchText(tokenizer),
		]);
		return loadSync({
			module: parts[0],
			image: parts[1],
			tokenizer: parts[2],
			...rest,
		});
	};
}

async function fetchModule(
	source: Parts["module"] | Response | URL,
): Promise<WebAssembly.Module> {
	if (source instanceof WebAssembly.Module) return source;
	return WebAssembly.compile(await fetchBytes(source));
}

async function fetchBytes(source: Bytes | Response | URL): Promise<Bytes> {
	return source instanceof URL || source instanceof Response
		? (await open(source)).arrayBuffer()
		: source;
}

async function fetchText(source: string | Response | URL): Promise<string> {
	return typeof source === "string" ? source : (await open(source)).text();
}

/** @throws Error where the answer is not a good one. */
async function open(source: Response | URL): Promise<Response> {
	const response = source instanceof URL ? await fetch(source) : source;
	if (!response.ok)
		throw new Error(
			`${response.url || source}: ${response.status} ${response.statusText}`,
		);
	return response;
}
