/**
 * The sequences of a model, each with room for one text's keys and values, and what they still hold from
 * earlier requests.
 *
 * @module
 */

/** One sequence: which tokens' keys and values it holds, and how many layers made them. */
export class Sequence {
	/** By position. */
	readonly #tokens: number[] = [];
	/** By position: layers 0 to depth - 1 ran for this token, one after the other. */
	readonly #depths: number[] = [];
	/** Whose request wrote it. */
	scope: string | undefined;
	readonly number: number;

	constructor(number: number) {
		this.number = number;
	}

	/** Tokens held. */
	get length(): number {
		return this.#tokens.length;
	}

	/**
	 * How many tokens of `prompt`, from its first, need not run again to have keys and values in the first
	 * `depth` layers. All of them ran through so many layers, none beside a token that skipped one of these:
	 * so they are what a fresh run would store, bit by bit.
	 */
	prefix(prompt: readonly number[], depth: number): number {
		let length = 0;
		while (
			length < prompt.length &&
			this.#tokens[length] === prompt[length] &&
			(this.#depths[length] as number) >= depth
		)
			length++;
		return length;
	}

	/** Tokens that go to `position` and on; all that was held there and behind is void. */
	write(tokens: readonly number[], position: number): void {
		this.#tokens.splice(position, Infinity, ...tokens);
		this.#depths.splice(position, Infinity, ...tokens.map(() => 0));
	}

	/** Layers up to `depth` have run for `count` tokens at `position` and on. */
	ran(position: number, count: number, depth: number): void {
		this.#depths.fill(depth, position, position + count);
	}
}

/** How often those who wait for a sequence look again. */
const WAIT_MS = 2;

/**
 * Hands out sequences; who finds none waits in line. Waiting is done by a timer of one's own, not by a
 * promise that whoever gives back resolves: a Worker cancels a request that waits for nothing but another
 * request.
 */
export class SequencePool {
	/** The least recently used first. */
	readonly #free: Sequence[];
	readonly #line: object[] = [];

	constructor(count: number) {
		this.#free = Array.from({ length: count }, (_, i) => new Sequence(i));
	}

	/**
	 * The sequence that spares `prompt` the most work, and how many of its tokens need not run. The last one
	 * always runs: its state has to be there.
	 * @param depth layers that the prompt runs through.
	 * @param scope whose request it is: nobody sees by the work done what another has asked.
	 */
	async take(
		prompt: readonly number[],
		depth: number,
		scope?: string,
		signal?: AbortSignal,
	): Promise<{ sequence: Sequence; reused: number }> {
		const ticket = {};
		this.#line.push(ticket);
		try {
			for (;;) {
				signal?.throwIfAborted();
				if (this.#line[0] === ticket && this.#free.length > 0)
					return this.#pick(prompt.slice(0, -1), depth, scope);
				await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
			}
		} finally {
			this.#line.splice(this.#line.indexOf(ticket), 1);
		}
	}

	giveBack(sequence: Sequence): void {
		this.#free.push(sequence);
	}

	/**
	 * The longest common prefix, where it is at least half of what the sequence holds; else the least
	 * recently used. A few common first words are not worth another's long text.
	 */
	#pick(prompt: readonly number[], depth: number, scope: string | undefined) {
		const prefix = (sequence: Sequence) =>
			sequence.scope === scope ? sequence.prefix(prompt, depth) : 0;
		let [best, longest] = [0, 0];
		this.#free.forEach((sequence, at) => {
			const length = prefix(sequence);
			if (length > longest && 2 * length >= sequence.length)
				[best, longest] = [at, length];
		});
		const [sequence] = this.#free.splice(best, 1) as [Sequence];
		const reused = prefix(sequence);
		sequence.scope = scope;
		return { sequence, reused };
	}
}
