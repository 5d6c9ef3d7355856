/**
 * The engine in a Web Worker, off the main thread: the same WebAssembly as on the edge.
 *
 * @module
 */

import { complete } from "../completion.ts";
import { createEngine, type Engine } from "../engine.ts";
import { pickKernel } from "../pick_kernel.ts";
import { createSampler } from "../sampler.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer.ts";
import { loadModel } from "../wasm.ts";
import { ModelCache } from "./download.ts";
import { manifest } from "./manifest.ts";
import type { LoadMessage, StoryMessage } from "./messages.ts";
import type { StoryRequest } from "./story.ts";

/** Some 12 ms: the module's code is optimised only after a while, and a visitor's cores have other work. */
const TRIAL_ROUNDS = 40;

interface Loaded {
	engine: Engine;
	tokenizer: Tokenizer;
}

let loading: Promise<Loaded> | undefined;

addEventListener("message", ({ data, ports }: MessageEvent<StoryRequest>) => {
	const port = ports[0] as MessagePort;
	const controller = new AbortController();
	port.onmessage = () => controller.abort(new Error("cancelled"));
	write(data, port, controller.signal).catch((error: Error) =>
		send(port, { type: "failed", message: error.message }),
	);
});

async function write(
	{ prompt, maxTokens, temperature, seed, exit }: StoryRequest,
	port: MessagePort,
	signal: AbortSignal,
): Promise<void> {
	loading ??= load().catch((error) => {
		loading = undefined;
		throw error;
	});
	const { engine, tokenizer } = await loading;
	const pieces = complete(engine, tokenizer, prompt, {
		maxTokens,
		// The nucleus of the API's default.
		sample: createSampler({ temperature, seed, topP: 1 }),
		exit,
		signal,
	});
	for (;;) {
		const { value, done } = await pieces.next();
		if (done) return send(port, { type: "done", summary: value });
		send(port, { type: "piece", piece: value });
	}
}

async function load(): Promise<Loaded> {
	const cache = new ModelCache(manifest.version);
	const { image, tokenizer, relaxed, strict } = manifest.files;
	const [imageBytes, tokenizerBytes, relaxedBytes] = (await cache.get(
		[image, tokenizer, relaxed],
		(loaded, total) => report({ type: "download", loaded, total }),
	)) as [BufferSource & Uint8Array, Uint8Array, BufferSource];
	const hasRelaxed = WebAssembly.validate(relaxedBytes);
	const bytes = hasRelaxed
		? relaxedBytes
		: ((await cache.get([strict], () => {}))[0] as BufferSource);
	try {
		const module = await WebAssembly.compile(bytes);
		const model = loadModel(module, imageBytes, { sequences: 1 });
		if (hasRelaxed) pickKernel(model, TRIAL_ROUNDS);
		report({ type: "ready", kernel: model.kernel });
		return {
			engine: createEngine(model),
			tokenizer: createTokenizer(new TextDecoder().decode(tokenizerBytes)),
		};
	} catch (error) {
		await cache.clear();
		throw error;
	}
}

function send(port: MessagePort, message: StoryMessage): void {
	port.postMessage(message);
}

function report(message: LoadMessage): void {
	postMessage(message);
}
