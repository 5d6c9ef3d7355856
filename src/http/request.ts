/**
 * What bodies of requests may say, with OpenAI's defaults. Fields that OpenAI knows and we do not are
 * ignored, as there.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";

/** A value that may be left out or null, and then is `value`. */
function orDefault<T extends z.ZodType>(type: T, value: z.output<T>) {
	return type
		.nullish()
		.transform((given) => given ?? value)
		.openapi({ default: value });
}

const maxTokens = z.int().min(1);
const MAX_CHOICES = 16;
const MAX_TOP_LOGPROBS = 20;

const stop = z
	.union([z.string().min(1), z.array(z.string().min(1)).max(4), z.null()])
	.optional()
	.transform((value) => (typeof value === "string" ? [value] : (value ?? [])))
	// Half a surrogate pair would cut a character in two.
	.transform((strings) => strings.map((string) => string.toWellFormed()))
	.openapi({ description: "The text ends before the first of these." });

const bitskip = z
	.discriminatedUnion("exit", [
		z
			.strictObject({ exit: z.literal("full") })
			.openapi({ description: "All layers." }),
		z
			.strictObject({ exit: z.literal("layer"), layer: z.int() })
			.openapi({ description: "Every token leaves at this layer." }),
		z
			.strictObject({
				exit: z.literal("gate"),
				threshold: z.number().gt(0).max(1),
				skipped: z.enum(["propagate", "catch-up"]).default("propagate"),
			})
			.openapi({
				description:
					"A token leaves at the first exit whose gate foretells that its probabilities and the last " +
					"layer's overlap so far. `skipped`: what keys and values skipped layers get.",
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
			)
			.openapi({
				description:
					"At most so many multiply-accumulates, or what the endpoint can do in so many milliseconds of " +
					"CPU, the prompt's included. One of the two.",
			}),
	])
	.default({ exit: "full" })
	.openapi({ description: "When a token leaves the model." });

/** What both kinds of completion take. */
const Common = z.object({
	model: z.string().optional(),
	temperature: orDefault(z.number().min(0).max(2), 1).openapi({
		description: "0 takes the likeliest token.",
	}),
	top_p: orDefault(z.number().gt(0).max(1), 1),
	top_k: orDefault(z.int().min(0), 0).openapi({ description: "0: all." }),
	min_p: orDefault(z.number().min(0).max(1), 0),
	presence_penalty: orDefault(z.number().min(-2).max(2), 0),
	frequency_penalty: orDefault(z.number().min(-2).max(2), 0),
	seed: z.int().nullish().openapi({
		description: "The same seed gives the same text. Choice i has seed + i.",
	}),
	n: orDefault(z.int().min(1).max(MAX_CHOICES), 1),
	stop,
	stream: z.boolean().nullish(),
	stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
	bitskip,
});
export type CommonRequest = z.output<typeof Common>;

const tokens = z.array(z.int().min(0)).min(1);

export const CompletionRequest = Common.extend({
	prompt: z
		.union([z.string(), tokens, z.array(z.union([z.string(), tokens])).min(1)])
		.default("")
		.transform((prompt): (string | number[])[] => {
			if (typeof prompt === "string") return [prompt];
			return typeof prompt[0] === "number"
				? [prompt as number[]]
				: (prompt as (string | number[])[]);
		}),
	max_tokens: orDefault(maxTokens, 16),
	echo: orDefault(z.boolean(), false),
	logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).nullish().openapi({
		description: "How many of the likeliest tokens to tell, beside the chosen.",
	}),
})
	.refine(({ echo, logprobs }) => !(echo && typeof logprobs === "number"), {
		message: "log-probabilities of the prompt are not known: leave out echo",
		path: ["logprobs"],
	})
	.openapi("CompletionRequest");
export type CompletionRequest = z.output<typeof CompletionRequest>;

const text = z.object({ type: z.literal("text"), text: z.string() });
const Message = z.object({
	role: z.enum(["system", "developer", "user", "assistant"]),
	content: z
		.union([z.string(), z.array(text)])
		.transform((content) =>
			typeof content === "string"
				? content
				: content.map((part) => part.text).join(""),
		),
});
export type Message = z.output<typeof Message>;

export const ChatRequest = Common.extend({
	messages: z.array(Message).min(1),
	max_tokens: maxTokens.nullish(),
	max_completion_tokens: maxTokens.nullish(),
	logprobs: orDefault(z.boolean(), false),
	top_logprobs: orDefault(z.int().min(0).max(MAX_TOP_LOGPROBS), 0),
})
	.refine(({ logprobs, top_logprobs }) => logprobs || top_logprobs === 0, {
		message: "top_logprobs needs logprobs to be true",
		path: ["top_logprobs"],
	})
	.openapi("ChatCompletionRequest");
export type ChatRequest = z.output<typeof ChatRequest>;

export const TokenizeRequest = z.object({
	content: z.string(),
	add_special: orDefault(z.boolean(), false).openapi({
		description: "Whether the begin-of-text token comes first.",
	}),
	with_pieces: orDefault(z.boolean(), false).openapi({
		description: "Whether each token comes with its text.",
	}),
});

export const DetokenizeRequest = z.object({ tokens: z.array(z.int().min(0)) });
