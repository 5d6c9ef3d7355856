/**
 * The completions API of a loaded model, to be mounted in one's own Hono app.
 *
 * @module
 */

import { createApp } from "../http/app.ts";
import type { TextModel } from "../load.ts";

export { type AppType, createApp } from "../http/app.ts";
export type { Service } from "../http/choice.ts";

/**
 * `app.route("/", completions(model, { modelId: "stories" }))`
 * @param options.macsPerMs MACs in a millisecond of CPU where this runs; without it `budget_ms` is
 *   refused.
 */
export function completions(
	{ engine, tokenizer }: TextModel,
	options: { modelId: string; macsPerMs?: number },
) {
	const service = { engine, tokenizer, ...options };
	return createApp<object>(async () => service);
}
