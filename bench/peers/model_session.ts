/**
 * Our engine as one of the peers, at full depth.
 *
 * @module
 */

import type { Model } from "../../src/wasm.ts";
import type { Session } from "./session.ts";

export function modelSession(model: Model): Session {
	const { nLayers, exits } = model.config;
	const last = exits.length - 1;
	let logits: Float32Array = new Float32Array();
	const run = (ids: number[], position: number) => {
		for (const [slot, id] of ids.entries()) model.embed(slot, id);
		for (let l = 0; l < nLayers; l++) model.layer(0, l, position, ids.length);
	};
	return {
		prefill(ids) {
			let slot = 0;
			for (let at = 0; at < ids.length; at += model.maxBatch) {
				const batch = ids.slice(at, at + model.maxBatch);
				run(batch, at);
				slot = batch.length - 1;
			}
			logits = model.head(last, slot);
		},
		decode(id, position) {
			run([id], position);
			logits = model.head(last, 0);
		},
		logits: () => logits,
	};
}
