/**
 * The header of a packed model image. docs/model-format.md describes the file; the engine's own
 * reading of it, which verifies everything, is assembly/image.ts.
 *
 * @module
 */

/** What a model image says about its model; field names follow llama2.c. */
export interface ModelConfig {
	/** Width of the residual stream. */
	dim: number;
	/** Width of the gated feed-forward network. */
	hiddenDim: number;
	nLayers: number;
	nHeads: number;
	nKvHeads: number;
	vocabSize: number;
	/** Longest sequence, prompt and completion together, in tokens. */
	maxSeqLen: number;
	/** Depths (in layers, ascending) after which a token may leave; the last is `nLayers`. */
	exits: number[];
	/** Hidden units of an exit's gate; 0 where the model has no gates. */
	gateDim: number;
	weights: "ternary" | "f32";
	/** Bits of a quantised activation (8 or 4); 32 means not quantised. */
	activationBits: 4 | 8 | 32;
	/** Inputs of linear layers that pass a Hadamard transform. */
	hadamard: HadamardPlace[];
	normEps: number;
	ropeTheta: number;
	bosTokenId: number;
	eosTokenId: number;
}

/** In the order of their bits. */
export const HADAMARD_PLACES = ["qkv", "o", "gate_up", "down"] as const;
export type HadamardPlace = (typeof HADAMARD_PLACES)[number];

export const MAGIC = "BITSKIP\0";
export const VERSION = 2;
export const HEADER_SIZE = 256;
export const MAX_EXITS = 32;

/** Byte offsets of the header's fields, in their order in the file. */
export const FIELDS = {
	version: 8,
	size: 12,
	checksum: 16,
	dim: 20,
	hiddenDim: 24,
	nLayers: 28,
	nHeads: 32,
	nKvHeads: 36,
	vocabSize: 40,
	maxSeqLen: 44,
	weights: 48,
	activationBits: 52,
	hadamard: 56,
	normEps: 60,
	ropeTheta: 64,
	bosTokenId: 68,
	eosTokenId: 72,
	nExits: 76,
	exits: 80,
	gateDim: 208,
} as const;

/** What each field may hold, for messages about those that do not. */
export const FIELD_RULES: Partial<Record<keyof typeof FIELDS, string>> = {
	dim: "a multiple of 64, at most 16384",
	hiddenDim: "a multiple of 64, at most 65536",
	nLayers: "1 to 1024",
	nHeads: "a divisor of dim that leaves heads of a multiple of 16",
	nKvHeads:
		"a divisor of nHeads that leaves keys of a multiple of 32 (heads times their width)",
	vocabSize: "1 to 1048576",
	maxSeqLen: "1 to 65536",
	weights: "0 (ternary) or 1 (f32)",
	activationBits: "8 or 4 for ternary weights, 32 for f32",
	hadamard:
		"a sum of 1 (qkv), 2 (o), 4 (gate_up), 8 (down), on widths that are powers of two",
	normEps: "between 0 and 1",
	ropeTheta: "1 to 1e9",
	bosTokenId: "below vocabSize",
	eosTokenId: "below vocabSize",
	nExits: "1 to 32",
	exits: "ascending depths, the last of them nLayers",
	gateDim: "a multiple of 32, at most 1024; 0 for no gates",
};

/** The config in the header of `image`, whose magic and version the engine has verified. */
export function readConfig(image: Uint8Array): ModelConfig {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const u32 = (field: keyof typeof FIELDS) =>
		view.getUint32(FIELDS[field], true);
	const f32 = (field: keyof typeof FIELDS) =>
		view.getFloat32(FIELDS[field], true);
	return {
		dim: u32("dim"),
		hiddenDim: u32("hiddenDim"),
		nLayers: u32("nLayers"),
		nHeads: u32("nHeads"),
		nKvHeads: u32("nKvHeads"),
		vocabSize: u32("vocabSize"),
		maxSeqLen: u32("maxSeqLen"),
		exits: Array.from({ length: u32("nExits") }, (_, i) =>
			view.getUint32(FIELDS.exits + 4 * i, true),
		),
		gateDim: u32("gateDim"),
		weights: u32("weights") === 0 ? "ternary" : "f32",
		activationBits: u32("activationBits") as ModelConfig["activationBits"],
		hadamard: HADAMARD_PLACES.filter((_, i) => u32("hadamard") & (1 << i)),
		normEps: f32("normEps"),
		ropeTheta: f32("ropeTheta"),
		bosTokenId: u32("bosTokenId"),
		eosTokenId: u32("eosTokenId"),
	};
}

/** Names a model's bits: the checksum in its image's header. */
export function readFingerprint(image: Uint8Array): string {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const checksum = view.getUint32(FIELDS.checksum, true);
	return `fp_${checksum.toString(16).padStart(8, "0")}`;
}

/** Writes all of the header but `size` and `checksum`. */
export function writeConfig(image: Uint8Array, config: ModelConfig): void {
	const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
	const u32 = (field: keyof typeof FIELDS, value: number) =>
		view.setUint32(FIELDS[field], value, true);
	image.set(new TextEncoder().encode(MAGIC), 0);
	u32("version", VERSION);
	u32("dim", config.dim);
	u32("hiddenDim", config.hiddenDim);
	u32("nLayers", config.nLayers);
	u32("nHeads", config.nHeads);
	u32("nKvHeads", config.nKvHeads);
	u32("vocabSize", config.vocabSize);
	u32("maxSeqLen", config.maxSeqLen);
	u32("weights", config.weights === "ternary" ? 0 : 1);
	u32("activationBits", config.activationBits);
	u32(
		"hadamard",
		config.hadamard.reduce(
			(mask, place) => mask | (1 << HADAMARD_PLACES.indexOf(place)),
			0,
		),
	);
	view.setFloat32(FIELDS.normEps, config.normEps, true);
	view.setFloat32(FIELDS.ropeTheta, config.ropeTheta, true);
	u32("bosTokenId", config.bosTokenId);
	u32("eosTokenId", config.eosTokenId);
	u32("nExits", config.exits.length);
	u32("gateDim", config.gateDim);
	config.exits.forEach((depth, i) => {
		view.setUint32(FIELDS.exits + 4 * i, depth, true);
	});
}
