import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernelModules } from "#modules";
import { xxh32 } from "../src/xxh32.ts";
import { Kernels } from "./support/kernels.ts";

const RUNS = { numRuns: 60 };

/** Floats over many magnitudes, zeros and ties among them. */
const float = fc.oneof(
	fc.float({ noNaN: true, min: -1e4, max: 1e4 }),
	fc.integer({ min: -254, max: 254 }).map((n) => n / 2),
	fc.constantFrom(0, -0, 1e-7, -1e-7, 3e38, -3e38),
);
const moderate = fc.float({
	noNaN: true,
	noDefaultInfinity: true,
	min: -8,
	max: 8,
});
const floats = (n: number, of = moderate) =>
	fc.array(of, { minLength: n, maxLength: n }).map((a) => new Float32Array(a));
const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });

/** Rows and columns that the kernels take: one tile to several, never a round number of several. */
const shape = fc.record({
	rows: fc.integer({ min: 1, max: 5 }).map((n) => n * 32),
	columns: fc.integer({ min: 1, max: 24 }).map((n) => n * 16),
});

for (const build of ["strict", "relaxed"] as const) {
	describe(`kernels, ${build} build`, () => {
		const k = new Kernels(kernelModules[build]);

		/** A quantised activation vector whose extremes are reached. */
		const quantized = (x: Float32Array, levels: number) => {
			const q = k.allocate(x.length * 2);
			k.call("quantize", q, k.put(x), x.length, levels);
			return { q, sum: k.call("activationSum") };
		};

		it("quantize: the reference's codes, sum and scale", () => {
			fc.assert(
				fc.property(
					fc.integer({ min: 1, max: 40 }).chain((n) => floats(n * 16, float)),
					fc.constantFrom(7, 127),
					(x, levels) => {
						k.reset();
						const { q, sum } = quantized(x, levels);
						const scale = k.call("inverseScale");
						const expected = k.allocate(x.length * 4);
						k.call("quantizeReference", expected, k.put(x), x.length, levels);
						const codes = Int32Array.from(x, (_, i) =>
							k.call("activationAt", q, i),
						);
						expect(codes).toEqual(k.i32(expected, x.length));
						expect(Math.max(...codes.map(Math.abs))).toBeLessThanOrEqual(
							levels,
						);
						expect(sum).toBe(codes.reduce((a, b) => a + b, 0));
						expect(scale).toBe(reference(k, "referenceScale"));
					},
				),
				RUNS,
			);
		});

		it("matvecTernary: the reference's bits, for any byte", () => {
			fc.assert(
				fc.property(
					shape.chain(({ rows, columns }) =>
						fc.tuple(
							fc.constant(rows),
							bytes((rows * columns) / 4),
							floats(columns, float),
							fc.constantFrom(7, 127),
							fc.constantFrom(1, 0.0123),
						),
					),
					([rows, weights, x, levels, scale]) => {
						k.reset();
						const { q, sum } = quantized(x, levels);
						const w = k.put(weights);
						const y = k.allocate(rows * 4);
						const expected = k.allocate(rows * 4);
						k.call("matvecTernary", y, w, q, rows, x.length, sum, scale);
						k.call(
							"matvecTernaryReference",
							expected,
							w,
							q,
							rows,
							x.length,
							scale,
						);
						expect(k.f32(y, rows + 8)).toEqual(k.f32(expected, rows + 8));
					},
				),
				RUNS,
			);
		});

		it("matvecTernary and matvecInt7: exact at the extremes of every operand", () => {
			for (const activation of [127, -127])
				for (const [name, byte] of [
					["Ternary", 0],
					["Ternary", 0b10101010],
					["Int7", 1],
					["Int7", 127],
				] as const) {
					k.reset();
					const [rows, columns] = [32, 16384];
					const { q, sum } = quantized(
						new Float32Array(columns).fill(activation),
						127,
					);
					const y = k.allocate(rows * 4);
					const size =
						name === "Ternary" ? (rows * columns) / 4 : rows * columns;
					const w = k.put(new Uint8Array(size).fill(byte));
					const weight = name === "Ternary" ? (byte & 3) - 1 : byte - 64;
					if (name === "Ternary")
						k.call("matvecTernary", y, w, q, rows, columns, sum, 1);
					else
						k.call(
							"matvecInt7",
							y,
							w,
							k.put(new Float32Array(rows).fill(1)),
							q,
							rows,
							columns,
							sum,
							1,
						);
					expect(k.f32(y, rows)).toEqual(
						new Float32Array(rows).fill(weight * activation * columns),
					);
				}
		});

		it("matvecInt7: the reference's bits", () => {
			fc.assert(
				fc.property(
					shape.chain(({ rows, columns }) =>
						fc.tuple(
							bytes(rows * columns).map((b) => b.map((v) => (v % 127) + 1)),
							floats(rows),
							floats(columns, float),
						),
					),
					([weights, scales, x]) => {
						k.reset();
						const rows = scales.length;
						const { q, sum } = quantized(x, 127);
						const w = k.put(weights);
						const s = k.put(scales);
						const y = k.allocate(rows * 4);
						const expected = k.allocate(rows * 4);
						k.call("matvecInt7", y, w, s, q, rows, x.length, sum, 0.0123);
						k.call(
							"matvecInt7Reference",
							expected,
							w,
							s,
							q,
							rows,
							x.length,
							0.0123,
						);
						expect(k.f32(y, rows + 8)).toEqual(k.f32(expected, rows + 8));
					},
				),
				RUNS,
			);
		});

		it("matvecF32: the reference's bits", () => {
			fc.assert(
				fc.property(
					fc
						.integer({ min: 1, max: 8 })
						.chain((n) => fc.tuple(floats(32 * n * 16), floats(n * 16))),
					([weights, x]) => {
						k.reset();
						const args = [k.put(weights), k.put(x), 32, x.length];
						const y = k.allocate(128);
						const expected = k.allocate(128);
						k.call("matvecF32", y, ...args);
						k.call("matvecF32Reference", expected, ...args);
						expect(k.f32(y, 40)).toEqual(k.f32(expected, 40));
					},
				),
				RUNS,
			);
		});

		it("hadamard: the reference's bits, orthonormal and its own inverse", () => {
			fc.assert(
				fc.property(
					fc.integer({ min: 4, max: 12 }).chain((n) => floats(2 ** n)),
					(x) => {
						k.reset();
						const [y, expected] = [k.put(x), k.put(x)];
						k.call("hadamard", y, x.length);
						k.call("hadamardReference", expected, x.length);
						expect(k.f32(y, x.length + 8)).toEqual(
							k.f32(expected, x.length + 8),
						);
						k.call("hadamard", y, x.length);
						// log2(n) <= 12 additions twice, each half an ulp of at most sqrt(4096) * 8 = 512.
						const back = k.f32(y, x.length);
						const error = Math.max(
							...back.map((v, i) => Math.abs(v - (x[i] as number))),
						);
						expect(error).toBeLessThan(24 * 512 * 2 ** -24);
					},
				),
				RUNS,
			);
		});

		it("hadamard: row i of the matrix is (-1)^popcount(i & j) / sqrt(n)", () => {
			const n = 64;
			for (let i = 0; i < n; i++) {
				k.reset();
				const x = k.put(
					Float32Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)),
				);
				k.call("hadamard", x, n);
				const sign = (j: number) => 1 - 2 * (popcount(i & j) % 2);
				expect(k.f32(x, n)).toEqual(
					Float32Array.from({ length: n }, (_, j) => sign(j) / 8),
				);
			}
		});

		it("rmsnorm, dot, relu2Gate, rope: the reference's bits", () => {
			fc.assert(
				fc.property(
					fc
						.integer({ min: 1, max: 64 })
						.chain((n) => fc.tuple(floats(n * 16), floats(n * 16))),
					([x, y]) => {
						k.reset();
						const n = x.length;
						const [a, b] = [k.put(x), k.put(y)];
						expect(k.call("dot", a, b, n)).toBe(
							k.call("dotReference", a, b, n),
						);
						for (const [name, ...args] of [
							["rmsnorm", a, b, n, 1e-5],
							["relu2Gate", a, b, n],
						] as [string, ...number[]][]) {
							const [got, expected] = [k.allocate(n * 4), k.allocate(n * 4)];
							k.call(name, got, ...args);
							k.call(`${name}Reference`, expected, ...args);
							expect(k.f32(got, n + 8)).toEqual(k.f32(expected, n + 8));
						}
						const copy = k.put(x);
						k.call("rope", a, b, n / 16, 16);
						k.call("ropeReference", copy, b, n / 16, 16);
						expect(k.f32(a, n)).toEqual(k.f32(copy, n));
					},
				),
				RUNS,
			);
		});

		it("fillRope: cosines and sines to the last bit of a float32", () => {
			k.reset();
			const [positions, headDim, theta] = [40, 16, 10000];
			const table = k.allocate(positions * headDim * 4);
			k.call("fillRope", table, positions, headDim, theta);
			const got = k.f32(table, positions * headDim);
			for (let p = 0; p < positions; p++)
				for (let i = 0; i < 8; i++) {
					const angle = p * theta ** (-i / 8);
					// One ulp of a number up to 1: the host's own cos and pow may round otherwise.
					expect(
						Math.abs((got[p * 16 + i] as number) - Math.cos(angle)),
					).toBeLessThan(2 ** -23);
					expect(
						Math.abs((got[p * 16 + 8 + i] as number) - Math.sin(angle)),
					).toBeLessThan(2 ** -23);
				}
		});

		it("softmax: within 1e-6 of float64, any length", () => {
			fc.assert(
				fc.property(
					fc.integer({ min: 1, max: 70 }).chain((n) =>
						floats(
							n,
							fc.float({
								noNaN: true,
								noDefaultInfinity: true,
								min: -200,
								max: 200,
							}),
						),
					),
					(x) => {
						k.reset();
						const n = x.length;
						const [y, source, expected] = [
							k.put(x),
							k.put(x),
							k.allocate(n * 4),
						];
						const scale = k.call("softmax", y, n);
						k.call("softmaxReference", expected, source, n);
						const want = k.f32(expected, n);
						k.f32(y, n).forEach((v, i) => {
							expect(Math.abs(v * scale - (want[i] as number))).toBeLessThan(
								1e-6,
							);
						});
					},
				),
				RUNS,
			);
		});

		it("attention: within 1e-5 of the reference, each head its own keys", () => {
			fc.assert(
				fc.property(
					fc.integer({ min: 1, max: 30 }),
					fc.constantFrom(16, 32, 64),
					fc.integer({ min: 0, max: 1e9 }),
					(count, headDim, seed) => {
						k.reset();
						const [heads, kvHeads, maxSeqLen] = [4, 2, 32];
						const random = randomFloats(seed);
						const cache = k.allocate(kvHeads * maxSeqLen * headDim * 8);
						for (let p = 0; p < count; p++)
							k.call(
								"storeKeyValue",
								cache,
								k.put(random(kvHeads * headDim)),
								k.put(random(kvHeads * headDim)),
								p,
								kvHeads,
								maxSeqLen,
								headDim,
							);
						const q = k.put(random(heads * headDim));
						const y = k.allocate(heads * headDim * 4);
						k.call(
							"attention",
							y,
							q,
							cache,
							k.allocate(maxSeqLen * 4),
							count,
							heads,
							kvHeads,
							maxSeqLen,
							headDim,
						);
						for (let head = 0; head < heads; head++) {
							const keys = cache + (head >> 1) * maxSeqLen * headDim * 4;
							const expected = k.allocate(headDim * 4);
							k.call(
								"attentionReference",
								expected,
								q + head * headDim * 4,
								keys,
								keys + kvHeads * maxSeqLen * headDim * 4,
								k.allocate(maxSeqLen * 4),
								count,
								headDim,
							);
							const want = k.f32(expected, headDim);
							k.f32(y + head * headDim * 4, headDim).forEach((v, i) => {
								expect(Math.abs(v - (want[i] as number))).toBeLessThan(1e-5);
							});
						}
					},
				),
				RUNS,
			);
		});

		it("xxh32: the published test vectors", () => {
			// From the reference implementation's sanity checks: its generator's bytes, seed 0.
			const data = new Uint8Array(222);
			let generator = 2654435761n;
			for (let i = 0; i < data.length; i++) {
				data[i] = Number((generator >> 56n) & 255n);
				generator = (generator * 11400714785074694797n) & (2n ** 64n - 1n);
			}
			for (const [length, expected] of [
				[0, 0x02cc5d05],
				[1, 0xcf65b03e],
				[14, 0x1208e7e2],
				[222, 0x5bd11dbd],
			] as const) {
				k.reset();
				expect(k.call("xxh32", k.put(data), length) >>> 0).toBe(expected);
				expect(xxh32(data.subarray(0, length))).toBe(expected);
			}
		});
	});
}

function reference(k: Kernels, name: string): number {
	return (k.exports[name] as unknown as WebAssembly.Global).value;
}

function popcount(n: number): number {
	return n === 0 ? 0 : (n & 1) + popcount(n >> 1);
}

/** Uniform in [-1, 1). */
function randomFloats(seed: number): (n: number) => Float32Array {
	let state = seed >>> 0;
	return (n) =>
		Float32Array.from({ length: n }, () => {
			state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
			return state / 2 ** 31 - 1;
		});
}
