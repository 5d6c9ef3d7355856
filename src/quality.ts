/**
 * A model's quality by the engine itself: how well each exit predicts a text, and at what cost.
 *
 * @module
 */

import { headMacs, layerMacs } from "./cost.ts";
import { argmax } from "./sampler.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { Model } from "./wasm.ts";

export interface ExitQuality {
	/** Depth, in layers. */
	layer: number;
	bitsPerByte: number;
	/** Per token: comparable only between models of one tokenizer. */
	perplexity: number;
	/** Share of positions whose top token is the last layer's. */
	agreement: number;
	/** Mean over all positions, of a token that leaves here, head included. */
	macsPerToken: number;
}

export interface Quality {
	stories: number;
	tokens: number;
	bytes: number;
	exits: ExitQuality[];
}

/** Stories of a text file that separates them by `<|endoftext|>`. */
export function splitStories(text: string): string[] {
	return text
		.split("<|endoftext|>")
		.map((story) => story.trim())
		.filter(Boolean);
}

/**
 * Each story stands alone, begun and ended by the end-of-text token, which is predicted too; what does
 * not fit the context is left out, text and bytes alike.
 * @param onStory called after each with the number done and the tokens so far.
 */
export function measureQuality(
	model: Model,
	tokenizer: Tokenizer,
	stories: readonly string[],
	onStory: (done: number, tokens: number) => void = () => {},
): Quality {
	const { config } = model;
	const sums = config.exits.map(() => ({ nats: 0, agree: 0, macs: 0 }));
	let tokens = 0;
	let bytes = 0;
	for (const [i, story] of stories.entries()) {
		const ids = [
			config.bosTokenId,
			...tokenizer.encode(story),
			config.eosTokenId,
		];
		const fed = Math.min(ids.length - 1, config.maxSeqLen);
		for (let at = 0; at < fed; at += model.maxBatch) {
			const count = Math.min(model.maxBatch, fed - at);
			for (let slot = 0; slot < count; slot++)
				model.embed(slot, ids[at + slot] as number);
			const tops: number[][] = [];
			for (let l = 0; l < config.nLayers; l++) {
				model.layer(0, l, at, count);
				const exit = config.exits.indexOf(l + 1);
				const sum = sums[exit];
				if (!sum) continue;
				const top: number[] = [];
				for (let slot = 0; slot < count; slot++) {
					const logits = model.head(exit, slot);
					sum.nats += crossEntropy(logits, ids[at + slot + 1] as number);
					sum.macs += headMacs(config) + (l + 1) * layerMacs(config, at + slot);
					top.push(argmax(logits));
				}
				tops.push(top);
			}
			const last = tops.at(-1) as number[];
			for (const [exit, top] of tops.entries())
				(sums[exit] as { agree: number }).agree += top.filter(
					(id, slot) => id === last[slot],
				).length;
		}
		tokens += fed;
		const text = tokenizer.decoder();
		const covered = ids
			.slice(1, fed + 1)
			.map((id) => text.push(id))
			.join("");
		bytes += Buffer.byteLength(covered + text.end());
		onStory(i + 1, tokens);
	}
	const exits = sums.map(({ nats, agree, macs }, exit) => ({
		layer: config.exits[exit] as number,
		bitsPerByte: nats / Math.LN2 / bytes,
		perplexity: Math.exp(nats / tokens),
		agreement: agree / tokens,
		macsPerToken: macs / tokens,
	}));
	return { stories: stories.length, tokens, bytes, exits };
}

/** -ln softmax(logits)[target] */
export function crossEntropy(logits: Float32Array, target: number): number {
	const peak = logits[argmax(logits)] as number;
	let sum = 0;
	for (const logit of logits) sum += Math.exp(logit - peak);
	return Math.log(sum) + peak - (logits[target] as number);
}
