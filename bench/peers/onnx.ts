/**
 * Writes our model as ONNX, the same graph as train/model.py's: fp32, or int8 with dynamically
 * quantised activations. Field numbers are onnx.proto's.
 *
 * Fast forms throughout, so that the comparison is with what onnxruntime can do: its own
 * GroupQueryAttention and SimplifiedLayerNormalization, and q, k, v as one product, gate and up too.
 *
 * Inputs: ids (1, n) int64; seqlens (1) and total (scalar) int32; for each layer past_k.L and past_v.L,
 * (1, kv heads, past, head dim). Outputs: logits (1, 1, vocab) of the last token; present_k.L, present_v.L.
 *
 * Where the graph differs from ours: keys, values and attention stay fp32; and int8 quantises
 * activations to 8 bits without sign, with a zero point, by the whole batch's range, not each token's.
 *
 * @module
 */

import { bytes, float, int, type Message, string } from "./protobuf.ts";
import {
	type Matrix,
	stack,
	toFloats,
	transposed,
	type Weights,
} from "./weights.ts";

const TYPES = { f32: 1, i8: 3, i32: 6, i64: 7 } as const;
type Type = keyof typeof TYPES;

class Graph {
	readonly pieces: Message = [];
	#count = 0;

	/** Adds an operation and names its outputs, of which there are `outputs`, or which are named. */
	node(
		op: string,
		inputs: string[],
		attributes: Record<string, number> = {},
		outputs: number | string[] = 1,
		domain = "",
	): string[] {
		const names = Array.isArray(outputs)
			? outputs
			: Array.from({ length: outputs }, () => `t${this.#count++}`);
		this.pieces.push(
			...bytes(
				1,
				...inputs.flatMap((name) => string(1, name)),
				...names.flatMap((name) => string(2, name)),
				...string(4, op),
				...Object.entries(attributes).flatMap(([name, value]) =>
					attribute(name, value),
				),
				...string(7, domain),
			),
		);
		return names;
	}

	one(op: string, ...inputs: string[]): string {
		return this.node(op, inputs)[0] as string;
	}

	constant(
		type: Type,
		shape: number[],
		values: Float32Array | Int8Array | BigInt64Array,
	): string {
		const name = `c${this.#count++}`;
		this.pieces.push(
			...bytes(
				5,
				...shape.flatMap((n) => int(1, n)),
				...int(2, TYPES[type]),
				...string(8, name),
				...bytes(
					9,
					new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
				),
			),
		);
		return name;
	}

	/** Declares an input (field 11) or output (12). */
	value(
		field: 11 | 12,
		name: string,
		type: Type,
		shape: (number | string)[],
	): void {
		const dims = shape.flatMap((n) =>
			bytes(1, ...(typeof n === "number" ? int(1, n) : string(2, n))),
		);
		this.pieces.push(
			...bytes(
				field,
				...string(1, name),
				...bytes(2, ...bytes(1, ...int(1, TYPES[type]), ...bytes(2, ...dims))),
			),
		);
	}
}

/** Whole numbers are integers to ONNX; `epsilon` is the one float here. */
function attribute(name: string, value: number): Message {
	const isFloat = name === "epsilon";
	return bytes(
		5,
		...string(1, name),
		...(isFloat ? float(2, value) : int(3, value)),
		...int(20, isFloat ? 1 : 2),
	);
}

/** A model file, in pieces to write one after the other. */
export function onnxModel(weights: Weights, format: "fp32" | "int8"): Message {
	const { config, embedding } = weights;
	const { dim, hiddenDim, nHeads, nKvHeads, vocabSize, normEps } = config;
	const headDim = dim / nHeads;
	const graph = new Graph();

	const product = (x: string, m: Matrix, constant?: string): string => {
		if (format === "fp32") {
			const b =
				constant ??
				graph.constant(
					"f32",
					[m.columns, m.rows],
					transposed(toFloats(m), m.rows, m.columns),
				);
			return graph.one("MatMul", x, b);
		}
		const b =
			constant ??
			graph.constant(
				"i8",
				[m.columns, m.rows],
				transposed(m.codes, m.rows, m.columns),
			);
		const [quantized, scale, zero] = graph.node(
			"DynamicQuantizeLinear",
			[x],
			{},
			3,
		) as [string, string, string];
		const sums = graph.one("MatMulInteger", quantized, b, zero);
		const [floats] = graph.node("Cast", [sums], { to: TYPES.f32 }) as [string];
		const scales = graph.constant("f32", [m.rows], m.scales);
		return graph.one("Mul", floats, graph.one("Mul", scale, scales));
	};
	const norm = (x: string, gain: Float32Array): string =>
		graph.node(
			"SimplifiedLayerNormalization",
			[x, graph.constant("f32", [gain.length], gain)],
			{ axis: -1, epsilon: normEps },
		)[0] as string;

	graph.value(11, "ids", "i64", [1, "n"]);
	graph.value(11, "seqlens", "i32", [1]);
	graph.value(11, "total", "i32", []);
	const table =
		format === "fp32"
			? graph.constant("f32", [vocabSize, dim], toFloats(embedding))
			: graph.constant("i8", [vocabSize, dim], embedding.codes);
	let h = graph.one("Gather", table, "ids");
	if (format === "int8") {
		const scales = graph.constant("f32", [vocabSize, 1], embedding.scales);
		const [floats] = graph.node("Cast", [h], { to: TYPES.f32 }) as [string];
		h = graph.one("Mul", floats, graph.one("Gather", scales, "ids"));
	}
	const { cos, sin } = rotations(weights);
	const angles = [config.maxSeqLen, headDim / 2];
	const cosines = graph.constant("f32", angles, cos);
	const sines = graph.constant("f32", angles, sin);
	const last = graph.constant("i64", [1], BigInt64Array.of(-1n));
	for (const [l, layer] of weights.layers.entries()) {
		const cache = ["k", "v"].map((part) => {
			const shape = (length: string) => [1, nKvHeads, length, headDim];
			graph.value(11, `past_${part}.${l}`, "f32", shape("past"));
			graph.value(12, `present_${part}.${l}`, "f32", shape("all"));
			return `${part}.${l}`;
		});
		const qkv = product(
			norm(h, layer.attnNorm),
			stack(layer.q, layer.k, layer.v),
		);
		const [attention] = graph.node(
			"GroupQueryAttention",
			[
				...[qkv, "", ""],
				...cache.map((name) => `past_${name}`),
				...["seqlens", "total", cosines, sines],
			],
			{ num_heads: nHeads, kv_num_heads: nKvHeads, do_rotary: 1 },
			[`attention.${l}`, ...cache.map((name) => `present_${name}`)],
			"com.microsoft",
		) as [string];
		h = graph.one(
			"Add",
			h,
			product(norm(attention, layer.attnSubNorm), layer.o),
		);
		const [gate, up] = graph.node(
			"Split",
			[
				product(norm(h, layer.ffnNorm), stack(layer.gate, layer.up)),
				graph.constant(
					"i64",
					[2],
					BigInt64Array.of(BigInt(hiddenDim), BigInt(hiddenDim)),
				),
			],
			{ axis: -1 },
			2,
		) as [string, string];
		const relu = graph.one("Relu", gate);
		const gated = graph.one("Mul", graph.one("Mul", relu, relu), up);
		h = graph.one("Add", h, product(norm(gated, layer.ffnSubNorm), layer.down));
	}
	const [end] = graph.node("Gather", [h, last], { axis: 1 }) as [string];
	// Of a constant: done once, when the model is loaded.
	const head = product(
		norm(end, weights.norm),
		embedding,
		graph.one("Transpose", table),
	);
	graph.node("Identity", [head], {}, ["logits"]);
	graph.value(12, "logits", "f32", [1, 1, vocabSize]);

	const opset = (domain: string, version: number) =>
		bytes(8, ...string(1, domain), ...int(2, version));
	return [
		...int(1, 8),
		...string(2, "bitskip-edge"),
		...bytes(7, ...graph.pieces, ...string(2, "bitskip")),
		...opset("", 17),
		...opset("com.microsoft", 1),
	];
}

/** Cosines and sines, (maxSeqLen, head dim / 2). */
function rotations({ config }: Weights) {
	const half = config.dim / config.nHeads / 2;
	const cos = new Float32Array(config.maxSeqLen * half);
	const sin = new Float32Array(config.maxSeqLen * half);
	for (let position = 0; position < config.maxSeqLen; position++)
		for (let i = 0; i < half; i++) {
			const angle = position * config.ropeTheta ** (-i / half);
			cos[position * half + i] = Math.cos(angle);
			sin[position * half + i] = Math.sin(angle);
		}
	return { cos, sin };
}
