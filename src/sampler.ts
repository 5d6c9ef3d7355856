/**
 * Picks tokens from logits.
 *
 * @module
 */

import type { Sample } from "./engine.ts";

export interface SamplerOptions {
	/** 0 always picks the likeliest token; higher is more varied. */
	temperature: number;
	/** Picks among the likeliest tokens that together have this probability (nucleus sampling). */
	topP: number;
	/** Picks among so many of the likeliest tokens; 0, the default: among all. */
	topK?: number;
	/** Picks among tokens that have at least this share of the likeliest one's probability. Default 0. */
	minP?: number;
	/** Taken from the logit of each token that was picked before. Default 0. */
	presencePenalty?: number;
	/** Taken from a token's logit for each time that it was picked before. Default 0. */
	frequencyPenalty?: number;
	/** The same seed picks the same tokens. Any integer; only its low 32 bits count. */
	seed: number;
}

/**
 * A sampler for one completion; it remembers what it has picked. The stages are those of OpenAI's API and,
 * for top-k and min-p, of Hugging Face's: penalties, temperature, top-k, top-p (Holtzman et al., 2020) of
 * what is left, min-p (Nguyen et al., 2024).
 */
export function createSampler({
	temperature,
	topP,
	topK = 0,
	minP = 0,
	presencePenalty = 0,
	frequencyPenalty = 0,
	seed,
}: SamplerOptions): Sample {
	const random = createRandom(seed);
	const picked = new Map<number, number>();
	const hasPenalty = presencePenalty !== 0 || frequencyPenalty !== 0;
	const pickFrom = (logits: Float32Array): number => {
		if (temperature === 0) return argmax(logits);
		softmax(logits, temperature);
		return topP < 1 || topK > 0 || minP > 0
			? sampleTop(logits, { topK, topP, minP }, random())
			: sampleAll(logits, random());
	};
	if (!hasPenalty) return pickFrom;
	return (logits) => {
		for (const [token, count] of picked) {
			const penalty = presencePenalty + count * frequencyPenalty;
			logits[token] = (logits[token] as number) - penalty;
		}
		const token = pickFrom(logits);
		picked.set(token, (picked.get(token) ?? 0) + 1);
		return token;
	};
}

/** A token's natural log-probability, and those of the likeliest ones, the likeliest first. */
export interface LogProbabilities {
	chosen: number;
	top: { token: number; logprob: number }[];
}

/** Log-probabilities of the model itself, before any sampler: of `token` and of the `count` likeliest. */
export function logProbabilities(
	logits: Float32Array,
	token: number,
	count: number,
): LogProbabilities {
	const peak = logits[argmax(logits)] as number;
	let total = 0;
	for (const logit of logits) total += Math.exp(logit - peak);
	const offset = peak + Math.log(total);
	const logprob = (id: number) => (logits[id] as number) - offset;
	return {
		chosen: logprob(token),
		top: largest(logits, count).map((id) => ({
			token: id,
			logprob: logprob(id),
		})),
	};
}

/** The first of the largest. */
export function argmax(logits: Float32Array): number {
	let best = 0;
	for (let i = 1; i < logits.length; i++)
		if ((logits[i] as number) > (logits[best] as number)) best = i;
	return best;
}

/** In place: probabilities, not yet divided by their sum, of which the largest is 1. */
function softmax(logits: Float32Array, temperature: number): void {
	const peak = logits[argmax(logits)] as number;
	for (let i = 0; i < logits.length; i++)
		logits[i] = Math.exp(((logits[i] as number) - peak) / temperature);
}

function sampleAll(weights: Float32Array, random: number): number {
	let total = 0;
	for (const weight of weights) total += weight;
	return pick(weights.keys(), weights, total * random);
}

/** Of weights of which the largest is 1. */
function sampleTop(
	weights: Float32Array,
	{ topK, topP, minP }: { topK: number; topP: number; minP: number },
	random: number,
): number {
	const isCut = topK > 0 && topK < weights.length;
	let order: number[];
	let total = 0;
	if (isCut) {
		order = largest(weights, topK);
		for (const token of order) total += weights[token] as number;
	} else {
		for (const weight of weights) total += weight;
		// All tokens below this together cannot have the rest of the probability, so few are sorted.
		const cutoff = ((1 - topP) * total) / (weights.length - 1);
		order = heaviest(weights, Math.min(1, Math.max(cutoff, minP)));
	}
	let kept = 0;
	let mass = 0;
	while (kept < order.length && mass < topP * total) {
		const weight = weights[order[kept] as number] as number;
		if (weight < minP) break;
		mass += weight;
		kept++;
	}
	return pick(order.slice(0, Math.max(kept, 1)), weights, mass * random);
}

/** The `count` largest, the largest first; of equals, the first. */
function largest(values: Float32Array, count: number): number[] {
	if (count === 0) return [];
	const sorted = values.slice().sort();
	const least = sorted[Math.max(values.length - count, 0)] as number;
	return heaviest(values, least).slice(0, count);
}

/** All from `cutoff` on, the largest first; of equals, the first. */
function heaviest(values: Float32Array, cutoff: number): number[] {
	const tokens: number[] = [];
	for (let i = 0; i < values.length; i++)
		if ((values[i] as number) >= cutoff) tokens.push(i);
	return tokens.sort(
		(a, b) => (values[b] as number) - (values[a] as number) || a - b,
	);
}

/** The token at which the running sum of weights passes `threshold`. */
function pick(
	tokens: Iterable<number>,
	weights: Float32Array,
	threshold: number,
): number {
	let sum = 0;
	let last = 0;
	for (const token of tokens) {
		const weight = weights[token] as number;
		if (weight > 0) last = token;
		sum += weight;
		if (sum > threshold) return token;
	}
	return last;
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
