import { readFileSync } from "node:fs";

const compile = (name: string) =>
	new WebAssembly.Module(
		readFileSync(new URL(`../../build/${name}.wasm`, import.meta.url)),
	);

/** The shipped module and the one with bare kernels, in both builds. */
export const modules = {
	strict: compile("strict"),
	relaxed: compile("relaxed"),
};
export const kernelModules = {
	strict: compile("kernels-strict"),
	relaxed: compile("kernels-relaxed"),
};
