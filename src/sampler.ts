/**
 * Picks tokens from logits.
 *
 * The stages are those of Hugging Face Transformers, in its order: penalties, temperature, top-k,
 * top-p over what top-k left, min-p. Penalties are OpenAI's and count generated tokens only.
 *
 * @module
 */

import type { Sample } from "./engine.ts";

export interface SamplerOptions {
	/** 0 always picks the likeliest token; higher is more varied. */
	temperature: number;
	/** Picks among so many of the likeliest tokens; 0, the default, among all. */
	topK?: number;
	/** Picks among the likeliest tokens that together have this probability (nucleus sampling). */
	topP: number;
	/** Picks among tokens at least this probable, as a share of the likeliest one's probability. */
	minP?: number;
	/** Taken once from the logit of each token that was picked before. */
	presencePenalty?: number;
	/** Taken from a token's logit as often as it was picked before. */
	frequencyPenalty?: number;
	/** The same seed picks the same tokens. Any integer; only its low 32 bits count. */
	seed: number;
}

/** A sampler for one sequence: it remembers what it picked. Ties go to the lower id. */
export function createSampler(options: SamplerOptions): Sample {
	const { presencePenalty = 0, frequencyPenalty = 0 } = options;
	const sample =
		options.temperature === 0 ? argmax : createRandomSampler(options);
	return presencePenalty === 0 && frequencyPenalty === 0
		? sample
		: penalize(sample, presencePenalty, frequencyPenalty);
}

/** The first of the largest. */
export function argmax(logits: Float32Array): number {
	let best = 0;
	for (let i = 1; i < logits.length; i++)
		if ((logits[i] as number) > (logits[best] as number)) best = i;
	return best;
}

function penalize(sample: Sample, presence: number, frequency: number): Sample {
	const counts = new Map<number, number>();
	return (logits) => {
		for (const [token, count] of counts)
			logits[token] = (logits[token] as number) - presence - count * frequency;
		const token = sample(logits);
		counts.set(token, (counts.get(token) ?? 0) + 1);
		return token;
	};
}

function createRandomSampler({
	temperature,
	topK = 0,
	topP,
	minP = 0,
	seed,
}: SamplerOptions): Sample {
	const random = createRandom(seed);
	let ranking: Ranking | undefined;
	return (weights) => {
		softmax(weights, temperature);
		const k = topK > 0 ? Math.min(topK, weights.length) : weights.length;
		if (k === weights.length && topP === 1)
			return pickAbove(weights, minP, random());
		ranking ??= new Ranking(weights.length);
		const total =
			k === weights.length
				? ranking.sortNucleus(weights, topP, minP)
				: ranking.sortTop(weights, k);
		return ranking.pick(weights, topP * total, minP, random());
	};
}

/** In place: probabilities, not yet divided by their sum, of which the largest is 1. */
function softmax(logits: Float32Array, temperature: number): void {
	const peak = logits[argmax(logits)] as number;
	for (let i = 0; i < logits.length; i++)
		logits[i] = Math.exp(((logits[i] as number) - peak) / temperature);
}

/** One of the tokens of at least weight `minP`, in the order of ids. */
function pickAbove(weights: Float32Array, minP: number, random: number) {
	let total = 0;
	for (const weight of weights) if (weight >= minP) total += weight;
	const threshold = total * random;
	let sum = 0;
	let last = 0;
	for (let token = 0; token < weights.length; token++) {
		const weight = weights[token] as number;
		if (weight < minP || weight === 0) continue;
		last = token;
		sum += weight;
		if (sum > threshold) break;
	}
	return last;
}

/** A weight's high bits, by which top-k counts: sign, exponent, three bits of the mantissa. */
const BUCKET_SHIFT = 20;
/** Weights are at most 1. */
const BUCKETS = (0x3f800000 >> BUCKET_SHIFT) + 1;
/** Ids fit below a weight's 32 bits in a double's 53. */
const ID_RANGE = 2 ** 21;

/** Likeliest tokens first. Its buffers serve all tokens of a sequence. */
class Ranking {
	/** Sorted: a weight's bits, which order as the weight does, and below them the id, reversed. */
	readonly #keys: Float64Array<ArrayBuffer>;
	readonly #buckets = new Uint32Array(BUCKETS);
	readonly #float = new Float32Array(1);
	readonly #bits = new Uint32Array(this.#float.buffer);
	#sorted = new Float64Array();

	constructor(vocabSize: number) {
		this.#keys = new Float64Array(vocabSize);
	}

	/** Sorts the tokens that can be in the nucleus. Returns the weight of all. */
	sortNucleus(weights: Float32Array, topP: number, minP: number): number {
		let total = 0;
		for (const weight of weights) total += weight;
		// All tokens below this together cannot have the rest of the probability, so few are sorted. The
		// largest weight is 1.
		const cutoff = Math.min(1, ((1 - topP) * total) / (weights.length - 1));
		this.#sort(weights, Math.max(cutoff, minP));
		return total;
	}

	/** Sorts the `k` largest. Returns their weight. */
	sortTop(weights: Float32Array, k: number): number {
		const buckets = this.#buckets.fill(0);
		for (const weight of weights) {
			const bucket = this.#bitsOf(weight) >>> BUCKET_SHIFT;
			buckets[bucket] = (buckets[bucket] as number) + 1;
		}
		let bucket = BUCKETS;
		for (let counted = 0; counted < k; ) counted += buckets[--bucket] as number;
		this.#bits[0] = bucket << BUCKET_SHIFT;
		this.#sort(weights, this.#float[0] as number);
		this.#sorted = this.#sorted.subarray(this.#sorted.length - k);
		let total = 0;
		for (let rank = 0; rank < k; rank++)
			total += weights[this.#at(rank)] as number;
		return total;
	}

	/** One of the first tokens that together reach `nucleus`, of those of at least weight `minP`. */
	pick(weights: Float32Array, nucleus: number, minP: number, random: number) {
		let kept = 0;
		let mass = 0;
		for (
			;
			kept < this.#sorted.length && (kept === 0 || mass < nucleus);
			kept++
		) {
			const weight = weights[this.#at(kept)] as number;
			if (weight < minP || weight === 0) break;
			mass += weight;
		}
		const threshold = mass * random;
		let sum = 0;
		let rank = 0;
		for (; rank < kept - 1; rank++) {
			sum += weights[this.#at(rank)] as number;
			if (sum > threshold) break;
		}
		return this.#at(rank);
	}

	/** The token of so many likelier ones. */
	#at(rank: number): number {
		const key = this.#sorted[this.#sorted.length - 1 - rank] as number;
		return ID_RANGE - 1 - (key % ID_RANGE);
	}

	#sort(weights: Float32Array, cutoff: number): void {
		let count = 0;
		for (let id = 0; id < weights.length; id++) {
			const weight = weights[id] as number;
			if (weight >= cutoff)
				this.#keys[count++] =
					this.#bitsOf(weight) * ID_RANGE + (ID_RANGE - 1 - id);
		}
		this.#sorted = this.#keys.subarray(0, count).sort();
	}

	#bitsOf(weight: number): number {
		this.#float[0] = weight;
		return this.#bits[0] as number;
	}
}

/** Uniform in [0, 1): xoshiro128** (Blackman and Vigna, 2021), its state filled by splitmix32. */
function createRandom(seed: number): () => number {
	let mixed = seed | 0;
	const state = Uint32Array.from({ length: 4 }, () => {
		mixed = (mixed + 0x9e3779b9) | 0;
		let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return z ^ (z >>> 15);
	});
	const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));
	return () => {
		let [a, b, c, d] = state as unknown as [number, number, number, number];
		const result = Math.imul(rotate(Math.imul(b, 5), 7), 9);
		const shifted = b << 9;
		c ^= a;
		d ^= b;
		b ^= c;
		a ^= d;
		c ^= shifted;
		d = rotate(d, 11);
		state.set([a, b, c, d]);
		return (result >>> 0) / 2 ** 32;
	};
}
