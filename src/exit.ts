/**
 * When a token leaves the model.
 *
 * @module
 */

import type { ModelConfig } from "./image.ts";

/** How deep a token goes. `full`: all layers. `layer`: every token, the prompt too, leaves at `layer`. */
export type ExitOptions = { exit: "full" } | { exit: "layer"; layer: number };

/** The number, from 0, of the exit at which all tokens of a request leave; undefined if there is none. */
export function exitNumber(
	options: ExitOptions,
	config: ModelConfig,
): number | undefined {
	if (options.exit === "full") return config.exits.length - 1;
	const number = config.exits.indexOf(options.layer);
	return number >= 0 ? number : undefined;
}
