/**
 * One model's weights for all peers: a ternary model as codes and scales, and as plain numbers.
 *
 * @module
 */

import type { ModelConfig } from "../../src/image.ts";
import { Checkpoint } from "../../src/pack/checkpoint.ts";
import { packTensors } from "../../src/pack/pack.ts";
import { inMemory, type Tensor } from "../../src/pack/safetensors.ts";
import { quantizeRows } from "../../src/pack/tiles.ts";

/** Integers times one scale for each row: (rows, columns). */
export interface Matrix {
	rows: number;
	columns: number;
	codes: Int8Array;
	/** (rows) */
	scales: Float32Array;
}

export interface LayerWeights {
	attnNorm: Float32Array;
	q: Matrix;
	k: Matrix;
	v: Matrix;
	attnSubNorm: Float32Array;
	o: Matrix;
	ffnNorm: Float32Array;
	gate: Matrix;
	up: Matrix;
	ffnSubNorm: Float32Array;
	down: Matrix;
}

/** A ternary model. Its early exits are left out: no peer has them. */
export interface Weights {
	config: ModelConfig;
	/** (vocabSize, dim), 7 bits as the engine stores it; the head too. */
	embedding: Matrix;
	layers: LayerWeights[];
	norm: Float32Array;
}

/** Names are those of Hugging Face's `bitnet`. @throws RangeError where a tensor is missing. */
export function readWeights(
	config: ModelConfig,
	tensors: Map<string, Tensor>,
): Weights {
	const { dim, hiddenDim, nHeads, nKvHeads, vocabSize, nLayers } = config;
	const kvDim = (dim / nHeads) * nKvHeads;
	const checkpoint = new Checkpoint(tensors, {
		scale: "factor",
		quantize: false,
	});
	const matrix = (name: string, rows: number, columns: number): Matrix => {
		const shape = [rows, columns] as const;
		const scale = checkpoint.scale(name, shape);
		const codes = checkpoint.codes(name, shape, 0, rows, scale);
		return {
			rows,
			columns,
			codes: Int8Array.from(codes, (code) => code - 1),
			scales: new Float32Array(rows).fill(scale),
		};
	};
	const norm = (name: string, n: number) =>
		checkpoint.f32(`${name}.weight`, [n]);
	const layers = Array.from({ length: nLayers }, (_, l) => {
		const name = (part: string) => `model.layers.${l}.${part}`;
		return {
			attnNorm: norm(name("input_layernorm"), dim),
			q: matrix(name("self_attn.q_proj"), dim, dim),
			k: matrix(name("self_attn.k_proj"), kvDim, dim),
			v: matrix(name("self_attn.v_proj"), kvDim, dim),
			attnSubNorm: norm(name("self_attn.attn_sub_norm"), dim),
			o: matrix(name("self_attn.o_proj"), dim, dim),
			ffnNorm: norm(name("post_attention_layernorm"), dim),
			gate: matrix(name("mlp.gate_proj"), hiddenDim, dim),
			up: matrix(name("mlp.up_proj"), hiddenDim, dim),
			ffnSubNorm: norm(name("mlp.ffn_sub_norm"), hiddenDim),
			down: matrix(name("mlp.down_proj"), dim, hiddenDim),
		};
	});
	const floats = checkpoint.f32("model.embed_tokens.weight", [vocabSize, dim]);
	const { codes, scales } = quantizeRows(floats, dim);
	return {
		config,
		embedding: {
			rows: vocabSize,
			columns: dim,
			codes: Int8Array.from(codes),
			scales: Float32Array.from(scales),
		},
		layers,
		norm: norm("model.norm", dim),
	};
}

/** Matrices of equal width, one below the other. */
export function stack(...matrices: [Matrix, ...Matrix[]]): Matrix {
	const rows = matrices.reduce((sum, m) => sum + m.rows, 0);
	const { columns } = matrices[0];
	const all = {
		rows,
		columns,
		codes: new Int8Array(rows * columns),
		scales: new Float32Array(rows),
	};
	let at = 0;
	for (const { rows, codes, scales } of matrices) {
		all.codes.set(codes, at * columns);
		all.scales.set(scales, at);
		at += rows;
	}
	return all;
}

/** (columns, rows): what products from the left take. */
export function transposed<T extends Int8Array | Float32Array>(
	values: T,
	rows: number,
	columns: number,
): T {
	const out = values.slice() as T;
	for (let r = 0; r < rows; r++)
		for (let c = 0; c < columns; c++)
			out[c * rows + r] = values[r * columns + c] as number;
	return out;
}

/** Codes times scales, (rows, columns). */
export function toFloats({ columns, codes, scales }: Matrix): Float32Array {
	return Float32Array.from(
		codes,
		(code, i) => code * (scales[Math.floor(i / columns)] as number),
	);
}

/** The image of the same weights as fp32, without exits: our own fp32 peer. */
export function floatImage(weights: Weights): Uint8Array<ArrayBuffer> {
	const { config, layers, embedding, norm } = weights;
	const tensors = new Map<string, Tensor>();
	const add = (name: string, values: Float32Array, shape: number[]) =>
		tensors.set(`${name}.weight`, {
			dtype: "F32",
			shape,
			read: inMemory(new Uint8Array(values.buffer)).read,
		});
	const matrix = (name: string, m: Matrix) =>
		add(name, toFloats(m), [m.rows, m.columns]);
	const gain = (name: string, values: Float32Array) =>
		add(name, values, [values.length]);
	matrix("model.embed_tokens", embedding);
	gain("model.norm", norm);
	for (const [l, layer] of layers.entries()) {
		const name = (part: string) => `model.layers.${l}.${part}`;
		gain(name("input_layernorm"), layer.attnNorm);
		gain(name("self_attn.attn_sub_norm"), layer.attnSubNorm);
		gain(name("post_attention_layernorm"), layer.ffnNorm);
		gain(name("mlp.ffn_sub_norm"), layer.ffnSubNorm);
		matrix(name("self_attn.q_proj"), layer.q);
		matrix(name("self_attn.k_proj"), layer.k);
		matrix(name("self_attn.v_proj"), layer.v);
		matrix(name("self_attn.o_proj"), layer.o);
		matrix(name("mlp.gate_proj"), layer.gate);
		matrix(name("mlp.up_proj"), layer.up);
		matrix(name("mlp.down_proj"), layer.down);
	}
	return packTensors(
		{
			...config,
			weights: "f32",
			activationBits: 32,
			exits: [config.nLayers],
			gateDim: 0,
		},
		tensors,
	);
}
