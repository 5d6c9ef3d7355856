/**
 * What the model itself thought of tokens, before any sampler.
 *
 * @module
 */

import { argmax } from "./sampler.ts";

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
