/**
 * The command line: `bitskip story` and `bitskip pack`.
 *
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, styleText } from "node:util";
import { complete } from "./completion.ts";
import { createEngine, EngineError } from "./engine.ts";
import { ExitError, type ExitOptions } from "./exit.ts";
import { loadStories } from "./node.ts";
import { pack } from "./pack.ts";
import { createSampler } from "./sampler.ts";
import { isKernel, KERNELS, ModelError } from "./wasm.ts";

const USAGE = `Usage:
  story [prompt]            writes a story, token by token; on a terminal coloured by the depth at which
                            each left
    --layer N               leave the model at layer N: prompt and story at one depth
    --gate P                leave where a gate foretells that the exit and the last layer agree so far:
                            above 0, at most 1
    --budget-macs N         spend at most N multiply-accumulates, the prompt's included
    --max-tokens N          default: until the story or the context ends
    --temperature T         default 0.8; 0 always takes the likeliest token
    --top-p P               default 0.95
    --seed N                the same seed writes the same story; default: another each time
    --kernel K              strict, dot8, dot16, or auto (default), the faster of the last two here;
                            all write the same story
  pack <folder> <image>     packs a Hugging Face bitnet folder; its tokenizer goes beside the image
`;

/** Of tokens, from those that left first to those that left last. */
const COLORS = ["red", "yellow", "green", "cyan"] as const;

/** A mistake of the user's: shown without a stack trace. */
class UsageError extends Error {}

async function story(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			layer: { type: "string" },
			gate: { type: "string" },
			"budget-macs": { type: "string" },
			"max-tokens": { type: "string" },
			temperature: { type: "string", default: "0.8" },
			"top-p": { type: "string", default: "0.95" },
			seed: { type: "string" },
			kernel: { type: "string", default: "auto" },
		},
	});
	const number = (name: keyof typeof values, min: number, max: number) => {
		const value = Number(values[name]);
		if (values[name] === "" || !(value >= min && value <= max))
			throw new UsageError(
				`--${name} is ${values[name]}, and must be a number from ${min} to ${max}`,
			);
		return value;
	};
	const exitOptions = (): ExitOptions => {
		const given = (["layer", "gate", "budget-macs"] as const).filter(
			(name) => values[name] !== undefined,
		);
		if (given.length > 1)
			throw new UsageError(`give one of --${given.join(", --")}, not all`);
		switch (given[0]) {
			case "layer":
				return { exit: "layer", layer: number("layer", 1, 1024) };
			case "gate":
				return { exit: "gate", threshold: number("gate", 0, 1) };
			case "budget-macs":
				return {
					exit: "budget",
					budgetMacs: number("budget-macs", 1, Number.MAX_SAFE_INTEGER),
				};
			default:
				return { exit: "full" };
		}
	};
	const { kernel } = values;
	if (kernel !== "auto" && !isKernel(kernel))
		throw new UsageError(
			`--kernel is ${kernel}, and must be auto, ${KERNELS.join(", ")}`,
		);
	const seed =
		values.seed === undefined
			? Math.floor(Math.random() * 2 ** 32)
			: number("seed", 0, 2 ** 32 - 1);
	const { model, tokenizer } = await loadStories({ kernel });
	const { config } = model;
	/** By depth; on a terminal only, and there as NO_COLOR and FORCE_COLOR say. */
	const inColor = (text: string, layer = config.nLayers) => {
		const exit = config.exits.indexOf(layer);
		const shade = (exit + 1) / config.exits.length;
		const color = COLORS[Math.ceil(shade * COLORS.length) - 1] ?? "reset";
		return styleText(color, text);
	};
	const prompt = positionals.join(" ");
	const begun = performance.now();
	let firstToken = 0;
	const pieces = complete(createEngine(model), tokenizer, prompt, {
		maxTokens:
			values["max-tokens"] === undefined
				? config.maxSeqLen
				: number("max-tokens", 1, config.maxSeqLen),
		sample: createSampler({
			temperature: number("temperature", 0, 2),
			topP: number("top-p", 0.01, 1),
			seed,
		}),
		exit: exitOptions(),
	});
	for (;;) {
		const { value, done } = await pieces.next();
		if (firstToken === 0) {
			firstToken = performance.now();
			process.stdout.write(prompt);
		}
		if (!done) {
			process.stdout.write(inColor(value.text, value.exitLayer));
			continue;
		}
		const ms = performance.now() - firstToken;
		const rate = ((value.completionTokens - 1) / ms) * 1000;
		const depths = Object.entries(value.exitLayers)
			.map(
				([layer, count]) =>
					`${count} at ${inColor(`layer ${layer}`, Number(layer))} of ${config.nLayers}`,
			)
			.join(", ");
		process.stderr.write(
			`\n\n${value.completionTokens} tokens (${value.budgetExhausted ? "budget exhausted" : value.finishReason}), ${rate.toFixed(0)} tokens/s, ` +
				`first after ${(firstToken - begun).toFixed(1)} ms; left ${depths || "nowhere"}; ` +
				`${(value.macs / 1e6).toFixed(1)} of ${(value.macsFull / 1e6).toFixed(1)} million MACs; ` +
				`seed ${seed}, ${model.kernel} kernel\n`,
		);
		return;
	}
}

async function packFolder(args: string[]): Promise<void> {
	const { positionals } = parseArgs({ args, allowPositionals: true });
	const [folder, output] = positionals;
	if (!folder || !output || positionals.length > 2)
		throw new UsageError("pack needs a folder and the name of the image");
	const read = async (name: string) => {
		try {
			return await readFile(join(folder, name));
		} catch (error) {
			throw new UsageError(`cannot read ${name}: ${(error as Error).message}`);
		}
	};
	const config: unknown = JSON.parse((await read("config.json")).toString());
	const image = pack(config, await read("model.safetensors"));
	await writeFile(output, image);
	await writeFile(
		output.replace(/(\.bitskip)?$/, ".tokenizer.json"),
		await read("tokenizer.json"),
	);
}

const COMMANDS: Record<string, (args: string[]) => Promise<void>> = {
	story,
	pack: packFolder,
};

const [name = "", ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command) {
	const asked = name === "--help" || name === "-h";
	(asked ? process.stdout : process.stderr).write(USAGE);
	process.exit(asked ? 0 : 2);
}
try {
	await command(args);
} catch (error) {
	const isMistake =
		error instanceof UsageError ||
		error instanceof EngineError ||
		error instanceof ExitError ||
		error instanceof ModelError ||
		error instanceof RangeError ||
		error instanceof SyntaxError ||
		(error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
	process.stderr.write(
		isMistake ? `${(error as Error).message}\n` : `${(error as Error).stack}\n`,
	);
	process.exit(isMistake ? 2 : 1);
}
