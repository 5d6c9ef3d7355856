/**
 * One request's way through the model: which layers a token runs, what is done about the keys and values
 * of those it skips, and what it all costs.
 *
 * @module
 */

import { gateMacs, headMacs, tokenMacs, tokensMacs } from "./cost.ts";
import type { ExitPolicy } from "./exit.ts";
import type { Sequence } from "./sequences.ts";
import type { Model } from "./wasm.ts";

/** A token that left the model and may have to go on later. */
interface Pending {
	position: number;
	/** The state that left, (dim). */
	row: Float32Array;
	exit: number;
}

export class Run {
	/** Multiply-accumulates computed so far. */
	macs = 0;
	/** What tokens that need not run would have taken: plans count them as spent, or they would differ. */
	macsReused = 0;
	/** What all tokens would have cost at full depth. */
	macsFull = 0;
	/** The number of the exit at which the last token left. */
	exit: number;
	readonly #model: Model;
	readonly #sequence: Sequence;
	readonly #policy: ExitPolicy;
	/** The last token's row. */
	#slot = 0;
	/** Of ascending positions, the last of them the last token's, and of exits that do not ascend. */
	#pending: Pending[] = [];

	constructor(model: Model, sequence: Sequence, policy: ExitPolicy) {
		this.#model = model;
		this.#sequence = sequence;
		this.#policy = policy;
		this.exit = policy.promptExit;
	}

	/** Takes the prompt's first `count` tokens as run to its exit, as the sequence holds them. */
	reuse(count: number): void {
		const { config } = this.#model;
		this.macsReused = tokensMacs(config, 0, count, this.#depth(this.exit));
		this.macsFull = tokensMacs(config, 0, count, config.nLayers);
	}

	/** Runs a piece of the prompt, at most maxBatch tokens at `position` and on, to the prompt's exit. */
	prompt(tokens: readonly number[], position: number): void {
		this.#embed(tokens, position);
		this.#layers(0, this.#depth(this.exit), position, tokens.length);
		this.#slot = tokens.length - 1;
	}

	/** Runs a token to exit `limit`, or to an earlier one whose gate opens. */
	token(token: number, position: number, limit: number): void {
		const catchesUp = this.#policy.skipped === "catch-up";
		this.#embed([token], position);
		this.#layers(0, this.#depth(0), position, 1);
		this.#slot = 0;
		this.exit = 0;
		if (catchesUp) this.#wait(position);
		while (!this.#leaves(limit)) {
			const [from, to] = [this.#depth(this.exit), this.#depth(this.exit + 1)];
			if (catchesUp) this.#catchUp(from, to);
			else this.#layers(from, to, position, 1);
			this.exit++;
		}
		if (this.#policy.skipped === "propagate") this.#propagate(position);
	}

	/** The logits, (vocabSize), of the last token: a view, valid until the next call. */
	logits(): Float32Array {
		this.macs += headMacs(this.#model.config);
		this.macsFull += headMacs(this.#model.config);
		return this.#model.head(this.exit, this.#slot);
	}

	#embed(tokens: readonly number[], position: number): void {
		const { config } = this.#model;
		this.#sequence.write(tokens, position);
		tokens.forEach((token, slot) => {
			this.#model.embed(slot, token);
		});
		const end = position + tokens.length;
		this.macsFull += tokensMacs(config, position, end, config.nLayers);
	}

	/** Runs layers `from` to `to` - 1 for rows 0 to count - 1. */
	#layers(from: number, to: number, position: number, count: number): void {
		for (let l = from; l < to; l++)
			this.#model.layer(this.#sequence.number, l, position, count);
		this.#sequence.ran(position, count, to);
		const { config } = this.#model;
		this.macs += tokensMacs(config, position, position + count, to - from);
	}

	/** Whether the token in the last row leaves at `exit`. */
	#leaves(limit: number): boolean {
		if (this.exit >= limit) return true;
		const { firstGate, gateLogit } = this.#policy;
		if (this.exit < firstGate) return false;
		this.macs += gateMacs(this.#model.config);
		return this.#model.gate(this.exit, this.#slot) >= gateLogit;
	}

	#propagate(position: number): void {
		const [from, to] = [this.exit, this.#policy.promptExit].map((exit) =>
			this.#depth(exit),
		) as [number, number];
		for (let l = from; l < to; l++)
			this.#model.keyValue(this.#sequence.number, l, position, 1);
		this.macs += tokenMacs(this.#model.config, position, 0, to - from);
	}

	/** Keeps the last token's state at the first exit, for layers it may need later. */
	#wait(position: number): void {
		const { hidden, config } = this.#model;
		const last = config.exits.length - 1;
		this.#pending = this.#pending.filter(({ exit }) => exit < last);
		const row = hidden.slice(0, config.dim);
		this.#pending.push({ position, row, exit: 0 });
	}

	/**
	 * Takes the last token through layers `from` to `to` - 1, and all who wait before them. These are the
	 * last of the row: whoever went deeper took all before along, so exits do not ascend with positions.
	 */
	#catchUp(from: number, to: number): void {
		const { hidden, maxBatch, config } = this.#model;
		const { dim } = config;
		let at = this.#pending.findIndex(({ exit }) => exit === this.exit);
		for (; at < this.#pending.length; at += maxBatch) {
			const batch = this.#pending.slice(at, at + maxBatch);
			batch.forEach(({ row }, slot) => {
				hidden.set(row, slot * dim);
			});
			const { position } = batch[0] as Pending;
			this.#layers(from, to, position, batch.length);
			batch.forEach((pending, slot) => {
				pending.row.set(hidden.subarray(slot * dim, (slot + 1) * dim));
				pending.exit++;
			});
			this.#slot = batch.length - 1;
		}
	}

	#depth(exit: number): number {
		return this.#model.config.exits[exit] as number;
	}
}
