/**
 * The WebAssembly module as a typed object: instantiate it, load an image, run one token. Knows
 * addresses and statuses, so that nobody else has to. The ABI is in docs/abi.md.
 *
 * @module
 */

import { instantiateSync } from "@assemblyscript/loader";
import {
	FIELD_RULES,
	FIELDS,
	HEADER_SIZE,
	type ModelConfig,
	readConfig,
	readFingerprint,
	VERSION,
	writeConfig,
} from "./image.ts";

export const ABI_VERSION = 3;

type Exports = {
	memory: WebAssembly.Memory;
	abiVersion(): number;
	reserveImage(size: number): number;
	loadImage(sequences: number): number;
	setKernel(kernel: number): number;
	faultOffset(): number;
	maxBatch(): number;
	hidden(): number;
	logits(): number;
	embed(slot: number, token: number): number;
	layer(sequence: number, l: number, position: number, count: number): number;
	keyValue(
		sequence: number,
		l: number,
		position: number,
		count: number,
	): number;
	gate(exit: number, slot: number): number;
	head(exit: number, slot: number): number;
};

/** The module or the image cannot be used, or a call was wrong. `status` is the ABI's, 0 if none. */
export class ModelError extends Error {
	override name = "ModelError";
	readonly status: number;
	constructor(message: string, status = 0) {
		super(message);
		this.status = status;
	}
}

/** By status; assembly/status.ts has the numbers. */
const MESSAGES: Record<number, string> = {
	1: "not a model image: it does not begin with BITSKIP (pack one with `npm run pack`)",
	2: `the image has another version of the format: this engine reads version ${VERSION}`,
	3: "the image's header has a value that this engine cannot run",
	4: "the image is truncated or too long: its size is not what its header says",
	5: "the image is damaged: its checksum does not match",
	6: "out of memory: ask for fewer sequences or use a smaller model",
	7: "no image is loaded",
	8: "no such sequence: give a number below that of the loaded ones (1 to 4096)",
	9: "no such token: ids are below vocabSize",
	10: "no such position: positions are below maxSeqLen",
	11: "no such layer: layers are below nLayers",
	12: "no such exit: exits are numbered from 0, the shallowest",
	13: "a batch has 1 to maxBatch tokens",
	14: "this build of the module has no such kernel",
};

/** By their numbers in the ABI. All give the same bits. */
export const KERNELS = ["strict", "dot8", "dot16"] as const;
/**
 * What the matrix products use. `strict`: baseline SIMD, the strict build's only one. In the relaxed
 * build `dot8` is the fastest on Arm and on x86 with AVX-VNNI, `dot16` on other x86.
 */
export type Kernel = (typeof KERNELS)[number];

export function isKernel(name: string): name is Kernel {
	return (KERNELS as readonly string[]).includes(name);
}

/** The build of the module that has a kernel. */
export function buildOf(kernel: Kernel): "strict" | "relaxed" {
	return kernel === "strict" ? "strict" : "relaxed";
}

/** A loaded model. All sequences share its weights; each has its own keys and values. */
export interface Model {
	readonly config: ModelConfig;
	/** Names the model's bits. */
	readonly fingerprint: string;
	readonly sequences: number;
	/** What the matrix products use now. */
	readonly kernel: Kernel;
	/** @throws ModelError where the module's build has no such kernel. */
	setKernel(kernel: Kernel): void;
	/** Most tokens that `layer` takes at once. */
	readonly maxBatch: number;
	/** Bytes of the module's memory: image, keys and values, scratch. It does not grow. */
	readonly memoryBytes: number;
	/** The batch's rows, (maxBatch, dim), on which `layer` works: a view on the module's memory. */
	readonly hidden: Float32Array;
	/** Row `slot` of the batch becomes the embedding of `token`. */
	embed(slot: number, token: number): void;
	/** Runs layer `l` for rows 0 to count - 1, which are tokens at `position` and on. */
	layer(sequence: number, l: number, position: number, count: number): void;
	/** Stores layer `l`'s keys and values of tokens that left before it; their rows stay as they are. */
	keyValue(sequence: number, l: number, position: number, count: number): void;
	/**
	 * The logit of how far the next token's probabilities at exit number `exit`, not the last, overlap the
	 * last layer's, as the model foretells it, for row `slot`. @throws ModelError where there is no gate.
	 */
	gate(exit: number, slot: number): number;
	/** The logits, (vocabSize), of row `slot` at exit number `exit`: a view, valid until the next call. */
	head(exit: number, slot: number): Float32Array;
}

/**
 * Instantiates `module` and loads `image`, which is copied once.
 * @param sequences how many sequences may be under way at a time, 1 to 4096; docs/abi.md says what
 *   each costs in memory.
 * @param kernel one that the module has; default: `strict` in the strict build, `dot8` in the relaxed.
 * @throws ModelError where the image cannot be trusted or run, or memory does not suffice.
 */
export function loadModel(
	module: WebAssembly.Module,
	image: Uint8Array,
	options: { sequences?: number; kernel?: Kernel } = {},
): Model {
	const wasm = instantiateSync<Exports>(module).exports;
	if (wasm.abiVersion?.() !== ABI_VERSION)
		throw new ModelError(
			`the module is not this version's: ABI ${wasm.abiVersion?.()}, wanted ${ABI_VERSION}`,
		);
	const { sequences = 4 } = options;
	const hasStrict = wasm.setKernel(KERNELS.indexOf("strict")) === 0;
	let kernel: Kernel = options.kernel ?? (hasStrict ? "strict" : "dot8");
	check(wasm.setKernel(KERNELS.indexOf(kernel)));
	if (image.byteLength < HEADER_SIZE)
		throw new ModelError(
			`the image is truncated: ${image.byteLength} bytes, and its header alone has ${HEADER_SIZE}`,
			4,
		);
	const address = wasm.reserveImage(image.byteLength) >>> 0;
	if (address === 0) throw new ModelError(MESSAGES[6] as string, 6);
	new Uint8Array(wasm.memory.buffer).set(image, address);
	const status = wasm.loadImage(sequences);
	if (status === 3) throw headerError(wasm.faultOffset(), image);
	check(status);

	const config = readConfig(image);
	const maxBatch = wasm.maxBatch();
	const logits = new Float32Array(
		wasm.memory.buffer,
		wasm.logits() >>> 0,
		config.vocabSize,
	);
	return {
		config,
		fingerprint: readFingerprint(image),
		sequences,
		get kernel() {
			return kernel;
		},
		setKernel(chosen) {
			check(wasm.setKernel(KERNELS.indexOf(chosen)));
			kernel = chosen;
		},
		maxBatch,
		hidden: new Float32Array(
			wasm.memory.buffer,
			wasm.hidden() >>> 0,
			maxBatch * config.dim,
		),
		memoryBytes: wasm.memory.buffer.byteLength,
		embed: (slot, token) => check(wasm.embed(slot, token)),
		layer: (sequence, l, position, count) =>
			check(wasm.layer(sequence, l, position, count)),
		keyValue: (sequence, l, position, count) =>
			check(wasm.keyValue(sequence, l, position, count)),
		gate(exit, slot) {
			const logit = wasm.gate(exit, slot);
			if (Number.isNaN(logit))
				throw new ModelError(`no gate at exit ${exit}, or no row ${slot}`, 12);
			return logit;
		},
		head(exit, slot) {
			check(wasm.head(exit, slot));
			return logits;
		},
	};
}

/**
 * Asks the engine whether it can run models of this config, before there is an image.
 * @throws ModelError that names the field at fault and what it may be.
 */
export function verifyConfig(
	module: WebAssembly.Module,
	config: ModelConfig,
): void {
	const header = new Uint8Array(HEADER_SIZE);
	writeConfig(header, config);
	const wasm = instantiateSync<Exports>(module).exports;
	const address = wasm.reserveImage(HEADER_SIZE) >>> 0;
	new Uint8Array(wasm.memory.buffer).set(header, address);
	const status = wasm.loadImage(1);
	if (status === 3) throw headerError(wasm.faultOffset(), header);
	// A header alone is too short for an image: the next that loading complains of.
	if (status !== 4) check(status);
}

function check(status: number): void {
	if (status !== 0)
		throw new ModelError(MESSAGES[status] ?? `status ${status}`, status);
}

function headerError(offset: number, image: Uint8Array): ModelError {
	const found = Object.entries(FIELDS).find(([, at]) => at === offset);
	const field = found?.[0] as keyof typeof FIELDS | undefined;
	if (!field) return new ModelError(MESSAGES[3] as string, 3);
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const isFloat = field === "normEps" || field === "ropeTheta";
	const value = isFloat
		? view.getFloat32(offset, true)
		: view.getUint32(offset, true);
	return new ModelError(
		`${MESSAGES[3]}: ${field} is ${value}, and must be ${FIELD_RULES[field]}`,
		3,
	);
}
