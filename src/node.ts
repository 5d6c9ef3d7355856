/**
 * The model on Node: files instead of bindings.
 *
 * @module
 */

import { readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { openFolder, readText } from "./folder.ts";
import { parseHuggingFaceConfig } from "./pack/huggingface.ts";
import { packTensors } from "./pack/pack.ts";
import { pickKernel } from "./pick_kernel.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { buildOf, type Kernel, loadModel, type Model } from "./wasm.ts";

const BUILD = new URL("../build/", import.meta.url);

/** The module that has `kernel`. Relaxed SIMD needs Node 22: Node 20's is off, and wrong when on. */
export async function readModule(kernel: Kernel): Promise<WebAssembly.Module> {
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

/** An image and the tokenizer that packing put beside it. @throws RangeError where one is missing. */
export async function loadImageFile(
	path: string,
	options: Options = {},
): Promise<Loaded> {
	const tokenizer = tokenizerBeside(path);
	const [image, json] = await Promise.all([
		readFile(path),
		readText(dirname(tokenizer), basename(tokenizer)),
	]);
	return load(image, json, options);
}

/** Where the tokenizer of the image at `path` is. */
export function tokenizerBeside(path: string): string {
	return path.replace(/(\.bitskip)?$/, ".tokenizer.json");
}

/**
 * A Hugging Face `bitnet` folder, packed in memory.
 * @throws RangeError where the folder is not such a model.
 */
export async function loadFolder(
	path: string,
	options: Options = {},
): Promise<Loaded> {
	const folder = await openFolder(path);
	try {
		const { config, storage } = parseHuggingFaceConfig(folder.configJson);
		return await load(
			packTensors(config, folder.tensors, storage),
			await readText(path, "tokenizer.json"),
			options,
		);
	} finally {
		folder.close();
	}
}

/** loadFolder or loadImageFile, by what `path` is; without one loadStories. */
export async function loadPath(
	path: string | undefined,
	options: Options = {},
): Promise<Loaded> {
	if (path === undefined) return loadStories(options);
	const { isDirectory } = await describePath(path);
	return isDirectory ? loadFolder(path, options) : loadImageFile(path, options);
}

/** @throws RangeError where there is nothing at `path`. */
export async function describePath(
	path: string,
): Promise<{ isDirectory: boolean }> {
	try {
		return { isDirectory: (await stat(path)).isDirectory() };
	} catch (error) {
		throw new RangeError(
			`cannot read ${path}: ${(error as Error).message}. Give a Hugging Face model folder, or an image that \`bitskip pack\` wrote`,
		);
	}
}
