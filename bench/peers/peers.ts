/**
 * Who is compared, with what, and whether it runs in a Worker.
 *
 * @module
 */

import type { ModelConfig } from "../../src/image.ts";
import { ggufRefusal } from "./gguf.ts";
import type { Format } from "./models.ts";

export interface Peer {
	name: string;
	runner: string;
	format: Format;
	options: Record<string, string>;
	/** Settings to try first; the one that decodes fastest is measured. */
	trials?: Record<string, string>[];
	/** What it is to the targets. */
	kind: "ours" | "wasm" | "native";
	/** Whether it runs in a Cloudflare Worker; if not, why. */
	worker: string;
	/** Why it cannot run a model of this shape, if so. */
	refuses?: (config: ModelConfig) => string | undefined;
}

const ORT_WEB =
	"not as shipped: looks for its script's URL and compiles from bytes; 14 MB, 3.7 MB compressed";
const WLLAMA =
	"no: needs `document` and a Web Worker from a blob; its memory begins at 128 MiB";
const NATIVE = "no: native code";

/** llama.cpp's own choice, a build for AVX-512, is slow with heads of 32: LOG.md. */
const LLAMA_DEFAULT = { backend: "", flash: "auto", cache: "f16" };
const LLAMA_TRIALS = ["", "haswell", "alderlake"].flatMap((backend) => [
	{ backend, flash: "off", cache: "f16" },
	{ backend, flash: "on", cache: "f16" },
	{ backend, flash: "off", cache: "f32" },
]);

export const PEERS: Peer[] = [
	...["dot8", "dot16", "strict"].map(
		(kernel): Peer => ({
			name: `BitSkip ${kernel}`,
			runner: "engine",
			format: "ternary",
			options: { kernel },
			kind: "ours",
			worker: "yes",
		}),
	),
	{
		name: "BitSkip's fp32 path, wasm",
		runner: "engine",
		format: "f32",
		options: { kernel: "dot8" },
		kind: "wasm",
		worker: "yes, where its weights fit 128 MB",
		refuses: ({ dim }) =>
			dim % 64 ? `its widths are multiples of 64, not ${dim}` : undefined,
	},
	...(["fp32", "int8"] as const).flatMap((type): Peer[] => [
		{
			name: `onnxruntime-web ${type}`,
			runner: "onnxruntime",
			format: `onnx-${type}`,
			options: { build: "web" },
			kind: "wasm",
			worker: ORT_WEB,
		},
		{
			name: `onnxruntime-node ${type}`,
			runner: "onnxruntime",
			format: `onnx-${type}`,
			options: { build: "node" },
			kind: "native",
			worker: NATIVE,
		},
	]),
	...(["q8_0", "tq2_0"] as const).map(
		(type): Peer => ({
			name: `wllama ${type.toUpperCase()}`,
			runner: "wllama",
			format: `gguf-${type}`,
			options: {},
			kind: "wasm",
			worker: WLLAMA,
			refuses: (config) => ggufRefusal(config, type),
		}),
	),
	...(["q8_0", "tq2_0"] as const).flatMap((type): Peer[] => {
		const peer = {
			runner: "llama_native",
			format: `gguf-${type}` as const,
			kind: "native" as const,
			worker: NATIVE,
			refuses: (config: ModelConfig) => ggufRefusal(config, type),
		};
		const name = `llama.cpp ${type.toUpperCase()}, native`;
		return [
			{ ...peer, name: `${name}, its defaults`, options: LLAMA_DEFAULT },
			{
				...peer,
				name: `${name}, its best`,
				options: LLAMA_DEFAULT,
				trials: LLAMA_TRIALS,
			},
		];
	}),
];
