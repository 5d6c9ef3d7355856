import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { randomImage, SHAPES } from "../bench/random_model.ts";
import { FIELDS, HEADER_SIZE } from "../src/image.ts";
import { xxh32 } from "../src/xxh32.ts";

const CASES = 100_000;
const SEED = 20261125;
/** Statuses of loadImage, docs/abi.md. */
const LAST_STATUS = 8;
/** Instances are replaced beyond this, so that a run's memory stays small. */
const MAX_MEMORY = 64 << 20;

/** The smallest shape with all parts: two layers, an early exit, a gate. 28 KB, quick to seal. */
const good = randomImage({
	...SHAPES["24x128"],
	dim: 64,
	hiddenDim: 64,
	nLayers: 2,
	nHeads: 4,
	nKvHeads: 2,
	vocabSize: 33,
	maxSeqLen: 32,
	exits: [1, 2],
});

/** Values on both sides of every limit. */
const EDGES = [
	0, 1, 2, 3, 15, 16, 31, 32, 33, 63, 64, 65, 128, 255, 256, 1024, 1025, 16384,
	16448, 65535, 65536, 65600, 1048576, 1048577, 0x7fffffc0, 0x7fffffff,
	0x80000000, 0xffffffc0, 0xffffffff,
];

interface Exports {
	memory: WebAssembly.Memory;
	reserveImage(size: number): number;
	loadImage(sequences: number): number;
	embed(slot: number, token: number): number;
	layer(sequence: number, l: number, position: number, count: number): number;
	gate(exit: number, slot: number): number;
	head(exit: number, slot: number): number;
}

/** Mulberry32: integers in [0, n). */
function generator(seed: number) {
	let state = seed;
	return (n: number) => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
	};
}

type Random = ReturnType<typeof generator>;

const pick = <T>(random: Random, values: readonly T[]) =>
	values[random(values.length)] as T;

const fields = Object.values(FIELDS).filter((at) => at >= FIELDS.dim);

/** Each damages the first `size` bytes of `image`. */
const MUTATIONS: Record<
	string,
	(image: DataView<ArrayBuffer>, random: Random) => void
> = {
	fieldToEdge: (image, random) =>
		image.setUint32(pick(random, fields), pick(random, EDGES), true),
	fieldToAnything: (image, random) =>
		image.setUint32(pick(random, fields), random(2 ** 32), true),
	fieldNearby: (image, random) => {
		const at = pick(random, fields);
		image.setUint32(at, image.getUint32(at, true) + random(129) - 64, true);
	},
	fieldsSwapped: (image, random) => {
		const [a, b] = [pick(random, fields), pick(random, fields)];
		const was = image.getUint32(a, true);
		image.setUint32(a, image.getUint32(b, true), true);
		image.setUint32(b, was, true);
	},
	depths: (image, random) =>
		image.setUint32(FIELDS.exits + 4 * random(32), pick(random, EDGES), true),
	beforeTheFields: (image, random) =>
		image.setUint8(random(FIELDS.dim), random(256)),
	headerByte: (image, random) =>
		image.setUint8(random(HEADER_SIZE), random(256)),
	weightBytes: (image, random) => {
		for (let i = random(8); i >= 0; i--)
			image.setUint8(
				HEADER_SIZE + random(image.byteLength - HEADER_SIZE),
				random(256),
			);
	},
	weightWords: (image, random) => {
		// Infinities, NaNs and zeros, where scales, norms and gates are too.
		for (let i = random(8); i >= 0; i--)
			image.setUint32(
				HEADER_SIZE + 4 * random((image.byteLength - HEADER_SIZE) >> 2),
				pick(random, [0, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff]),
				true,
			);
	},
	nothing: () => {},
};

function seal(image: DataView<ArrayBuffer>): void {
	const { buffer, byteOffset, byteLength } = image;
	const sealed = new Uint8Array(buffer, byteOffset, byteLength);
	image.setUint32(FIELDS.size, byteLength, true);
	image.setUint32(FIELDS.checksum, xxh32(sealed.subarray(FIELDS.dim)), true);
}

/** Runs a token through everything that the loaded image has. */
function runToken(wasm: Exports, image: DataView): void {
	const token = image.getUint32(FIELDS.bosTokenId, true);
	const nExits = image.getUint32(FIELDS.nExits, true);
	const gated = image.getUint32(FIELDS.gateDim, true) > 0;
	const statuses = [wasm.embed(0, token), wasm.layer(0, 0, 0, 1)];
	for (let exit = 0; exit < nExits; exit++) statuses.push(wasm.head(exit, 0));
	expect(statuses).toEqual(statuses.map(() => 0));
	if (gated && nExits > 1) expect(wasm.gate(0, 0)).not.toBeNaN();
}

describe.each(["strict", "relaxed"] as const)(
	"the %s build's loader",
	(build) => {
		const instantiate = () =>
			new WebAssembly.Instance(modules[build]).exports as unknown as Exports;

		it(`answers ${CASES} damaged images with a status`, () => {
			const random = generator(SEED);
			const names = Object.keys(MUTATIONS);
			const counts: Record<number, number> = {};
			let wasm = instantiate();
			for (let i = 0; i < CASES; i++) {
				const name = pick(random, names);
				const sealed = random(3) > 0;
				const truncated = random(8) === 0;
				const size = truncated
					? random(good.length)
					: good.length + (random(16) === 0 ? 64 * random(8) : 0);
				const sequences =
					random(8) === 0 ? pick(random, [0, 4097, 0xffffffff]) : 1 + random(4);
				const about = `case ${i}, seed ${SEED}: ${name}, sealed ${sealed}, ${size} bytes, ${sequences} sequences`;
				try {
					if (wasm.memory.buffer.byteLength > MAX_MEMORY) wasm = instantiate();
					// Room for a whole image, so that what lies behind a truncated one is the rest of it.
					const address = wasm.reserveImage(good.length + 512) >>> 0;
					const { buffer } = wasm.memory;
					new Uint8Array(buffer).set(good, address);
					const image = new DataView(buffer, address, good.length);
					(MUTATIONS[name] as (typeof MUTATIONS)[string])(image, random);
					const claimed = new DataView(buffer, address, size);
					if (sealed && size >= HEADER_SIZE) seal(claimed);
					wasm.reserveImage(size);
					const status = wasm.loadImage(sequences);
					counts[status] = (counts[status] ?? 0) + 1;
					if (!(status >= 0 && status <= LAST_STATUS))
						throw new Error(`status ${status}`);
					if (status !== 0) continue;
					const loaded = new Uint8Array(wasm.memory.buffer, address, size);
					if (!sealed && good.some((byte, at) => byte !== loaded[at]))
						throw new Error("loaded with a checksum that is not its own");
					if (size !== good.length) throw new Error("loaded at a wrong size");
					runToken(wasm, new DataView(wasm.memory.buffer, address, size));
				} catch (error) {
					throw new Error(about, { cause: error });
				}
			}
			// Every status that an image can get was got, many times.
			for (const status of [0, 1, 2, 3, 4, 5, 8])
				expect(counts[status], `status ${status}`).toBeGreaterThan(50);
		});

		it("reads nothing behind a truncated image: where the memory ends, it would trap", () => {
			const random = generator(SEED);
			const wasm = instantiate();
			const address = wasm.reserveImage(HEADER_SIZE) >>> 0;
			const size = wasm.memory.buffer.byteLength - address;
			const image = new DataView(wasm.memory.buffer, address, size);
			for (let i = 0; i < 2000; i++) {
				new Uint8Array(wasm.memory.buffer).set(good, address);
				// At least 1024 tokens: 64 KB of embedding alone, more than there is.
				image.setUint32(FIELDS.vocabSize, 1024 + random(2 ** 20), true);
				seal(image);
				wasm.reserveImage(size);
				expect([3, 4]).toContain(wasm.loadImage(1));
				expect(wasm.memory.buffer.byteLength).toBe(address + size);
			}
		});
	},
);
