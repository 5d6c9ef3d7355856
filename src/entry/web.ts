/**
 * The package in browsers and where nothing else is known: the module is fetched from beside it.
 *
 * @module
 */

import { createLoad } from "../load.ts";
import { hasRelaxedSimd } from "../relaxed_simd.ts";

export * from "./public.ts";

/** The model whose parts these are; docs/package.md. */
export const load = createLoad(async (kernel) => {
	// Bundlers know an asset by this form, one for each file.
	const url = (kernel ? kernel === "strict" : !hasRelaxedSimd())
		? new URL("../../build/strict.wasm", import.meta.url)
		: new URL("../../build/relaxed.wasm", import.meta.url);
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url}: ${response.status}`);
	return WebAssembly.compile(await response.arrayBuffer());
});
