/**
 * Packs a Hugging Face `bitnet` folder into one model image, tensors in the kernels' tile layout.
 * docs/model-format.md describes both sides; assembly/matmul.ts says why the tiles are as they are.
 *
 * @module
 */

import * as z from "zod";
import {
	FIELDS,
	HADAMARD_PLACES,
	HEADER_SIZE,
	MAX_EXITS,
	type ModelConfig,
	writeConfig,
} from "./image.ts";
import { readSafetensors, type Tensor, toFloat32 } from "./safetensors.ts";
import { xxh32 } from "./xxh32.ts";

const TILE_ROWS = 32;

const HuggingFaceConfig = z.object({
	model_type: z.literal("bitnet"),
	hidden_size: z.int().positive(),
	intermediate_size: z.int().positive(),
	num_hidden_layers: z.int().positive(),
	num_attention_heads: z.int().positive(),
	num_key_value_heads: z.int().positive(),
	vocab_size: z.int().positive(),
	max_position_embeddings: z.int().positive(),
	rms_norm_eps: z.number().positive(),
	rope_theta: z.number().positive(),
	hidden_act: z.literal("relu2"),
	tie_word_embeddings: z.literal(true),
	bos_token_id: z.int().nonnegative(),
	eos_token_id: z.int().nonnegative(),
	quantization_config: z
		.object({ quant_method: z.literal("bitnet") })
		.optional(),
	bitskip: z
		.object({
			exits: z.array(z.int().positive()).min(1).max(MAX_EXITS),
			gate_dim: z.int().nonnegative().default(0),
			activation_bits: z.literal([4, 8, 32]),
			hadamard: z.array(z.enum(HADAMARD_PLACES)),
		})
		.optional(),
});

/**
 * The config of an image from a `config.json`. Without a `bitskip` entry the model has no exits but
 * the last, 8-bit activations and no transform.
 * @throws RangeError that names the field at fault.
 */
export function parseHuggingFaceConfig(json: unknown): ModelConfig {
	const parsed = HuggingFaceConfig.safeParse(json);
	if (!parsed.success)
		throw new RangeError(`config.json: ${z.prettifyError(parsed.error)}`);
	const c = parsed.data;
	const weights = c.quantization_config ? "ternary" : "f32";
	const exits = c.bitskip?.exits ?? [c.num_hidden_layers];
	return {
		dim: c.hidden_size,
		hiddenDim: c.intermediate_size,
		nLayers: c.num_hidden_layers,
		nHeads: c.num_attention_heads,
		nKvHeads: c.num_key_value_heads,
		vocabSize: c.vocab_size,
		maxSeqLen: c.max_position_embeddings,
		exits,
		gateDim: c.bitskip?.gate_dim ?? 0,
		weights,
		activationBits:
			c.bitskip?.activation_bits ?? (weights === "ternary" ? 8 : 32),
		hadamard: c.bitskip?.hadamard ?? [],
		normEps: c.rms_norm_eps,
		ropeTheta: c.rope_theta,
		bosTokenId: c.bos_token_id,
		eosTokenId: c.eos_token_id,
	};
}

/**
 * The image of a model folder.
 * @param configJson the parsed `config.json`.
 * @param safetensors the bytes of `model.safetensors`.
 * @throws RangeError where a tensor is missing or has another shape or type than the config says.
 */
export function pack(
	configJson: unknown,
	safetensors: Uint8Array,
): Uint8Array<ArrayBuffer> {
	return packTensors(
		parseHuggingFaceConfig(configJson),
		readSafetensors(safetensors),
	);
}

/** pack() of what it reads. */
export function packTensors(
	config: ModelConfig,
	byName: Map<string, Tensor>,
): Uint8Array<ArrayBuffer> {
	const tensors = new Tensors(byName);
	const image = new ImageWriter();
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, vocabSize, gateDim } =
		config;
	const kvDim = (dim / nHeads) * nKvHeads;
	const matrices = config.weights === "ternary" ? ternaryMatrices : f32Matrices;

	const embedding = tensors.f32("model.embed_tokens.weight", [vocabSize, dim]);
	if (config.weights === "ternary") {
		const { codes, scales } = quantizeRows(embedding, dim);
		image.append(tileInt7(codes, dim));
		image.append(scales);
	} else {
		image.append(tileF32(embedding, dim));
	}
	for (let l = 0; l < nLayers; l++) {
		const name = (part: string) => `model.layers.${l}.${part}`;
		const attention: Block = [
			[name("self_attn.q_proj"), dim],
			[name("self_attn.k_proj"), kvDim],
			[name("self_attn.v_proj"), kvDim],
		];
		const output: Block = [[name("self_attn.o_proj"), dim]];
		const gateUp: Block = [
			[name("mlp.gate_proj"), hiddenDim],
			[name("mlp.up_proj"), hiddenDim],
		];
		const down: Block = [[name("mlp.down_proj"), dim]];
		const scales = new Float32Array(16);
		if (config.weights === "ternary")
			[...attention, ...output, ...gateUp, ...down].forEach(([part], i) => {
				scales[i] = tensors.scalar(`${part}.weight_scale`);
			});
		image.append(scales);
		image.append(tensors.f32(name("input_layernorm.weight"), [dim]));
		image.append(matrices(tensors, attention, dim));
		image.append(tensors.f32(name("self_attn.attn_sub_norm.weight"), [dim]));
		image.append(matrices(tensors, output, dim));
		image.append(tensors.f32(name("post_attention_layernorm.weight"), [dim]));
		image.append(matrices(tensors, gateUp, dim));
		image.append(tensors.f32(name("mlp.ffn_sub_norm.weight"), [hiddenDim]));
		image.append(matrices(tensors, down, hiddenDim));
	}
	for (const depth of config.exits) {
		const exit = `model.exits.${depth}`;
		if (depth === nLayers) {
			image.append(tensors.f32("model.norm.weight", [dim]));
			continue;
		}
		image.append(tensors.f32(`${exit}.norm.weight`, [dim]));
		if (gateDim === 0) continue;
		const gate = (part: string, shape: number[]) =>
			tensors.f32(`${exit}.gate.${part}`, shape);
		image.append(tileF32(gate("hidden.weight", [gateDim, dim]), dim));
		image.append(gate("hidden.bias", [gateDim]));
		image.append(gate("out.weight", [1, gateDim]));
		image.append(gate("out.bias", [1]));
	}
	return image.finish(config);
}

/** Matrices one below the other: name without `.weight`, and rows. */
type Block = [name: string, rows: number][];

/** Tensors by name, with errors that say what a model needs. */
class Tensors {
	readonly #tensors: Map<string, Tensor>;
	constructor(tensors: Map<string, Tensor>) {
		this.#tensors = tensors;
	}

	get(name: string, shape: number[]): Tensor {
		const tensor = this.#tensors.get(name);
		if (!tensor) throw new RangeError(`model.safetensors: no tensor ${name}`);
		if (tensor.shape.join() !== shape.join())
			throw new RangeError(
				`model.safetensors: ${name} is (${tensor.shape}), and config.json says (${shape})`,
			);
		return tensor;
	}

	f32(name: string, shape: number[]): Float32Array {
		return toFloat32(this.get(name, shape));
	}

	scalar(name: string): number {
		return this.f32(name, [1])[0] as number;
	}

	/** The {0, 1, 2} of a matrix, (rows, columns), that Hugging Face packs four rows a byte. */
	ternaryCodes(name: string, rows: number, columns: number): Uint8Array {
		const packedRows = rows / 4;
		const { dtype, bytes } = this.get(name, [packedRows, columns]);
		if (dtype !== "U8")
			throw new RangeError(
				`model.safetensors: ${name} is ${dtype}; packed ternary weights are U8`,
			);
		const codes = new Uint8Array(rows * columns);
		const size = packedRows * columns;
		for (let i = 0; i < size; i++) {
			const byte = bytes[i] as number;
			for (let j = 0; j < 4; j++) codes[i + j * size] = (byte >> (2 * j)) & 3;
		}
		const invalid = codes.indexOf(3);
		if (invalid >= 0)
			throw new RangeError(
				`model.safetensors: ${name} has the code 3 at ${invalid}; codes are 0, 1 and 2`,
			);
		return codes;
	}
}

function ternaryMatrices(
	tensors: Tensors,
	block: Block,
	columns: number,
): Uint8Array {
	const parts = block.map(([name, rows]) =>
		tileTernary(tensors.ternaryCodes(`${name}.weight`, rows, columns), columns),
	);
	return concatenate(parts);
}

function f32Matrices(
	tensors: Tensors,
	block: Block,
	columns: number,
): Uint8Array {
	const parts = block.map(([name, rows]) => {
		const tiled = tileF32(
			tensors.f32(`${name}.weight`, [rows, columns]),
			columns,
		);
		return new Uint8Array(tiled.buffer);
	});
	return concatenate(parts);
}

function concatenate(parts: Uint8Array[]): Uint8Array {
	const whole = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
}

/** Codes {0, 1, 2} of (rows, columns), rows a multiple of 32, to 2-bit tiles of 32 rows x 4 columns. */
export function tileTernary(codes: Uint8Array, columns: number): Uint8Array {
	const tiles = new Uint8Array(codes.length / 4);
	for (let i = 0; i < codes.length; i++) {
		const row = Math.floor(i / columns);
		const column = i % columns;
		const r = row % TILE_ROWS;
		const tile = Math.floor(row / TILE_ROWS) * (columns / 4) + (column >> 2);
		const byte = tile * 32 + (r >> 4) * 16 + (r & 3) * 4 + (column & 3);
		tiles[byte] =
			(tiles[byte] as number) | ((codes[i] as number) << (2 * ((r >> 2) & 3)));
	}
	return tiles;
}

/** Codes [-63, 63] of (rows, columns) to bytes, + 64, in tiles of 32 rows x 4 columns; rows filled up with 0. */
export function tileInt7(codes: Int8Array, columns: number): Uint8Array {
	const rows = codes.length / columns;
	const tiles = new Uint8Array(roundUp(rows, TILE_ROWS) * columns).fill(64);
	for (let i = 0; i < codes.length; i++) {
		const row = Math.floor(i / columns);
		const column = i % columns;
		const tile = Math.floor(row / TILE_ROWS) * (columns / 4) + (column >> 2);
		tiles[tile * 128 + (row % TILE_ROWS) * 4 + (column & 3)] =
			(codes[i] as number) + 64;
	}
	return tiles;
}

/** (rows, columns) to tiles of 32 rows x 1 column; rows filled up with 0. */
export function tileF32(values: Float32Array, columns: number): Float32Array {
	const rows = values.length / columns;
	const tiles = new Float32Array(roundUp(rows, TILE_ROWS) * columns);
	for (let i = 0; i < values.length; i++) {
		const row = Math.floor(i / columns);
		const tile = Math.floor(row / TILE_ROWS) * columns + (i % columns);
		tiles[tile * TILE_ROWS + (row % TILE_ROWS)] = values[i] as number;
	}
	return tiles;
}

/**
 * Each row to [-63, 63] by its absmax, in f32 and with halves to even, as train/model.py does.
 * Scales are filled up to a multiple of 32 rows with 0.
 */
export function quantizeRows(
	values: Float32Array,
	columns: number,
): { codes: Int8Array; scales: Float32Array } {
	const rows = values.length / columns;
	const codes = new Int8Array(values.length);
	const scales = new Float32Array(roundUp(rows, TILE_ROWS));
	for (let row = 0; row < rows; row++) {
		let absmax = Math.fround(1e-5);
		for (let i = row * columns; i < (row + 1) * columns; i++)
			absmax = Math.max(absmax, Math.abs(values[i] as number));
		const scale = Math.fround(absmax / 63);
		scales[row] = scale;
		for (let i = row * columns; i < (row + 1) * columns; i++)
			codes[i] = roundHalfEven(Math.fround((values[i] as number) / scale));
	}
	return { codes, scales };
}

function roundHalfEven(x: number): number {
	const floor = Math.floor(x);
	if (x - floor !== 0.5) return Math.round(x);
	return floor % 2 === 0 ? floor : floor + 1;
}

function roundUp(n: number, multiple: number): number {
	return Math.ceil(n / multiple) * multiple;
}

/** Collects tensors, each at a multiple of 64 bytes, behind a header. */
class ImageWriter {
	readonly #parts: ArrayBufferView[] = [];
	#size = HEADER_SIZE;

	append(tensor: ArrayBufferView): void {
		this.#parts.push(tensor);
		this.#size += roundUp(tensor.byteLength, 64);
	}

	finish(config: ModelConfig): Uint8Array<ArrayBuffer> {
		const image = new Uint8Array(this.#size);
		writeConfig(image, config);
		let at = HEADER_SIZE;
		for (const { buffer, byteOffset, byteLength } of this.#parts) {
			image.set(new Uint8Array(buffer, byteOffset, byteLength), at);
			at += roundUp(byteLength, 64);
		}
		seal(image);
		return image;
	}
}

/** Writes the size and the checksum that the rest of `image` asks for. */
export function seal(image: Uint8Array): void {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	view.setUint32(FIELDS.size, image.byteLength, true);
	view.setUint32(FIELDS.checksum, xxh32(image.subarray(FIELDS.dim)), true);
}
