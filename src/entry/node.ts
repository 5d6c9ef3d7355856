/**
 * The package in Node, Deno and Bun: the module is a file beside it.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { createLoad } from "../load.ts";
import { hasRelaxedSimd } from "../relaxed_simd.ts";

export * from "./public.ts";

const BUILD = new URL("../../build/", import.meta.url);

/** The model whose parts these are; docs/package.md. */
export const load = createLoad(async (kernel) => {
	const isStrict = kernel ? kernel === "strict" : !hasRelaxedSimd();
	const name = isStrict ? "strict.wasm" : "relaxed.wasm";
	return new Uint8Array(await readFile(new URL(name, BUILD)));
});
