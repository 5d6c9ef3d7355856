/**
 * What the commands of the command line share.
 *
 * @module
 */

/** One command. */
export interface Command {
	/** A line for the list of commands. */
	summary: string;
	/** What `--help` prints. */
	usage: string;
	/**
	 * Does it.
	 * @throws UsageError where the arguments are wrong.
	 */
	run(args: string[]): Promise<void>;
}

/** A mistake in how a command was called: exit code 2. */
export class UsageError extends Error {}

/**
 * The number that option `--name` was given.
 * @throws UsageError where it is not a number from `min` to `max`.
 */
export function parseNumber(
	name: string,
	text: string,
	min: number,
	max: number,
	kind: "integer" | "real" = "integer",
): number {
	const value = Number(text);
	const isOfKind = kind === "real" || Number.isInteger(value);
	if (text.trim() === "" || !(value >= min && value <= max) || !isOfKind)
		throw new UsageError(
			`--${name} is ${text}, and must be ${kind === "real" ? "a" : "a whole"} number from ${min} to ${max}`,
		);
	return value;
}

/** Milliseconds between two reports of progress, on a terminal and in a log. */
const TERMINAL_INTERVAL = 200;
const LOG_INTERVAL = 5000;

/** Says on stderr how far a command is: one line on a terminal, a line now and then in a log. */
export class Progress {
	readonly #begun = performance.now();
	#shown = this.#begun;
	#width = 0;

	/** Milliseconds since the beginning. */
	get elapsed(): number {
		return performance.now() - this.#begun;
	}

	/** @param describe called only when it is time to show something. */
	update(describe: () => string): void {
		const { isTTY } = process.stderr;
		const now = performance.now();
		if (now - this.#shown < (isTTY ? TERMINAL_INTERVAL : LOG_INTERVAL)) return;
		this.#shown = now;
		const text = describe();
		process.stderr.write(isTTY ? `\r${text.padEnd(this.#width)}` : `${text}\n`);
		this.#width = text.length;
	}

	/** Clears the line. */
	end(): void {
		if (this.#width > 0 && process.stderr.isTTY)
			process.stderr.write(`\r${" ".repeat(this.#width)}\r`);
	}
}
