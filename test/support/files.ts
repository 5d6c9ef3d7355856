import { inject } from "vitest";
import { pack } from "../../src/pack.ts";
import { readSafetensors, toFloat32 } from "../../src/safetensors.ts";

declare module "vitest" {
	interface ProvidedContext {
		files: Record<string, string>;
	}
}

export function readFile(name: string): Uint8Array {
	const base64 = inject("files")[name];
	if (base64 === undefined)
		throw new Error(`${name} is not listed in vitest.config.ts`);
	return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

export function readText(name: string): string {
	return new TextDecoder().decode(readFile(name));
}

export type System = "full" | "v1" | "v2" | "v3";
export const SYSTEMS: System[] = ["full", "v1", "v2", "v3"];

/** The packed image of a small random model of test/vectors. */
export function packVectors(system: System): Uint8Array<ArrayBuffer> {
	const folder = `test/vectors/${system}`;
	return pack(
		JSON.parse(readText(`${folder}/config.json`)),
		readFile(`${folder}/model.safetensors`),
	);
}

/** PyTorch's logits, (exits, T, V), and gates, (exits - 1, T), for the tokens (T). */
export function readGolden(model: System | "stories") {
	const tensors = readSafetensors(
		readFile(`test/vectors/${model}/golden.safetensors`),
	);
	const read = (name: string) => {
		const tensor = tensors.get(name);
		if (!tensor) throw new Error(`golden.safetensors has no ${name}`);
		return toFloat32(tensor);
	};
	return {
		ids: Array.from(read("ids")),
		logits: read("logits"),
		gates: read("gates"),
	};
}
