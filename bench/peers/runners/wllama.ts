/**
 * llama.cpp in WebAssembly: wllama's single-threaded build. It is made for browsers; the Worker it asks for is one of
 * Node's threads here.
 */

import { resolveObjectURL } from "node:buffer";
import { openAsBlob } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import { LoggerWithoutDebug, Wllama } from "@wllama/wllama/esm/index.js";
import type { Job, Session } from "../session.ts";

/** What wllama's code in the Worker takes for granted. */
const PRELUDE = `
const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = { href: "file:///", origin: "null" };
globalThis.postMessage = (data, transfer) => parentPort.postMessage(data, transfer);
parentPort.on("message", (data) => globalThis.onmessage({ data }));
`;

/** A browser's Worker of a blob's code. */
class BrowserWorker {
	onmessage: (event: { data: unknown }) => void = () => {};
	onerror: (error: unknown) => void = () => {};
	readonly #thread: Promise<Thread>;

	constructor(url: string) {
		this.#thread = this.#start(url);
	}

	async #start(url: string): Promise<Thread> {
		const code = await resolveObjectURL(url)?.text();
		const thread = new Thread(`${PRELUDE}${code}`, { eval: true });
		thread.on("message", (data: unknown) => this.onmessage({ data }));
		thread.on("error", (error) => this.onerror(error));
		return thread;
	}

	async postMessage(data: unknown, transfer?: ArrayBuffer[]): Promise<void> {
		(await this.#thread).postMessage(data, transfer);
	}

	async terminate(): Promise<void> {
		await (await this.#thread).terminate();
	}
}

const WASM = fileURLToPath(
	new URL(
		"../node_modules/@wllama/wllama/esm/single-thread/wllama.wasm",
		import.meta.url,
	),
);

export async function open({ model, vocabSize }: Job): Promise<Session> {
	Object.assign(globalThis, {
		Worker: BrowserWorker,
		document: { baseURI: "file:///" },
	});
	const wllama = new Wllama(
		{ "single-thread/wllama.wasm": pathToFileURL(WASM).href },
		{ logger: LoggerWithoutDebug, suppressNativeLog: true },
	);
	await wllama.loadModel([await openAsBlob(model)], {
		n_ctx: 512,
		n_batch: 512,
		n_threads: 1,
	});
	return {
		async prefill(ids) {
			await wllama.kvClear();
			await wllama.decode(ids, {});
		},
		async decode(id) {
			await wllama.decode([id], {});
		},
		async logits() {
			await wllama.samplingInit({ temp: 1 });
			const logits = new Float32Array(vocabSize);
			// Probabilities only: logits less a constant, as far as fp32 reaches.
			for (const { token, p } of await wllama.getLogits(vocabSize))
				logits[token] = Math.log(Math.max(p, 1e-38));
			return logits;
		},
	};
}

export function files(): string[] {
	return [WASM, WASM.replace("single-thread/wllama.wasm", "index.min.js")];
}
