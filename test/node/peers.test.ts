/** The files that other runtimes are given, read back by plain code: no peer is installed here. */

import { describe, expect, test } from "vitest";
import { ggufModel, ggufRefusal, toQ8, toTq2 } from "../../bench/peers/gguf.ts";
import { onnxModel } from "../../bench/peers/onnx.ts";
import {
	type Matrix,
	readWeights,
	toFloats,
} from "../../bench/peers/weights.ts";
import { randomTensors, SHAPES } from "../../bench/random_model.ts";

const config = {
	...SHAPES["24x256"],
	nLayers: 2,
	exits: [2],
	gateDim: 0,
	vocabSize: 320,
};
const weights = readWeights(config, randomTensors(config));
const { down } = weights.layers[0] as (typeof weights.layers)[number];

function expectClose(values: Float32Array, m: Matrix): void {
	const expected = toFloats(m);
	// fp16 keeps 11 bits of a scale.
	for (const [i, value] of expected.entries())
		if (!(Math.abs((values[i] as number) - value) <= Math.abs(value) / 2048))
			throw new Error(`weight ${i} is ${values[i]}, not ${value}`);
}

describe("GGUF", () => {
	test("Q8_0 blocks are a scale and 32 bytes", () => {
		for (const m of [down, weights.embedding]) {
			const view = new DataView(toQ8(m).buffer);
			const values = new Float32Array(m.rows * m.columns).map((_, i) => {
				const at = Math.floor(i / 32) * 34;
				return view.getFloat16(at, true) * view.getInt8(at + 2 + (i % 32));
			});
			expectClose(values, m);
		}
	});

	test("TQ2_0 blocks are four codes a byte, 32 weights apart, and a scale", () => {
		const view = new DataView(toTq2(down).buffer);
		const values = new Float32Array(down.rows * down.columns).map((_, i) => {
			const at = Math.floor(i / 256) * 66;
			const [half, lane, byte] = [(i >> 7) & 1, (i >> 5) & 3, i & 31];
			const packed = view.getUint8(at + half * 32 + byte);
			const code = ((packed >> (2 * lane)) & 3) - 1;
			return code * view.getFloat16(at + 64, true);
		});
		expectClose(values, down);
	});

	test("the file says where its tensors are, and ends where they do", () => {
		const file = Buffer.concat(ggufModel(weights, "tq2_0"));
		expect(file.toString("latin1", 0, 4)).toBe("GGUF");
		expect(file.readUInt32LE(4)).toBe(3);
		expect(Number(file.readBigUInt64LE(8))).toBe(2 + 11 * config.nLayers);
		// The last tensor's entry: name, two dimensions, type 35, offset.
		const name = "blk.1.ffn_down.weight";
		let at = file.indexOf(name) + name.length;
		expect(file.readUInt32LE(at)).toBe(2);
		expect(Number(file.readBigUInt64LE(at + 4))).toBe(config.hiddenDim);
		expect(Number(file.readBigUInt64LE(at + 12))).toBe(config.dim);
		expect(file.readUInt32LE(at + 20)).toBe(35);
		const offset = Number(file.readBigUInt64LE(at + 24));
		at = Math.ceil((at + 32) / 32) * 32;
		const last = toTq2(
			(weights.layers[1] as (typeof weights.layers)[number]).down,
		);
		const data = file.subarray(at + offset, at + offset + last.byteLength);
		expect(data.equals(last)).toBe(true);
		expect(file.byteLength).toBe(
			at + offset + Math.ceil(last.byteLength / 32) * 32,
		);
	});

	test("widths that blocks do not divide are refused", () => {
		expect(ggufRefusal({ ...config, dim: 288 }, "tq2_0")).toMatch(
			/blocks of 256.*288/,
		);
		expect(ggufRefusal({ ...config, dim: 288 }, "q8_0")).toBeUndefined();
	});
});

/** The fields of a protobuf message: numbers of varints, bytes of the rest. */
function fields(message: Buffer): { field: number; value: number | Buffer }[] {
	const all: { field: number; value: number | Buffer }[] = [];
	let at = 0;
	const varint = () => {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const byte = message[at++] as number;
			value |= BigInt(byte & 127) << shift;
			if (byte < 128) return Number(BigInt.asIntN(64, value));
		}
	};
	while (at < message.length) {
		const key = varint();
		const field = key >> 3;
		if ((key & 7) === 0) all.push({ field, value: varint() });
		else {
			const length = (key & 7) === 5 ? 4 : varint();
			all.push({ field, value: message.subarray(at, at + length) });
			at += length;
		}
	}
	return all;
}

const pieces = (message: Buffer, wanted: number) =>
	fields(message)
		.filter(({ field }) => field === wanted)
		.map(({ value }) => value as Buffer);
const names = (message: Buffer, wanted: number) =>
	pieces(message, wanted).map((bytes) => bytes.toString());

describe("ONNX", () => {
	test.for(["fp32", "int8"] as const)(
		"%s: every input of a node exists before it",
		(format) => {
			const [graph] = pieces(Buffer.concat(onnxModel(weights, format)), 7);
			const known = new Set([
				"",
				...[5, 11].flatMap((field) =>
					pieces(graph as Buffer, field).flatMap((value) =>
						names(value, field === 5 ? 8 : 1),
					),
				),
			]);
			const nodes = pieces(graph as Buffer, 1);
			const ops = nodes.flatMap((node) => names(node, 4));
			for (const node of nodes) {
				for (const input of names(node, 1)) expect(known).toContain(input);
				for (const output of names(node, 2)) known.add(output);
			}
			for (const output of pieces(graph as Buffer, 12))
				expect(known).toContain(names(output, 1)[0]);
			const products = format === "fp32" ? "MatMul" : "MatMulInteger";
			// A layer: q, k and v at once; o; gate and up at once; down. And the head.
			expect(ops.filter((op) => op === products)).toHaveLength(
				4 * config.nLayers + 1,
			);
		},
	);

	test("constants have as many bytes as their shape says, and hold the weights", () => {
		const [graph] = pieces(Buffer.concat(onnxModel(weights, "fp32")), 7);
		const constants = pieces(graph as Buffer, 5).map((tensor) => {
			const all = fields(tensor);
			const shape = all.flatMap(({ field, value }) =>
				field === 1 ? [value as number] : [],
			);
			const [raw] = pieces(tensor, 9);
			const type = all.find(({ field }) => field === 2)?.value;
			const size = shape.reduce((a, b) => a * b, type === 7 ? 8 : 4);
			expect(raw?.byteLength).toBe(size);
			return { shape: shape.join(), raw: raw as Buffer };
		});
		const stored = constants.find(
			({ shape }) => shape === `${config.hiddenDim},${config.dim}`,
		)?.raw;
		const floats = toFloats(down);
		for (const [row, column] of [
			[0, 0],
			[3, 700],
			[255, 1023],
		] as const)
			expect(stored?.readFloatLE(4 * (column * down.rows + row))).toBe(
				floats[row * down.columns + column],
			);
	});
});
