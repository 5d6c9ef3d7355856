/**
 * The model on Node: files instead of bindings.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { loadModel, type Model } from "./wasm.ts";

export type WasmBuild = "relaxed" | "strict";

const BUILD = new URL("../build/", import.meta.url);

/** The compiled module. Relaxed SIMD needs Node 22 or newer: Node 20's is off, and wrong when on. */
export async function readModule(
	build: WasmBuild,
): Promise<WebAssembly.Module> {
	return WebAssembly.compile(await readFile(new URL(`${build}.wasm`, BUILD)));
}

/** The shipped model and its tokenizer, as `npm run build` left them. */
export async function loadStories({
	build = "relaxed",
	sequences = 1,
}: {
	build?: WasmBuild;
	sequences?: number;
} = {}): Promise<{ model: Model; tokenizer: Tokenizer }> {
	const [module, image, tokenizer] = await Promise.all([
		readModule(build),
		readFile(new URL("assets/stories.bitskip", BUILD)),
		readFile(new URL("assets/stories.tokenizer.json", BUILD), "utf8"),
	]);
	return {
		model: loadModel(module, image, { sequences }),
		tokenizer: createTokenizer(tokenizer),
	};
}
