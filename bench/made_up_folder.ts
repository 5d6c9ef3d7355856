/**
 * Model folders of any size on disk that take no room there: weights are holes in sparse files.
 *
 * @module
 */

import {
	closeSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";

/** The fields of config.json that shapes follow from. */
export interface Shape {
	hidden_size: number;
	intermediate_size: number;
	num_hidden_layers: number;
	num_attention_heads: number;
	num_key_value_heads: number;
	vocab_size: number;
	max_position_embeddings: number;
}

/** microsoft/bitnet-b1.58-2B-4T */
export const TWO_BILLION: Shape = {
	hidden_size: 2560,
	intermediate_size: 6912,
	num_hidden_layers: 30,
	num_attention_heads: 20,
	num_key_value_heads: 5,
	vocab_size: 128256,
	max_position_embeddings: 4096,
};

const DTYPE_BYTES = { U8: 1, BF16: 2, F32: 4 };
type Dtype = keyof typeof DTYPE_BYTES;
type Entry = [name: string, dtype: Dtype, shape: number[]];

/**
 * Writes config.json, tokenizer.json and shards with the tensors of such a model: all weights -1 or 0.
 * @param floats how norms and embedding are stored.
 * @param matrices how matrices are: packed, or as floats.
 * @returns bytes of the shards.
 */
export function writeMadeUpFolder(
	folder: string,
	shape: Shape,
	floats: "BF16" | "F32",
	matrices: Dtype,
	shards: number,
): number {
	mkdirSync(folder, { recursive: true });
	const packed = matrices === "U8";
	const config = {
		model_type: "bitnet",
		...shape,
		rms_norm_eps: 1e-5,
		rope_theta: 500000,
		hidden_act: "relu2",
		tie_word_embeddings: true,
		bos_token_id: 0,
		eos_token_id: 1,
		quantization_config: {
			quant_method: "bitnet",
			linear_class: "autobitlinear",
			quantization_mode: packed ? "offline" : "online",
		},
	};
	writeFileSync(join(folder, "config.json"), JSON.stringify(config));
	writeFileSync(join(folder, "tokenizer.json"), "{}");
	const all = entries(shape, floats, matrices);
	const weightMap: Record<string, string> = {};
	let total = 0;
	for (let shard = 0; shard < shards; shard++) {
		const file = `model-${shard + 1}-of-${shards}.safetensors`;
		const own = all.filter((_, i) => i % shards === shard);
		for (const [name] of own) weightMap[name] = file;
		total += writeShard(join(folder, file), own);
	}
	writeFileSync(
		join(folder, "model.safetensors.index.json"),
		JSON.stringify({ metadata: {}, weight_map: weightMap }),
	);
	return total;
}

function entries(shape: Shape, floats: Dtype, matrices: Dtype): Entry[] {
	const { hidden_size: dim, intermediate_size: hidden } = shape;
	const kv = (dim / shape.num_attention_heads) * shape.num_key_value_heads;
	const tensors: Entry[] = [
		["model.embed_tokens.weight", floats, [shape.vocab_size, dim]],
		["model.norm.weight", floats, [dim]],
	];
	for (let l = 0; l < shape.num_hidden_layers; l++) {
		const add = (part: string, dtype: Dtype, size: number[]) =>
			tensors.push([`model.layers.${l}.${part}`, dtype, size]);
		for (const [part, rows, columns] of [
			["self_attn.q_proj", dim, dim],
			["self_attn.k_proj", kv, dim],
			["self_attn.v_proj", kv, dim],
			["self_attn.o_proj", dim, dim],
			["mlp.gate_proj", hidden, dim],
			["mlp.up_proj", hidden, dim],
			["mlp.down_proj", dim, hidden],
		] as const) {
			const stored = matrices === "U8" ? rows / 4 : rows;
			add(`${part}.weight`, matrices, [stored, columns]);
			if (matrices === "U8") add(`${part}.weight_scale`, "F32", [1]);
		}
		add("input_layernorm.weight", floats, [dim]);
		add("post_attention_layernorm.weight", floats, [dim]);
		add("self_attn.attn_sub_norm.weight", floats, [dim]);
		add("mlp.ffn_sub_norm.weight", floats, [hidden]);
	}
	return tensors;
}

/** Returns the file's size. */
function writeShard(path: string, tensors: Entry[]): number {
	const header: Record<string, object> = {};
	const scales: number[] = [];
	let at = 0;
	for (const [name, dtype, shape] of tensors) {
		const size = shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]);
		if (name.endsWith("weight_scale")) scales.push(at);
		header[name] = { dtype, shape, data_offsets: [at, at + size] };
		at += size;
	}
	const json = Buffer.from(JSON.stringify(header));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.length));
	const one = Buffer.alloc(4);
	one.writeFloatLE(1);
	const file = openSync(path, "w");
	try {
		writeSync(file, Buffer.concat([length, json]));
		for (const scale of scales)
			writeSync(file, one, 0, 4, 8 + json.length + scale);
		ftruncateSync(file, 8 + json.length + at);
	} finally {
		closeSync(file);
	}
	return 8 + json.length + at;
}
