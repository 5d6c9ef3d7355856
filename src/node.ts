/**
 * The model on Node: files instead of bindings.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pack } from "./pack.ts";
import { pickKernel } from "./pick_kernel.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { buildOf, type Kernel, loadModel, type Model } from "./wasm.ts";

const BUILD = new URL("../build/", import.meta.url);

/** The module that has `kernel`. Relaxed SIMD needs Node 22: Node 20's is off, and wrong when on. */
async function readModule(kernel: Kernel): Promise<WebAssembly.Module> {
	const name = `${buildOf(kernel)}.wasm`;
	return WebAssembly.compile(await readFile(new URL(name, BUILD)));
}

interface Options {
	/** `auto` takes the kernel that a trial finds faster. */
	kernel?: Kernel | "auto";
	sequences?: number;
}

interface Loaded {
	model: Model;
	tokenizer: Tokenizer;
}

async function load(
	image: Uint8Array,
	tokenizerJson: string,
	{ kernel = "auto", sequences = 1 }: Options,
): Promise<Loaded> {
	const module = await readModule(kernel === "auto" ? "dot8" : kernel);
	const model = loadModel(module, image, {
		sequences,
		...(kernel !== "auto" && { kernel }),
	});
	if (kernel === "auto") pickKernel(model);
	return { model, tokenizer: createTokenizer(tokenizerJson) };
}

/** The shipped model and its tokenizer, as `npm run build` left them. */
export async function loadStories(options: Options = {}): Promise<Loaded> {
	const [image, tokenizer] = await Promise.all([
		readFile(new URL("assets/stories.bitskip", BUILD)),
		readFile(new URL("assets/stories.tokenizer.json", BUILD), "utf8"),
	]);
	return load(image, tokenizer, options);
}

/**
 * A Hugging Face `bitnet` folder, packed in memory.
 * @throws RangeError where the folder is not such a model.
 */
export async function loadFolder(
	folder: string,
	options: Options = {},
): Promise<Loaded> {
	const [config, weights, tokenizer] = await Promise.all([
		readFile(join(folder, "config.json"), "utf8"),
		readFile(join(folder, "model.safetensors")),
		readFile(join(folder, "tokenizer.json"), "utf8"),
	]);
	return load(pack(JSON.parse(config), weights), tokenizer, options);
}
