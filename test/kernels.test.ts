import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernelModules } from "#modules";
import { xxh32 } from "../src/xxh32.ts";
import { Kernels } from "./support/kernels.ts";

const RUNS = { numRuns: 60 };
/** Bytes before the codes of a quantised token, and where its sum and scale are: quantize.ts. */
const TOKEN_SIZE = 16;

/** Floats over many magnitudes, zeros and ties among them. */
const wild = fc.oneof(
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
const levels = fc.constantFrom(7, 127);

/** Rows and columns that the kernels take: one tile to several, seldom a round number of them. */
const shape = fc.record({
	rows: fc.integer({ min: 1, max: 5 }).map((n) => n * 32),
	columns: fc.integer({ min: 1, max: 24 }).map((n) => n * 16),
});

/** A build, and a kernel of it by its number in matmul.ts. */
const KERNELS = [
	["strict", "strict", 0],
	["relaxed", "dot8", 1],
	["relaxed", "dot16", 2],
] as const;

describe.each(KERNELS)("%s build, %s kernel", (build, _, kernel) => {
	const k = new Kernels(kernelModules[build]);
	expect(k.call("setKernel", kernel)).toBe(1);

	/** Quantised tokens, one behind the other, and the distance between them. */
	const quantized = (tokens: Float32Array[], levels: number) => {
		const n = tokens[0]?.length ?? 0;
		const stride = k.call("quantizedSize", n);
		const x = k.allocate(stride * tokens.length);
		for (const [i, token] of tokens.entries()) {
			const u = k.put(token);
			const absmax = k.call("absmax", u, n);
			k.call("quantize", x + i * stride, u, n, levels, absmax, 1);
		}
		return { x, stride };
	};

	it("matmulTernary: the reference's bits, for any bytes and any number of tokens", () => {
		fc.assert(
			fc.property(
				shape.chain(({ rows, columns }) =>
					fc.tuple(
						fc.constant(rows),
						bytes((rows * columns) / 4),
						fc.array(floats(columns, wild), { minLength: 1, maxLength: 5 }),
						levels,
						fc.constantFrom(1, 0.0123),
					),
				),
				([rows, weights, tokens, levels, scale]) => {
					k.reset();
					const { x, stride } = quantized(tokens, levels);
					const w = k.put(weights);
					const yStride = rows * 4 + 64;
					const args = [
						yStride,
						w,
						x,
						stride,
						rows,
						tokens[0]?.length ?? 0,
						tokens.length,
						scale,
					];
					const y = k.allocate(yStride * tokens.length);
					const expected = k.allocate(yStride * tokens.length);
					k.call("matmulTernary", y, ...args);
					k.call("matmulTernaryReference", expected, ...args);
					const size = (yStride * tokens.length) / 4;
					expect(k.f32(y, size)).toEqual(k.f32(expected, size));
				},
			),
			RUNS,
		);
	});

	it("matmulInt7: the reference's bits, for any number of tokens", () => {
		fc.assert(
			fc.property(
				shape.chain(({ rows, columns }) =>
					fc.tuple(
						bytes(rows * columns).map((b) => b.map((v) => (v % 127) + 1)),
						floats(rows),
						fc.array(floats(columns, wild), { minLength: 1, maxLength: 4 }),
					),
				),
				([weights, scales, tokens]) => {
					k.reset();
					const rows = scales.length;
					const { x, stride } = quantized(tokens, 127);
					const yStride = rows * 4 + 64;
					const args = [
						yStride,
						k.put(weights),
						k.put(scales),
						x,
						stride,
						rows,
						tokens[0]?.length ?? 0,
						tokens.length,
						0.0123,
					];
					const y = k.allocate(yStride * tokens.length);
					const expected = k.allocate(yStride * tokens.length);
					k.call("matmulInt7", y, ...args);
					k.call("matmulInt7Reference", expected, ...args);
					const size = (yStride * tokens.length) / 4;
					expect(k.f32(y, size)).toEqual(k.f32(expected, size));
				},
			),
			RUNS,
		);
	});

	it("both: exact where every operand is at its extreme", () => {
		const [rows, columns] = [32, 16384];
		for (const activation of [127, -127])
			for (const count of [1, 2]) {
				k.reset();
				const token = new Float32Array(columns).fill(activation);
				const { x, stride } = quantized(Array(count).fill(token), 127);
				const y = k.allocate(rows * 4 * count);
				for (const code of [0, 1, 2]) {
					const w = k.put(
						new Uint8Array((rows * columns) / 4).fill(code * 0b01010101),
					);
					k.call(
						"matmulTernary",
						y,
						rows * 4,
						w,
						x,
						stride,
						rows,
						columns,
						count,
						1,
					);
					const expected = new Float32Array(rows * count).fill(
						(code - 1) * activation * columns + 0,
					);
					expect(k.f32(y, rows * count)).toEqual(expected);
				}
				const ones = k.put(new Float32Array(rows).fill(1));
				for (const byte of [1, 127]) {
					const w = k.put(new Uint8Array(rows * columns).fill(byte));
					k.call(
						"matmulInt7",
						y,
						rows * 4,
						w,
						ones,
						x,
						stride,
						rows,
						columns,
						count,
						1,
					);
					const expected = new Float32Array(rows * count).fill(
						(byte - 64) * activation * columns + 0,
					);
					expect(k.f32(y, rows * count)).toEqual(expected);
				}
			}
	});

	it("attention: the reference's bits, each head its own keys", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 70 }),
				fc.constantFrom(16, 32, 48, 64),
				fc.integer({ min: 0, max: 1e9 }),
				(count, headDim, seed) => {
					k.reset();
					const [heads, kvHeads, maxSeqLen] = [4, 2, 70];
					const random = randomFloats(seed);
					const cache = k.allocate(
						Number(k.call("cacheSize", kvHeads, maxSeqLen, headDim)),
					);
					const keys = k.allocate(kvHeads * count * headDim * 4);
					const values = k.allocate(kvHeads * count * headDim * 4);
					for (let p = 0; p < count; p++) {
						const key = random(kvHeads * headDim);
						const value = random(kvHeads * headDim);
						k.call(
							"storeKeyValue",
							cache,
							k.put(key),
							k.put(value),
							p,
							kvHeads,
							maxSeqLen,
							headDim,
						);
						for (let head = 0; head < kvHeads; head++) {
							const of = (vector: Float32Array) =>
								vector.slice(head * headDim, (head + 1) * headDim);
							k.set(keys + (head * count + p) * headDim * 4, of(key));
							k.set(values + (head * count + p) * headDim * 4, of(value));
						}
					}
					const q = k.put(random(heads * headDim));
					const y = k.allocate(heads * headDim * 4 + 64);
					const scratch = k.allocate(
						k.call("scratchSize", 2, maxSeqLen, headDim),
					);
					k.call(
						"attention",
						y,
						q,
						cache,
						scratch,
						count,
						heads,
						kvHeads,
						maxSeqLen,
						headDim,
					);
					const more = [512, 512, 512].map((n) => k.allocate(n));
					for (let head = 0; head < heads; head++) {
						const size = headDim * 4;
						const from = (head >> 1) * count * size;
						const expected = k.allocate(size);
						k.call(
							"attentionReference",
							expected,
							q + head * size,
							keys + from,
							values + from,
							...more,
							count,
							headDim,
						);
						expect(k.f32(y + head * size, headDim)).toEqual(
							k.f32(expected, headDim),
						);
					}
				},
			),
			RUNS,
		);
	});
});

describe.each(["strict", "relaxed"] as const)("%s build", (build) => {
	const k = new Kernels(kernelModules[build]);

	it("setKernel: takes the build's kernels and no others", () => {
		for (const kernel of [0, 1, 2, 3])
			expect(k.call("setKernel", kernel) === 1).toBe(
				KERNELS.some(([b, , number]) => b === build && number === kernel),
			);
	});

	it("quantize: the reference's codes, sum and scale", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 40 }).chain((n) => floats(n * 16, wild)),
				levels,
				fc.constantFrom(1, 0.03, 30),
				(u, levels, factor) => {
					k.reset();
					const n = u.length;
					const address = k.put(u);
					const absmax = k.call("absmax", address, n);
					expect(absmax).toBe(k.call("absmaxReference", address, n));
					const q = k.allocate(k.call("quantizedSize", n));
					const expected = k.allocate(TOKEN_SIZE + n * 4);
					const args = [address, n, levels, absmax, factor];
					k.call("quantize", q, ...args);
					k.call("quantizeReference", expected, ...args);
					const codes = Int32Array.from(u, (_, i) =>
						k.call("activationAt", q, i),
					);
					expect(codes).toEqual(k.i32(expected + TOKEN_SIZE, n));
					expect(Math.max(...codes.map(Math.abs))).toBeLessThanOrEqual(levels);
					expect(k.i32(q, 1)[0]).toBe(codes.reduce((a, b) => a + b, 0));
					expect(k.f32(q, 2)).toEqual(k.f32(expected, 2));
				},
			),
			RUNS,
		);
	});

	it("quantize: halves to even, a zero vector to zeros", () => {
		k.reset();
		const u = new Float32Array(16);
		u.set([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]);
		const q = k.allocate(k.call("quantizedSize", 16));
		k.call("quantize", q, k.put(u), 16, 127, 127, 1);
		const codes = Array.from(u, (_, i) => k.call("activationAt", q, i));
		expect(codes.slice(0, 7)).toEqual([127, 0, 2, 2, 0, -2, -2]);
		k.call("quantize", q, k.put(new Float32Array(16)), 16, 127, 0, 1);
		expect(Array.from(u, (_, i) => k.call("activationAt", q, i))).toEqual(
			Array(16).fill(0),
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
					const args = [k.put(weights), k.put(x), 32, x.length, 0.7];
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
					expect(k.f32(y, x.length + 8)).toEqual(k.f32(expected, x.length + 8));
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

	it("norm, normGated, dot, rope: the reference's bits", () => {
		fc.assert(
			fc.property(
				fc
					.integer({ min: 1, max: 64 })
					.chain((n) =>
						fc.tuple(floats(n * 16), floats(n * 16), floats(n * 16)),
					),
				([x, y, z]) => {
					k.reset();
					const n = x.length;
					const [a, b, c] = [k.put(x), k.put(y), k.put(z)];
					expect(k.call("dot", a, b, n)).toBe(k.call("dotReference", a, b, n));
					for (const [name, ...args] of [
						["norm", a, b, n, 1e-5],
						["normGated", a, b, c, n, 1e-5],
					] as [string, ...number[]][]) {
						const [got, expected] = [k.allocate(n * 4), k.allocate(n * 4)];
						const inverse = k.call(name, got, ...args);
						expect(k.call("peak")).toBe(k.call("absmaxReference", got, n));
						expect(inverse).toBe(k.call(`${name}Reference`, expected, ...args));
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
		const [positions, headDim, theta] = [4000, 16, 10000];
		const table = k.allocate(positions * headDim * 4);
		k.call("fillRope", table, positions, headDim, theta);
		const got = k.f32(table, positions * headDim);
		for (let p = 0; p < positions; p++)
			for (let i = 0; i < 8; i++) {
				const angle = p * theta ** (-i / 8);
				// One ulp of a number up to 1: the host's own cos and pow may round otherwise.
				const isClose = (a: number | undefined, b: number) =>
					Math.abs((a as number) - b) < 2 ** -23;
				if (
					!isClose(got[p * 16 + i], Math.cos(angle)) ||
					!isClose(got[p * 16 + 8 + i], Math.sin(angle))
				)
					expect.fail(`position ${p}, frequency ${i}`);
			}
	});

	it("softmax: the reference's bits, any length, next to nothing behind", () => {
		const scores = fc.float({
			noNaN: true,
			noDefaultInfinity: true,
			min: -200,
			max: 200,
		});
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 70 }).chain((n) => floats(n, scores)),
				(x) => {
					k.reset();
					const n = x.length;
					const padded = Math.ceil(n / 16) * 16;
					const weights = k.put(
						Float32Array.from({ length: padded }, (_, i) => 1 + (i % 3)),
					);
					const [y, expected] = [k.put(x), k.put(x)];
					expect(k.call("softmax", y, weights, n)).toBe(
						k.call("softmaxReference", expected, weights, n),
					);
					expect(k.f32(y, n)).toEqual(k.f32(expected, n));
					expect(Math.max(0, ...k.f32(y, padded).slice(n))).toBeLessThan(
						2 ** -123,
					);
				},
			),
			RUNS,
		);
	});

	it("2^x: relative error below 8e-5 from 0 to -126, and 2^-126 below", () => {
		for (let x = 0; x > -126; x -= 0.0137) {
			const exact = 2 ** Math.fround(x);
			expect(Math.abs(k.call("exp2Reference", x) / exact - 1)).toBeLessThan(
				8e-5,
			);
		}
		expect(k.call("exp2Reference", -1e9) / 2 ** -126).toBeCloseTo(1, 3);
	});

	it("integer attention: within 3 % of exact attention", () => {
		// Rounding is up to 1/126 of the largest for each of three factors.
		for (let seed = 0; seed < 20; seed++) {
			k.reset();
			const [count, headDim, maxSeqLen] = [3 * seed + 1, 32, 70];
			const random = randomFloats(seed);
			const caches = ["", "F32"].map((form) =>
				k.allocate(Number(k.call(`cacheSize${form}`, 1, maxSeqLen, headDim))),
			);
			for (let p = 0; p < count; p++) {
				const [key, value] = [k.put(random(headDim)), k.put(random(headDim))];
				for (const [i, form] of ["", "F32"].entries())
					k.call(
						`storeKeyValue${form}`,
						caches[i] as number,
						key,
						value,
						p,
						1,
						maxSeqLen,
						headDim,
					);
			}
			const q = k.put(random(headDim));
			const [got, exact] = ["", "F32"].map((form, i) => {
				const y = k.allocate(headDim * 4 + 64);
				k.call(
					`attention${form}`,
					y,
					q,
					caches[i] as number,
					k.allocate(1024),
					count,
					1,
					1,
					maxSeqLen,
					headDim,
				);
				return k.f32(y, headDim);
			}) as [Float32Array, Float32Array];
			const error = Math.max(
				...got.map((v, i) => Math.abs(v - (exact[i] as number))),
			);
			expect(error).toBeLessThan(0.03);
		}
	});

	it("xxh32: the published test vectors, and the packer's the same", () => {
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
