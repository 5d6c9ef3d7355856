/**
 * Packs the tensors of a Hugging Face `bitnet` model into an image, piece by piece: at no time is more
 * than a few rows of a matrix held. docs/model-format.md describes both sides.
 *
 * @module
 */

import {
	FIELDS,
	HEADER_SIZE,
	type ModelConfig,
	writeConfig,
} from "../image.ts";
import { Xxh32 } from "../xxh32.ts";
import { Checkpoint } from "./checkpoint.ts";
import {
	type PackOptions,
	parseHuggingFaceConfig,
	type Storage,
} from "./huggingface.ts";
import { inMemory, readSafetensors, type Tensor } from "./safetensors.ts";
import { imageSize } from "./size.ts";
import {
	quantizeRows,
	roundUp,
	TILE_ROWS,
	tileF32,
	tileInt7,
	tileTernary,
} from "./tiles.ts";

/** Where an image goes; `bytes` may be reused after the call. */
export type Write = (bytes: Uint8Array, position: number) => void;

/** Called with the bytes written so far, of `total`. */
export type OnProgress = (written: number, total: number) => void;

const PACKED: Storage = { scale: "factor", quantize: false };

/**
 * The image of a model folder, in memory.
 * @param configJson the parsed `config.json`.
 * @param safetensors the bytes of `model.safetensors`.
 * @throws RangeError where a tensor is missing or has another shape or type than the config says.
 */
export function pack(
	configJson: unknown,
	safetensors: Uint8Array,
	options: PackOptions = {},
): Uint8Array<ArrayBuffer> {
	const { config, storage } = parseHuggingFaceConfig(configJson, options);
	const tensors = readSafetensors(inMemory(safetensors));
	return packTensors(config, tensors, storage);
}

/** pack() of what it reads. */
export function packTensors(
	config: ModelConfig,
	tensors: Map<string, Tensor>,
	storage: Storage = PACKED,
): Uint8Array<ArrayBuffer> {
	const image = new Uint8Array(imageSize(config));
	writeImage(config, tensors, storage, (bytes, at) => image.set(bytes, at));
	return image;
}

/**
 * Writes the image of `tensors`, its header last: an image that was not finished cannot be mistaken for
 * one that was.
 * @throws RangeError as pack() does, and where the image would pass 4 GiB.
 */
export function writeImage(
	config: ModelConfig,
	tensors: Map<string, Tensor>,
	storage: Storage,
	write: Write,
	onProgress: OnProgress = () => {},
): void {
	const size = imageSize(config);
	if (size >= 2 ** 32)
		throw new RangeError(
			`the image would have ${size} bytes, and 32-bit WebAssembly can hold less than ${2 ** 32}`,
		);
	const header = new Uint8Array(HEADER_SIZE);
	writeConfig(header, config);
	const hash = new Xxh32();
	hash.update(header.subarray(FIELDS.dim));
	let at = HEADER_SIZE;
	for (const { buffer, byteOffset, byteLength } of pieces(
		config,
		new Checkpoint(tensors, storage),
	)) {
		let bytes = new Uint8Array(buffer, byteOffset, byteLength);
		if (byteLength % 64 > 0) {
			bytes = new Uint8Array(roundUp(byteLength, 64));
			bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
		}
		hash.update(bytes);
		write(bytes, at);
		at += bytes.byteLength;
		onProgress(at, size);
	}
	if (at !== size) throw new Error(`wrote ${at} bytes of ${size}`);
	const view = new DataView(header.buffer);
	view.setUint32(FIELDS.size, size, true);
	view.setUint32(FIELDS.checksum, hash.digest(), true);
	write(header, 0);
}

/** All behind the header, in order; each is to be filled up to a multiple of 64 bytes. */
function* pieces(
	config: ModelConfig,
	checkpoint: Checkpoint,
): Generator<ArrayBufferView> {
	const { dim, hiddenDim, nLayers, nHeads, nKvHeads, gateDim } = config;
	const kvDim = (dim / nHeads) * nKvHeads;
	const norm = (name: string, n: number) =>
		checkpoint.f32(`${name}.weight`, [n]);

	yield* embedding(config, checkpoint);
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
		const matrices = function* (block: Block, columns: number, at: number) {
			for (const [i, [part, rows]] of block.entries())
				yield* matrix(
					config,
					checkpoint,
					part,
					[rows, columns],
					scales[at + i] as number,
				);
		};
		if (config.weights === "ternary")
			for (const [i, [part, rows]] of [
				...attention,
				...output,
				...gateUp,
				...down,
			].entries())
				scales[i] = checkpoint.scale(part, [rows, i < 6 ? dim : hiddenDim]);
		yield scales;
		yield norm(name("input_layernorm"), dim);
		yield* matrices(attention, dim, 0);
		yield norm(name("self_attn.attn_sub_norm"), dim);
		yield* matrices(output, dim, 3);
		yield norm(name("post_attention_layernorm"), dim);
		yield* matrices(gateUp, dim, 4);
		yield norm(name("mlp.ffn_sub_norm"), hiddenDim);
		yield* matrices(down, hiddenDim, 6);
	}
	for (const depth of config.exits) {
		if (depth === nLayers) {
			yield norm("model.norm", dim);
			continue;
		}
		const exit = `model.exits.${depth}`;
		yield norm(`${exit}.norm`, dim);
		if (gateDim === 0) continue;
		const gate = (part: string, shape: number[]) =>
			checkpoint.f32(`${exit}.gate.${part}`, shape);
		yield tileF32(gate("hidden.weight", [gateDim, dim]), dim);
		yield gate("hidden.bias", [gateDim]);
		yield gate("out.weight", [1, gateDim]);
		yield gate("out.bias", [1]);
	}
}

/** Matrices one below the other: name without `.weight`, and rows. */
type Block = [name: string, rows: number][];

function* embedding(
	{ vocabSize, dim, weights }: ModelConfig,
	checkpoint: Checkpoint,
): Generator<ArrayBufferView> {
	const scales = new Float32Array(roundUp(vocabSize, TILE_ROWS));
	for (const [from, to] of rowBlocks(vocabSize)) {
		const rows = checkpoint.f32(
			"model.embed_tokens.weight",
			[vocabSize, dim],
			from,
			to,
		);
		if (weights === "ternary") {
			const quantized = quantizeRows(rows, dim);
			scales.set(quantized.scales, from);
			yield tileInt7(quantized.codes, dim);
		} else {
			yield tileF32(rows, dim);
		}
	}
	if (weights === "ternary") yield scales;
}

function* matrix(
	{ weights }: ModelConfig,
	checkpoint: Checkpoint,
	name: string,
	shape: [rows: number, columns: number],
	scale: number,
): Generator<ArrayBufferView> {
	const [rows, columns] = shape;
	for (const [from, to] of rowBlocks(rows))
		yield weights === "ternary"
			? tileTernary(checkpoint.codes(name, shape, from, to, scale), columns)
			: tileF32(checkpoint.f32(`${name}.weight`, shape, from, to), columns);
}

/** Rows from and to of each block of TILE_ROWS; the last may have fewer. */
function* rowBlocks(rows: number): Generator<[from: number, to: number]> {
	for (let from = 0; from < rows; from += TILE_ROWS)
		yield [from, Math.min(from + TILE_ROWS, rows)];
}

/** Writes the size and the checksum that the rest of `image` asks for. */
export function seal(image: Uint8Array): void {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const hash = new Xxh32();
	hash.update(image.subarray(FIELDS.dim));
	view.setUint32(FIELDS.size, image.byteLength, true);
	view.setUint32(FIELDS.checksum, hash.digest(), true);
}
