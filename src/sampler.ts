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
	/** The same seed picks the same tokens. Any integer; only its low 32 bits count. */
	seed: number;
}

/** Nucleus sampling after Holtzman et al. (2020), by a seeded generator of its own. */
export function createSampler({
	temperature,
	topP,
	seed,
}: SamplerOptions): Sample {
	if (temperature === 0) return argmax;
	const random = createRandom(seed);
	return (logits) => {
		softmax(logits, temperature);
		return topP < 1
			? sampleTop(logits, topP, random())
			: sampleAll(logits, random());
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

function sampleTop(
	weights: Float32Array,
	topP: number,
	random: number,
): number {
	let total = 0;
	for (const weight of weights) total += weight;
	// All tokens below this together cannot have the rest of the probability, so few are sorted. The
	// largest weight is 1.
	const cutoff = Math.min(1, ((1 - topP) * total) / (weights.length - 1));
	const candidates: number[] = [];
	for (let i = 0; i < weights.length; i++)
		if ((weights[i] as number) >= cutoff) candidates.push(i);
	const order = candidates.sort(
		(a, b) => (weights[b] as number) - (weights[a] as number) || a - b,
	);
	let kept = 0;
	let mass = 0;
	while (kept < order.length && mass < topP * total)
		mass += weights[order[kept++] as number] as number;
	return pick(order.slice(0, Math.max(kept, 1)), weights, mass * random);
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
