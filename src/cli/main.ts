#!/usr/bin/env node
/**
 * The command line. Exit codes: 0 done, 1 failed, 2 called wrongly.
 *
 * @module
 */

import { EngineError } from "../engine.ts";
import { ExitError } from "../exit.ts";
import { ModelError } from "../wasm.ts";
import { type Command, UsageError } from "./command.ts";
import { evaluate } from "./eval.ts";
import { inspect } from "./inspect.ts";
import { pack } from "./pack.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";

const COMMANDS: Record<string, Command> = {
	run,
	serve,
	pack,
	inspect,
	eval: evaluate,
};

const USAGE = `Usage: bitskip <command>

${Object.entries(COMMANDS)
	.map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}\n`)
	.join("")}
bitskip <command> --help says more.
`;

/** Whether an error is about what was given, and needs no stack trace. */
function isExplained(error: unknown): boolean {
	return (
		error instanceof EngineError ||
		error instanceof ExitError ||
		error instanceof ModelError ||
		error instanceof RangeError ||
		typeof (error as NodeJS.ErrnoException).syscall === "string"
	);
}

async function main([name = "", ...args]: string[]): Promise<number> {
	const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
	const asksHelp = (words: string[]) =>
		words
			.slice(0, words.includes("--") ? words.indexOf("--") : words.length)
			.some((word) => word === "--help" || word === "-h");
	if (!command) {
		const asked = asksHelp([name]);
		if (name && !asked) process.stderr.write(`no command ${name}\n`);
		(asked ? process.stdout : process.stderr).write(USAGE);
		return asked ? 0 : 2;
	}
	if (asksHelp(args)) {
		process.stdout.write(command.usage);
		return 0;
	}
	try {
		await command.run(args);
		return 0;
	} catch (error) {
		const { message, stack, code } = error as NodeJS.ErrnoException;
		if (error instanceof UsageError || code?.startsWith("ERR_PARSE_ARGS")) {
			process.stderr.write(
				`${message}\n\`bitskip ${name} --help\` says how to call it.\n`,
			);
			return 2;
		}
		process.stderr.write(isExplained(error) ? `${message}\n` : `${stack}\n`);
		return 1;
	}
}

process.exitCode = await main(process.argv.slice(2));
