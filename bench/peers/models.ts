/**
 * The models that peers are compared on, and their files in each peer's format.
 *
 * @module
 */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { ModelConfig } from "../../src/image.ts";
import { parseHuggingFaceConfig } from "../../src/pack/huggingface.ts";
import { packTensors } from "../../src/pack/pack.ts";
import { inMemory, readSafetensors } from "../../src/pack/safetensors.ts";
import { randomTensors, SHAPES } from "../random_model.ts";
import { ggufModel } from "./gguf.ts";
import { onnxModel } from "./onnx.ts";
import { floatImage, readWeights, type Weights } from "./weights.ts";

export interface Shape {
	name: string;
	/** What of the model is worth a note. */
	note: string;
	weights: Weights;
	/** The engine's ternary image. */
	image: Uint8Array<ArrayBuffer>;
	/** Whether every peer has the same weights as the engine, so that their logits can be compared. */
	isSame: boolean;
	/**
	 * What quantising activations, keys and values may change of the logits, as their correlation. Random weights make
	 * chaos of rounding: there the bound only tells right from wrong.
	 */
	minCorrelation: number;
}

/** llama2.c's stories15M. */
const STORIES_15M: ModelConfig = {
	...SHAPES["24x128"],
	dim: 288,
	hiddenDim: 768,
	nLayers: 6,
	nHeads: 6,
	nKvHeads: 6,
	vocabSize: 32000,
	exits: [6],
	gateDim: 0,
};

/** Models by the name that `--shapes` takes. */
export const MODELS: Record<string, () => Shape> = {
	"24x128": () => {
		const folder = new URL("../../models/stories/", import.meta.url);
		const json: unknown = JSON.parse(
			readFileSync(new URL("config.json", folder), "utf8"),
		);
		const { config } = parseHuggingFaceConfig(json);
		const bytes = readFileSync(new URL("model.safetensors", folder));
		const tensors = readSafetensors(inMemory(bytes));
		return {
			name: "24x128",
			note: "the shipped model",
			weights: readWeights(config, tensors),
			image: packTensors(config, tensors),
			isSame: true,
			minCorrelation: 0.99,
		};
	},
	"24x256": () => {
		const config = SHAPES["24x256"];
		const tensors = randomTensors(config);
		return {
			name: "24x256",
			note: "random weights",
			weights: readWeights(config, tensors),
			image: packTensors(config, tensors),
			isSame: true,
			minCorrelation: 0.7,
		};
	},
	stories15M: () => {
		const wider = { ...STORIES_15M, dim: 320, nHeads: 5, nKvHeads: 5 };
		return {
			name: "stories15M",
			note: "random weights; our engine's widths are multiples of 64, so that its ternary model has dim 320, 5 heads",
			weights: readWeights(STORIES_15M, randomTensors(STORIES_15M)),
			image: packTensors(wider, randomTensors(wider)),
			isSame: false,
			minCorrelation: 0,
		};
	},
};

/** Writes the model's file of one format into `folder`; returns its path. */
export function writeModel(
	{ name, weights, image }: Shape,
	format: Format,
	folder: string,
): string {
	const path = join(folder, `${name}-${format}`);
	const file = openSync(path, "w");
	try {
		for (const piece of WRITERS[format](weights, image)) writeSync(file, piece);
	} finally {
		closeSync(file);
	}
	return path;
}

const WRITERS = {
	ternary: (_: Weights, image: Uint8Array) => [image],
	f32: (weights: Weights) => [floatImage(weights)],
	"onnx-fp32": (weights: Weights) => onnxModel(weights, "fp32"),
	"onnx-int8": (weights: Weights) => onnxModel(weights, "int8"),
	"gguf-q8_0": (weights: Weights) => ggufModel(weights, "q8_0"),
	"gguf-tq2_0": (weights: Weights) => ggufModel(weights, "tq2_0"),
};
export type Format = keyof typeof WRITERS;
