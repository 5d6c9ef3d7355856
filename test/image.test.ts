import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { createEngine } from "../src/engine.ts";
import type { ExitOptions } from "../src/exit.ts";
import { FIELDS, HEADER_SIZE, readConfig } from "../src/image.ts";
import { parseHuggingFaceConfig } from "../src/pack/huggingface.ts";
import { pack, seal } from "../src/pack/pack.ts";
import { inMemory, readSafetensors } from "../src/pack/safetensors.ts";
import { quantizeRows, tileTernary } from "../src/pack/tiles.ts";
import { loadModel, ModelError } from "../src/wasm.ts";
import { packVectors, readFile, readText } from "./support/files.ts";

const image = packVectors("v1");
const folder = "test/vectors/v1";
const config = () => JSON.parse(readText(`${folder}/config.json`));
const safetensors = readFile(`${folder}/model.safetensors`);

/** A copy of the image with one header field changed, and sealed again so that only it is wrong. */
function withField(field: keyof typeof FIELDS, value: number, isFloat = false) {
	const copy = image.slice();
	const view = new DataView(copy.buffer);
	if (isFloat) view.setFloat32(FIELDS[field], value, true);
	else view.setUint32(FIELDS[field], value, true);
	if (field !== "size" && field !== "checksum") seal(copy);
	return copy;
}

describe("pack", () => {
	it("writes the config that config.json states", () => {
		const read = readConfig(image);
		const { config: expected } = parseHuggingFaceConfig(config());
		expect(read).toEqual({
			...expected,
			normEps: Math.fround(expected.normEps),
		});
	});

	it("takes a folder without bitskip's own entry as a model without early exits", () => {
		const { bitskip: _, ...plain } = config();
		const { config: read } = parseHuggingFaceConfig(plain);
		expect(read).toMatchObject({
			exits: [4],
			gateDim: 0,
			activationBits: 8,
			hadamard: [],
		});
		expect(
			loadModel(modules.strict, pack(plain, safetensors)).config.exits,
		).toEqual([4]);
	});

	it("takes exits without gates, which then cannot be asked for", async () => {
		const { bitskip, ...rest } = config();
		const { gate_dim: _, ...entry } = bitskip;
		const model = loadModel(
			modules.strict,
			pack({ ...rest, bitskip: entry }, safetensors),
		);
		expect(() => model.gate(0, 0)).toThrow(/no gate/);
		const options = { maxTokens: 8, sample: () => 5 };
		const start = (exit: ExitOptions) =>
			createEngine(model)
				.generate([1], { ...options, exit })
				.next();
		await expect(start({ exit: "gate", threshold: 0.5 })).rejects.toThrow(
			/exits have no gates/,
		);
		const budget = { exit: "budget", budgetMacs: 1e6 } as const;
		expect((await start(budget)).done).toBe(false);
	});

	it("puts every code where the layout says", () => {
		const [rows, columns] = [64, 8];
		const codes = Uint8Array.from(
			{ length: rows * columns },
			(_, i) => (i * 7) % 3,
		);
		const tiles = tileTernary(codes, columns);
		for (let i = 0; i < codes.length; i++) {
			const [row, column] = [Math.floor(i / columns), i % columns];
			const [r, c] = [row % 32, column % 4];
			const tile = Math.floor(row / 32) * (columns / 4) + (column >> 2);
			const byte = tiles[
				tile * 32 + Math.floor(r / 16) * 16 + (r % 4) * 4 + c
			] as number;
			expect((byte >> (2 * (Math.floor(r / 4) % 4))) & 3).toBe(codes[i]);
		}
	});

	it("quantises rows to within half a step, zeros to zeros", () => {
		fc.assert(
			fc.property(
				fc.array(
					fc.float({ noNaN: true, noDefaultInfinity: true, min: -9, max: 9 }),
					{ minLength: 12, maxLength: 12 },
				),
				(values) => {
					const { codes, scales } = quantizeRows(new Float32Array(values), 4);
					codes.forEach((code, i) => {
						const scale = scales[i >> 2] as number;
						expect(Math.abs(code)).toBeLessThanOrEqual(63);
						// Half a step, and one rounding of the division.
						expect(
							Math.abs(code * scale - Math.fround(values[i] as number)),
						).toBeLessThanOrEqual(scale * 0.50001);
					});
				},
			),
		);
		expect(quantizeRows(new Float32Array(4), 4).codes).toEqual(
			new Int8Array(4),
		);
	});

	it.each([
		["hidden_size", "sixty", /config.json[\s\S]*hidden_size/],
		["model_type", "llama", /config.json[\s\S]*bitnet/],
		["vocab_size", 71, /embed_tokens.weight is \(70,64\).*\(71,64\)/],
		["num_hidden_layers", 5, /no tensor model.layers.4/],
		["quantization_config", undefined, /q_proj.weight is \(16,64\).*\(64,64\)/],
	])("refuses a folder whose %s is %s", (field, value, message) => {
		expect(() => pack({ ...config(), [field]: value }, safetensors)).toThrow(
			message,
		);
	});

	it("refuses safetensors that are cut or claim what is not there", () => {
		for (const length of [0, 7, 8, 100, safetensors.length - 1])
			expect(() =>
				readSafetensors(inMemory(safetensors.slice(0, length))),
			).toThrow(Error);
	});
});

describe.each(["strict", "relaxed"] as const)(
	"loadModel, %s build",
	(build) => {
		const load = (bytes: Uint8Array, sequences = 1) =>
			loadModel(modules[build], bytes, { sequences });
		const status = (bytes: Uint8Array) => {
			try {
				load(bytes);
				return 0;
			} catch (error) {
				if (error instanceof ModelError) return error.status;
				throw error;
			}
		};

		it("loads a good image, copied once: memory is image, keys and values, and less than 192 KiB", () => {
			const model = load(image, 2);
			const { nLayers, maxSeqLen, nKvHeads, dim, nHeads } = model.config;
			const headDim = dim / nHeads;
			// docs/abi.md: S positions of keys, values in whole tiles, two scales.
			const S = Math.ceil(maxSeqLen / 32) * 32;
			const head = S * (headDim + Math.ceil(headDim / 32) * 32 + 8);
			const caches = 2 * nLayers * nKvHeads * head;
			expect(model.memoryBytes).toBeLessThan(
				image.length + caches + 192 * 1024,
			);
		});

		it("refuses every truncation", () => {
			for (const length of [
				0,
				1,
				8,
				HEADER_SIZE - 1,
				HEADER_SIZE,
				5000,
				image.length - 1,
			])
				expect([length, status(image.slice(0, length))]).toEqual([length, 4]);
		});

		it("refuses an image that goes on", () => {
			const longer = new Uint8Array(image.length + 64);
			longer.set(image);
			expect(status(longer)).toBe(4);
		});

		it("refuses any flipped bit", () => {
			fc.assert(
				fc.property(
					fc.integer({ min: 0, max: image.length * 8 - 1 }),
					(bit) => {
						const copy = image.slice();
						copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
						expect(status(copy)).toBeGreaterThan(0);
					},
				),
			);
		});

		it.each([
			["version", 1, 2, /version 2/],
			["dim", 60, 3, /dim is 60, and must be a multiple of 64/],
			["hiddenDim", 0, 3, /hiddenDim is 0/],
			["nLayers", 1 << 20, 3, /nLayers is 1048576/],
			["nHeads", 3, 3, /nHeads is 3/],
			["nHeads", 0, 3, /nHeads is 0/],
			["nKvHeads", 3, 3, /nKvHeads is 3/],
			["vocabSize", 0xffffffff, 3, /vocabSize is 4294967295/],
			["maxSeqLen", 0, 3, /maxSeqLen is 0/],
			["weights", 2, 3, /weights is 2/],
			["activationBits", 32, 3, /activationBits is 32/],
			["hadamard", 16, 3, /hadamard is 16/],
			["bosTokenId", 70, 3, /bosTokenId is 70/],
			["nExits", 0, 3, /nExits is 0/],
			["exits", 4, 3, /exits is 4/],
			["gateDim", 33, 3, /gateDim is 33, and must be a multiple of 32/],
			["size", 64, 4, /size/],
			["checksum", 1, 5, /checksum/],
		] as const)(
			"names the fault where %s is %i",
			(field, value, code, message) => {
				const bad = withField(field, value);
				expect(() => load(bad)).toThrow(message);
				expect(status(bad)).toBe(code);
			},
		);

		it("refuses a norm_eps that is not a number", () => {
			expect(() => load(withField("normEps", Number.NaN, true))).toThrow(
				/normEps is NaN/,
			);
		});

		it("refuses kernels it does not have", () => {
			const other = build === "strict" ? "dot8" : "strict";
			expect(() => loadModel(modules[build], image, { kernel: other })).toThrow(
				/no such kernel/,
			);
		});

		it("refuses sequences it cannot have", () => {
			expect(() => load(image, 0)).toThrow(/1 to 4096/);
			expect(() => load(image, 5000)).toThrow(/1 to 4096/);
		});

		it("refuses more memory than there is", () => {
			const wide = withField("maxSeqLen", 65536);
			expect(() => load(wide, 4096)).toThrow(/out of memory/);
		});

		it("refuses calls out of range, each with its own message", () => {
			const model = load(image);
			expect(() => model.embed(0, 70)).toThrow(/no such token/);
			expect(() => model.embed(0, -1)).toThrow(/no such token/);
			expect(() => model.embed(model.maxBatch, 0)).toThrow(/a batch has/);
			expect(() => model.layer(1, 0, 0, 1)).toThrow(/no such sequence/);
			expect(() => model.layer(0, 4, 0, 1)).toThrow(/no such layer/);
			expect(() => model.layer(0, 0, 48, 1)).toThrow(/no such position/);
			expect(() => model.layer(0, 0, 47, 2)).toThrow(/no such position/);
			expect(() => model.layer(0, 0, 0xffffffff, 2)).toThrow(
				/no such position/,
			);
			expect(() => model.layer(0, 0, 0, 0)).toThrow(/a batch has/);
			expect(() => model.layer(0, 0, 0, model.maxBatch + 1)).toThrow(
				/a batch has/,
			);
			expect(() => model.head(3, 0)).toThrow(/no such exit/);
			expect(() => model.gate(2, 0)).toThrow(/no gate at exit 2/);
			expect(() => model.gate(0, model.maxBatch)).toThrow(/no row/);
		});

		it("answers every call before an image is loaded with a status", () => {
			const { exports } = new WebAssembly.Instance(modules[build]);
			const call = exports as Record<string, (...args: number[]) => number>;
			expect(call.loadImage?.(1)).toBe(4);
			expect(call.embed?.(0, 0)).toBe(7);
			expect(call.layer?.(0, 0, 0, 1)).toBe(7);
			expect(call.head?.(0, 0)).toBe(7);
			expect(call.gate?.(0, 0)).toBeNaN();
			expect(call.reserveImage?.(0xffffffff)).toBe(0);
		});

		it("imports nothing and exports only functions and the memory", () => {
			expect(WebAssembly.Module.imports(modules[build])).toEqual([]);
			const kinds = WebAssembly.Module.exports(modules[build]).map(
				({ kind }) => kind,
			);
			expect(new Set(kinds)).toEqual(new Set(["function", "memory"]));
		});
	},
);
