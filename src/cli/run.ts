/**
 * `bitskip run`: writes a text in the terminal.
 *
 * @module
 */

import { parseArgs, styleText } from "node:util";
import { complete } from "../completion.ts";
import { createEngine } from "../engine.ts";
import type { ExitOptions } from "../exit.ts";
import { loadPath } from "../node.ts";
import { createSampler } from "../sampler.ts";
import { isKernel, KERNELS } from "../wasm.ts";
import { type Command, parseNumber, UsageError } from "./command.ts";

const USAGE = `Usage: bitskip run [prompt]

Continues the prompt, token by token; on a terminal coloured by the depth at which each left.

  --model M           an image or a folder; default: the shipped model
  --layer N           leave the model at layer N: prompt and text at one depth
  --gate P            leave where a gate foretells that the exit and the last layer agree so far:
                      above 0, at most 1
  --budget-macs N     spend at most N multiply-accumulates, the prompt's included
  --max-tokens N      default: until the text or the context ends
  --temperature T     default 0.8; 0 always takes the likeliest token
  --top-p P           default 0.95
  --seed N            the same seed writes the same text; default: another each time
  --kernel K          strict, dot8, dot16, or auto (default), the faster of the last two here;
                      all write the same text
`;

/** Of tokens, from those that left first to those that left last. */
const COLORS = ["red", "yellow", "green", "cyan"] as const;

export const run: Command = {
	summary: "continues a prompt in the terminal",
	usage: USAGE,
	run: write,
};

async function write(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			model: { type: "string" },
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
	const number = (
		name: Exclude<keyof typeof values, "model" | "kernel">,
		min: number,
		max: number,
		kind: "integer" | "real" = "integer",
	) => parseNumber(name, values[name] ?? "", min, max, kind);
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
				return { exit: "gate", threshold: number("gate", 0, 1, "real") };
			case "budget-macs":
				return {
					exit: "budget",
					budgetMacs: number("budget-macs", 1, Number.MAX_SAFE_INTEGER, "real"),
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
	const { model, tokenizer } = await loadPath(values.model, { kernel });
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
			temperature: number("temperature", 0, 2, "real"),
			topP: number("top-p", 0.01, 1, "real"),
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
