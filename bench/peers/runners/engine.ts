/** Our engine: `options.kernel` is the kernel; the model is an image. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readModule } from "../../../src/node.ts";
import {
	buildOf,
	isKernel,
	type Kernel,
	loadModel,
} from "../../../src/wasm.ts";
import { modelSession } from "../model_session.ts";
import type { Job, Session } from "../session.ts";

function kernelOf({ options }: Job): Kernel {
	const { kernel = "" } = options;
	if (!isKernel(kernel)) throw new Error(`no kernel ${kernel}`);
	return kernel;
}

export async function open(job: Job): Promise<Session> {
	const kernel = kernelOf(job);
	return modelSession(
		loadModel(await readModule(kernel), readFileSync(job.model), {
			sequences: 1,
			kernel,
		}),
	);
}

export function files(job: Job): string[] {
	return [
		`build/${buildOf(kernelOf(job))}.wasm`,
		"src/wasm.ts",
		"src/image.ts",
		"node_modules/@assemblyscript/loader/index.js",
	].map((name) => fileURLToPath(new URL(`../../../${name}`, import.meta.url)));
}
