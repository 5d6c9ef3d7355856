import { inject } from "vitest";
import { pack } from "../../src/pack/pack.ts";
import {
	inMemory,
	readSafetensors,
	toFloat32,
} from "../../src/pack/safetensors.ts";

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

/** What train/vectors.py wrote: PyTorch's answers for the tokens `ids`, (T). */
export interface Golden {
	ids: number[];
	/** (exits, T, V) */
	logits: Float32Array;
	/** (exits - 1, T) */
	gates: Float32Array;
	/** (T), where tokens leave in `mixed` */
	depths: number[];
	/** (T, V), by the rule `propagate` */
	mixed: Float32Array;
	/** The largest difference between PyTorch's own logits in float32 and in float64. */
	float32AgainstFloat64: number;
}

export function readGolden(model: System | "stories"): Golden {
	const folder = `test/vectors/${model}`;
	const tensors = readSafetensors(
		inMemory(readFile(`${folder}/golden.safetensors`)),
	);
	const about = JSON.parse(readText(`${folder}/golden.json`));
	const read = (name: string) => {
		const tensor = tensors.get(name);
		if (!tensor) throw new Error(`golden.safetensors has no ${name}`);
		return toFloat32(tensor);
	};
	return {
		ids: Array.from(read("ids")),
		logits: read("logits"),
		gates: read("gates"),
		depths: Array.from(read("depths")),
		mixed: read("mixed"),
		float32AgainstFloat64: about.float32_against_float64.largest,
	};
}

/** PyTorch's greedy continuation by the shipped model. */
export function readGoldenStory(): {
	prompt: string;
	max_tokens: number;
	story: string;
} {
	return JSON.parse(readText("test/vectors/stories/golden.json"));
}
