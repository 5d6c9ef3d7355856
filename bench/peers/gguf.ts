/// <reference lib="esnext.float16" />
/**
 * Writes our model as GGUF of llama.cpp's architecture `bitnet`, without its exits.
 *
 * Q8_0 stores a ternary code as -127, 0 or 127; TQ2_0 in two bits. Both keep the codes exactly and round scales to
 * fp16. The embedding, the head too, is Q8_0 in both. Where the graph differs from ours: the versions of llama.cpp
 * compared here have SiLU in place of relu², which costs about the same; activations have 8 bits by blocks of 32 or
 * 256, not by token; keys and values are fp16 or fp32.
 *
 * The tokenizer has made-up tokens: files without one do not load everywhere.
 *
 * @module
 */

import type { Matrix, Weights } from "./weights.ts";

export type GgufType = "q8_0" | "tq2_0";

/** ggml's numbers of types, and bytes of a block of so many weights. */
const TYPES = {
	f32: { id: 0, block: 1, bytes: 4 },
	q8_0: { id: 8, block: 32, bytes: 34 },
	tq2_0: { id: 35, block: 256, bytes: 66 },
} as const;
const FILE_TYPE = { q8_0: 7, tq2_0: 37 } as const;
const ALIGNMENT = 32;

/** Where a value of the metadata has its type. */
const VALUE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

interface Entry {
	name: string;
	/** Innermost first, as ggml has it. */
	shape: number[];
	type: keyof typeof TYPES;
	data: Uint8Array;
}

class Writer {
	readonly #pieces: Uint8Array[] = [];
	length = 0;

	raw(bytes: Uint8Array): this {
		this.#pieces.push(bytes);
		this.length += bytes.byteLength;
		return this;
	}
	u32 = (value: number) =>
		this.raw(new Uint8Array(Uint32Array.of(value).buffer));
	u64 = (value: number) =>
		this.raw(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
	f32 = (value: number) =>
		this.raw(new Uint8Array(Float32Array.of(value).buffer));
	text(text: string): this {
		const bytes = new TextEncoder().encode(text);
		return this.u64(bytes.byteLength).raw(bytes);
	}
	pad(): this {
		return this.raw(new Uint8Array(-this.length & (ALIGNMENT - 1)));
	}
	pieces(): Uint8Array[] {
		return this.#pieces;
	}
}

/** A reason why a model of these widths cannot be stored so, if there is one. */
export function ggufRefusal(
	{ dim, hiddenDim }: Weights["config"],
	type: GgufType,
): string | undefined {
	const { block } = TYPES[type];
	const odd = [dim, hiddenDim].find((width) => width % block);
	return odd === undefined
		? undefined
		: `${type.toUpperCase()} has blocks of ${block}, and a width is ${odd}`;
}

/** A model file, in pieces to write one after the other. @throws RangeError where blocks do not fit. */
export function ggufModel(weights: Weights, type: GgufType): Uint8Array[] {
	const refusal = ggufRefusal(weights.config, type);
	if (refusal) throw new RangeError(refusal);
	const tensors = entries(weights, type);
	const metadata = new Writer();
	const count = writeMetadata(metadata, weights, type);
	const head = new Writer()
		.raw(new TextEncoder().encode("GGUF"))
		.u32(3)
		.u64(tensors.length)
		.u64(count);
	for (const piece of metadata.pieces()) head.raw(piece);
	let offset = 0;
	for (const { name, shape, type, data } of tensors) {
		head.text(name).u32(shape.length);
		for (const n of shape) head.u64(n);
		head.u32(TYPES[type].id).u64(offset);
		offset += Math.ceil(data.byteLength / ALIGNMENT) * ALIGNMENT;
	}
	head.pad();
	for (const { data } of tensors) head.raw(data).pad();
	return head.pieces();
}

function entries({ config, embedding, layers, norm }: Weights, type: GgufType) {
	const matrix = (name: string, m: Matrix, type: GgufType): Entry => ({
		name: `${name}.weight`,
		shape: [m.columns, m.rows],
		type,
		data: type === "q8_0" ? toQ8(m) : toTq2(m),
	});
	const gain = (name: string, values: Float32Array): Entry => ({
		name: `${name}.weight`,
		shape: [values.length],
		type: "f32",
		data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
	});
	return [
		matrix("token_embd", embedding, "q8_0"),
		gain("output_norm", norm),
		...layers.slice(0, config.nLayers).flatMap((layer, l) => {
			const name = (part: string) => `blk.${l}.${part}`;
			return [
				gain(name("attn_norm"), layer.attnNorm),
				gain(name("attn_sub_norm"), layer.attnSubNorm),
				matrix(name("attn_q"), layer.q, type),
				matrix(name("attn_k"), layer.k, type),
				matrix(name("attn_v"), layer.v, type),
				matrix(name("attn_output"), layer.o, type),
				gain(name("ffn_norm"), layer.ffnNorm),
				gain(name("ffn_sub_norm"), layer.ffnSubNorm),
				matrix(name("ffn_gate"), layer.gate, type),
				matrix(name("ffn_up"), layer.up, type),
				matrix(name("ffn_down"), layer.down, type),
			];
		}),
	];
}

/** Blocks of 32: an fp16 scale, then bytes. Codes are spread over the bytes' range, as quantising does. */
export function toQ8({ rows, columns, codes, scales }: Matrix): Uint8Array {
	const { block, bytes } = TYPES.q8_0;
	const out = new DataView(new ArrayBuffer((rows * columns * bytes) / block));
	for (let at = 0, i = 0; i < codes.length; at += bytes, i += block) {
		const values = codes.subarray(i, i + block);
		const largest = Math.max(...values.map(Math.abs));
		const spread = largest > 0 ? Math.floor(127 / largest) : 1;
		const scale = scales[Math.floor(i / columns)] as number;
		out.setFloat16(at, scale / spread, true);
		for (const [j, code] of values.entries())
			out.setInt8(at + 2 + j, code * spread);
	}
	return new Uint8Array(out.buffer);
}

/** Blocks of 256: 64 bytes with four codes {0, 1, 2} each, 32 weights apart, then an fp16 scale. */
export function toTq2({ rows, columns, codes, scales }: Matrix): Uint8Array {
	const { block, bytes } = TYPES.tq2_0;
	const out = new DataView(new ArrayBuffer((rows * columns * bytes) / block));
	for (let at = 0, i = 0; i < codes.length; at += bytes, i += block) {
		for (let half = 0; half < 2; half++)
			for (let m = 0; m < 32; m++) {
				let byte = 0;
				for (let n = 0; n < 4; n++) {
					const code = codes[i + half * 128 + n * 32 + m] as number;
					byte |= (code + 1) << (2 * n);
				}
				out.setUint8(at + half * 32 + m, byte);
			}
		out.setFloat16(at + 64, scales[Math.floor(i / columns)] as number, true);
	}
	return new Uint8Array(out.buffer);
}

/** Returns how many entries there are. */
function writeMetadata(w: Writer, { config }: Weights, type: GgufType): number {
	let count = 0;
	const key = (name: string, value: number) => {
		count++;
		return w.text(name).u32(value);
	};
	const text = (name: string, value: string) =>
		key(name, VALUE.string).text(value);
	const u32 = (name: string, value: number) => key(name, VALUE.u32).u32(value);
	const f32 = (name: string, value: number) => key(name, VALUE.f32).f32(value);
	const headDim = config.dim / config.nHeads;
	text("general.architecture", "bitnet");
	text("general.name", "bitskip");
	u32("general.file_type", FILE_TYPE[type]);
	u32("bitnet.vocab_size", config.vocabSize);
	u32("bitnet.context_length", config.maxSeqLen);
	u32("bitnet.embedding_length", config.dim);
	u32("bitnet.block_count", config.nLayers);
	u32("bitnet.feed_forward_length", config.hiddenDim);
	u32("bitnet.attention.head_count", config.nHeads);
	u32("bitnet.attention.head_count_kv", config.nKvHeads);
	u32("bitnet.rope.dimension_count", headDim);
	f32("bitnet.rope.freq_base", config.ropeTheta);
	f32("bitnet.attention.layer_norm_rms_epsilon", config.normEps);
	text("bitnet.hidden_activation", "relu2");
	text("tokenizer.ggml.model", "llama");
	const tokens = madeUpTokens(config.vocabSize);
	key("tokenizer.ggml.tokens", VALUE.array)
		.u32(VALUE.string)
		.u64(tokens.length);
	for (const token of tokens) w.text(token);
	key("tokenizer.ggml.scores", VALUE.array).u32(VALUE.f32).u64(tokens.length);
	for (const i of tokens.keys()) w.f32(-i);
	key("tokenizer.ggml.token_type", VALUE.array)
		.u32(VALUE.i32)
		.u64(tokens.length);
	for (const i of tokens.keys())
		w.u32(i === 0 ? UNKNOWN : i < 3 ? CONTROL : i < 259 ? BYTE : NORMAL);
	u32("tokenizer.ggml.bos_token_id", 1);
	u32("tokenizer.ggml.eos_token_id", 2);
	u32("tokenizer.ggml.unknown_token_id", 0);
	return count;
}

const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6] as const;

/** What llama.cpp's sentencepiece tokenizer looks for, then anything. */
function madeUpTokens(vocabSize: number): string[] {
	const hex = (i: number) => i.toString(16).toUpperCase().padStart(2, "0");
	return Array.from({ length: vocabSize }, (_, i) => {
		if (i < 3) return ["<unk>", "<s>", "</s>"][i] as string;
		return i < 259 ? `<0x${hex(i - 3)}>` : `token${i}`;
	});
}
