import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { randomImage, SHAPES } from "../bench/random_model.ts";
import { Checkpoint } from "../src/pack/checkpoint.ts";
import {
	type PackOptions,
	parseHuggingFaceConfig,
	type Storage,
} from "../src/pack/huggingface.ts";
import { pack, packTensors } from "../src/pack/pack.ts";
import {
	inMemory,
	readSafetensors,
	type Tensor,
} from "../src/pack/safetensors.ts";
import { imageSize, sequenceBytes } from "../src/pack/size.ts";
import { ternaryCodes } from "../src/pack/tiles.ts";
import { loadModel } from "../src/wasm.ts";
import { Xxh32, xxh32 } from "../src/xxh32.ts";
import { packVectors, readFile, readText, SYSTEMS } from "./support/files.ts";

const configJson = JSON.parse(readText("test/vectors/v1/config.json"));
const safetensors = readFile("test/vectors/v1/model.safetensors");
const read = () => readSafetensors(inMemory(safetensors));

/** Of the names of v1's ternary matrices. */
const matrices = (tensors: Map<string, Tensor>) =>
	[...tensors.keys()]
		.filter((name) => name.endsWith(".weight_scale"))
		.map((name) => name.slice(0, -".weight_scale".length));

function floats(values: Float32Array, shape: number[]): Tensor {
	const { read } = inMemory(new Uint8Array(values.buffer));
	return { dtype: "F32", shape, read };
}

/** v1 with its matrices as floats: what `ternary` gives back exactly, were the scale not to change. */
function withFloatMatrices(): Map<string, Tensor> {
	const tensors = read();
	const stored = new Checkpoint(tensors, { scale: "factor", quantize: false });
	for (const name of matrices(tensors)) {
		const packed = tensors.get(`${name}.weight`) as Tensor;
		const [quarter, columns] = packed.shape as [number, number];
		const shape = [quarter * 4, columns] as const;
		const scale = stored.scale(name, shape);
		const codes = stored.codes(name, shape, 0, shape[0], scale);
		const weights = Float32Array.from(codes, (code) => (code - 1) * scale);
		tensors.set(`${name}.weight`, floats(weights, [...shape]));
		tensors.delete(`${name}.weight_scale`);
	}
	return tensors;
}

const parse = (changes: object = {}, options: PackOptions = {}) =>
	parseHuggingFaceConfig({ ...configJson, ...changes }, options);

describe("a bitnet folder", () => {
	it("with float matrices gives the codes of the packed one, scaled by the absolute mean", () => {
		const tensors = withFloatMatrices();
		const storage: Storage = { scale: "factor", quantize: true };
		const { config } = parse();
		const image = packTensors(config, tensors, storage);
		const reference = packVectors("v1");
		expect(image.length).toBe(reference.length);
		// Scales are 7 of 16 words a layer; all else but size and checksum is the same.
		let different = 0;
		for (let i = 20; i < image.length; i += 4)
			if ([0, 1, 2, 3].some((j) => image[i + j] !== reference[i + j]))
				different++;
		expect(different).toBeLessThanOrEqual(7 * config.nLayers);
		expect(() =>
			packTensors(config, tensors, { scale: "factor", quantize: false }),
		).toThrow(/promises packed U8; for float weights.*"online"/);
		loadModel(modules.strict, image);
	});

	it("is quantised as train/model.py does: by the absolute mean, halves to even", () => {
		const weights = Float32Array.of(0.5, -0.5, 0.51, -0.51, 1.49, -2, 0, 3);
		const tensors = new Map([["m.weight", floats(weights, [2, 4])]]);
		const checkpoint = new Checkpoint(tensors, {
			scale: "factor",
			quantize: true,
		});
		const mean = (0.5 + 0.5 + 0.51 + 0.51 + 1.49 + 2 + 0 + 3) / 8;
		expect(checkpoint.scale("m", [2, 4])).toBeCloseTo(mean, 6);
		expect([...ternaryCodes(weights, 1)]).toEqual([1, 1, 2, 0, 2, 0, 1, 2]);
	});

	it("is multiplied by weight_scale, or divided by it, as its linear_class says", () => {
		const scaleOf = (quantization_config: object) => {
			const { storage } = parse({ quantization_config });
			const tensors = new Map([
				["m.weight", { ...floats(new Float32Array(4), [1, 4]), dtype: "U8" }],
				["m.weight_scale", floats(Float32Array.of(4), [1])],
			]);
			return new Checkpoint(tensors, storage).scale("m", [4, 4]);
		};
		const quant_method = "bitnet";
		expect(scaleOf({ quant_method, linear_class: "autobitlinear" })).toBe(4);
		expect(scaleOf({ quant_method, linear_class: "bitlinear" })).toBe(0.25);
		expect(scaleOf({ quant_method })).toBe(0.25);
	});

	it.each([
		[{ tie_word_embeddings: false }, /one embedding, which is the head too/],
		[{ attention_bias: true }, /no biases/],
		[{ rope_scaling: { type: "linear" } }, /plain rotary positions/],
		[{ hidden_act: "silu" }, /relu2/],
		[{ head_dim: 8 }, /head_dim is 8, and must be .* 16/],
		[{ eos_token_id: [1, 2] }, /one number: the engine stops at one token/],
	])("that says %o is refused with the reason", (changes, message) => {
		expect(() => parse(changes)).toThrow(message);
	});

	it("may be packed with a shorter context, not a longer one", () => {
		expect(parse({}, { maxSeqLen: 8 }).config.maxSeqLen).toBe(8);
		expect(() => parse({}, { maxSeqLen: 4096 })).toThrow(/more than/);
		const image = pack(configJson, safetensors, { maxSeqLen: 8 });
		expect(loadModel(modules.strict, image).config.maxSeqLen).toBe(8);
	});
});

describe("sizes from a config", () => {
	it.each(SYSTEMS)("are those of the image and of the memory: %s", (system) => {
		const image = packVectors(system);
		const few = loadModel(modules.strict, image, { sequences: 1 });
		const many = loadModel(modules.strict, image, { sequences: 101 });
		expect(imageSize(few.config)).toBe(image.length);
		// Memory comes in pages.
		const added = many.memoryBytes - few.memoryBytes;
		expect(Math.abs(added - 100 * sequenceBytes(few.config))).toBeLessThan(
			65536,
		);
	});

	it("hold where nothing is a multiple of anything", () => {
		const config = { ...SHAPES["24x128"], vocabSize: 77, maxSeqLen: 33 };
		const image = randomImage(config);
		expect(image.length).toBe(imageSize(config));
	});
});

it("xxh32 of pieces is that of the whole", () => {
	const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 37) & 255);
	for (let size = 1; size < 40; size++) {
		const hash = new Xxh32();
		for (let at = 0; at < bytes.length; at += size)
			hash.update(bytes.subarray(at, at + size));
		expect(hash.digest()).toBe(xxh32(bytes));
	}
});
