/**
 * Models of any shape with random weights: for speed, not for quality.
 *
 * @module
 */

import type { ModelConfig } from "../src/image.ts";
import { packTensors } from "../src/pack/pack.ts";
import { inMemory, type Tensor } from "../src/pack/safetensors.ts";

/** The two shapes of the design; both leave early at 6, 12 and 18 of 24 layers. */
export const SHAPES = {
	"24x128": shape(128, 4, 2, 512),
	"24x256": shape(256, 8, 4, 1024),
};

function shape(
	dim: number,
	nHeads: number,
	nKvHeads: number,
	hiddenDim: number,
): ModelConfig {
	return {
		dim,
		hiddenDim,
		nLayers: 24,
		nHeads,
		nKvHeads,
		vocabSize: 1024,
		maxSeqLen: 512,
		exits: [6, 12, 18, 24],
		gateDim: 32,
		weights: "ternary",
		activationBits: 8,
		hadamard: [],
		normEps: 1e-5,
		ropeTheta: 10000,
		bosTokenId: 0,
		eosTokenId: 0,
	};
}

/** The packed image of a ternary model of shape `config`. */
export function randomImage(config: ModelConfig): Uint8Array<ArrayBuffer> {
	return packTensors(config, randomTensors(config));
}

/** The tensors of a ternary model of shape `config`, named as in Hugging Face's folders. */
export function randomTensors(config: ModelConfig): Map<string, Tensor> {
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, vocabSize, gateDim } =
		config;
	const kvDim = (dim / nHeads) * nKvHeads;
	const tensors = new Map<string, Tensor>();
	const f32 = (name: string, shape: number[], value: () => number) => {
		const n = shape.reduce((a, b) => a * b);
		const values = Float32Array.from({ length: n }, value);
		const { read } = inMemory(new Uint8Array(values.buffer));
		tensors.set(name, { dtype: "F32", shape, read });
	};
	const uniform = () => random() / 2 ** 31 - 1;
	const ternary = (name: string, rows: number, columns: number) => {
		// Four codes of {0, 1, 2} a byte.
		const bytes = Uint8Array.from({ length: (rows * columns) / 4 }, () => {
			const n = random();
			return [0, 1, 2, 3].reduce(
				(byte, i) => byte | ((Math.floor(n / 3 ** i) % 3) << (2 * i)),
				0,
			);
		});
		tensors.set(`${name}.weight`, {
			dtype: "U8",
			shape: [rows / 4, columns],
			read: inMemory(bytes).read,
		});
		f32(`${name}.weight_scale`, [1], () => 1 / Math.sqrt(columns));
	};
	f32("model.embed_tokens.weight", [vocabSize, dim], uniform);
	for (let l = 0; l < nLayers; l++) {
		const name = (part: string) => `model.layers.${l}.${part}`;
		ternary(name("self_attn.q_proj"), dim, dim);
		ternary(name("self_attn.k_proj"), kvDim, dim);
		ternary(name("self_attn.v_proj"), kvDim, dim);
		ternary(name("self_attn.o_proj"), dim, dim);
		ternary(name("mlp.gate_proj"), hiddenDim, dim);
		ternary(name("mlp.up_proj"), hiddenDim, dim);
		ternary(name("mlp.down_proj"), dim, hiddenDim);
		for (const norm of [
			"input_layernorm",
			"post_attention_layernorm",
			"self_attn.attn_sub_norm",
		])
			f32(name(`${norm}.weight`), [dim], () => 1);
		f32(name("mlp.ffn_sub_norm.weight"), [hiddenDim], () => 1);
	}
	for (const depth of config.exits.slice(0, -1)) {
		f32(`model.exits.${depth}.norm.weight`, [dim], () => 1);
		const gate = (part: string, shape: number[]) =>
			f32(`model.exits.${depth}.gate.${part}`, shape, uniform);
		gate("hidden.weight", [gateDim, dim]);
		gate("hidden.bias", [gateDim]);
		gate("out.weight", [1, gateDim]);
		gate("out.bias", [1]);
	}
	f32("model.norm.weight", [dim], () => 1);
	return tensors;
}

let state = 1;

/** An integer in [0, 2^32). */
function random(): number {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return state;
}
