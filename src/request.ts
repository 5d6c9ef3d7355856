/**
 * Checks the body of a completion request and fills in OpenAI's defaults.
 *
 * @module
 */

import * as z from "zod";
import { ApiError } from "./error.ts";

const stop = z
	.union([z.string().min(1), z.array(z.string().min(1)).max(4), z.null()])
	.optional()
	.transform((value) => (typeof value === "string" ? [value] : (value ?? [])));

/** Fields that OpenAI knows and we do not are ignored, as there. */
const CompletionRequest = z.object({
	model: z.string().optional(),
	prompt: z.string().default(""),
	max_tokens: z
		.int()
		.min(1)
		.nullish()
		.transform((value) => value ?? 16),
	temperature: z
		.number()
		.min(0)
		.max(2)
		.nullish()
		.transform((value) => value ?? 1),
	top_p: z
		.number()
		.gt(0)
		.max(1)
		.nullish()
		.transform((value) => value ?? 1),
	seed: z.int().nullish(),
	stop,
	stream: z.boolean().nullish(),
	stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
	bitskip: z
		.discriminatedUnion("exit", [
			z.strictObject({ exit: z.literal("full") }),
			z.strictObject({ exit: z.literal("layer"), layer: z.int() }),
			z.strictObject({
				exit: z.literal("gate"),
				threshold: z.number().gt(0).max(1),
				skipped: z.enum(["propagate", "catch-up"]).default("propagate"),
			}),
			z
				.strictObject({
					exit: z.literal("budget"),
					budget_macs: z.number().positive().optional(),
					budget_ms: z.number().positive().optional(),
				})
				.refine(
					({ budget_macs, budget_ms }) =>
						(budget_macs === undefined) !== (budget_ms === undefined),
					"either budget_macs or budget_ms, not both",
				),
		])
		.default({ exit: "full" }),
});

export type CompletionRequest = z.output<typeof CompletionRequest>;

/** @throws ApiError 400 that names the parameter. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
	const parsed = CompletionRequest.safeParse(body);
	if (parsed.success) return parsed.data;
	const issue = parsed.error.issues[0];
	const param = issue?.path.join(".") || null;
	throw new ApiError(400, `${param ?? "the body"}: ${issue?.message}`, {
		param,
	});
}
