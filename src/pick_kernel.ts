/**
 * Chooses between the relaxed build's kernels where a clock runs while one computes: not in a
 * deployed Worker.
 *
 * @module
 */

import type { Kernel, Model } from "./wasm.ts";

const CANDIDATES: Kernel[] = ["dot8", "dot16"];
const ROUNDS = 5;
/** Layers a round: a tenth of a millisecond or so. */
const LAYERS = 24;

/**
 * Times each kernel on the first layers, taking turns, and leaves the faster one set.
 * @param rounds of each kernel; the best one counts.
 */
export function pickKernel(model: Model, rounds = ROUNDS): Kernel {
	const { nLayers } = model.config;
	const best = new Map<Kernel, number>();
	model.embed(0, 0);
	for (let round = 0; round < rounds; round++)
		for (const kernel of CANDIDATES) {
			model.setKernel(kernel);
			const begun = performance.now();
			for (let l = 0; l < LAYERS; l++) model.layer(0, l % nLayers, 0, 1);
			const ms = performance.now() - begun;
			best.set(
				kernel,
				Math.min(ms, best.get(kernel) ?? Number.POSITIVE_INFINITY),
			);
		}
	const faster = CANDIDATES.toSorted(
		(a, b) => (best.get(a) as number) - (best.get(b) as number),
	)[0] as Kernel;
	model.setKernel(faster);
	return faster;
}
