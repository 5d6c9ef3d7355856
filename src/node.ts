/**
 * The model on Node: files instead of bindings.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { pickKernel } from "./pick_kernel.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { buildOf, type Kernel, loadModel, type Model } from "./wasm.ts";

const BUILD = new URL("../build/", import.meta.url);

/** The module that has `kernel`. Relaxed SIMD needs Node 22: Node 20's is off, and wrong when on. */
async function readModule(kernel: Kernel): Promise<WebAssembly.Module> {
	const name = `${buildOf(kernel)}.wasm`;
	return WebAssembly.compile(await readFile(new URL(name, BUILD)));
}

/**
 * The shipped model and its tokenizer, as `npm run build` left them. `auto` takes the kernel that a
 * trial finds faster.
 */
export async function loadStories({
	kernel = "auto",
	sequences = 1,
}: {
	kernel?: Kernel | "auto";
	sequences?: number;
} = {}): Promise<{ model: Model; tokenizer: Tokenizer }> {
	const [module, image, tokenizer] = await Promise.all([
		readModule(kernel === "auto" ? "dot8" : kernel),
		readFile(new URL("assets/stories.bitskip", BUILD)),
		readFile(new URL("assets/stories.tokenizer.json", BUILD), "utf8"),
	]);
	const model = loadModel(module, image, {
		sequences,
		...(kernel !== "auto" && { kernel }),
	});
	if (kernel === "auto") pickKernel(model);
	return { model, tokenizer: createTokenizer(tokenizer) };
}
