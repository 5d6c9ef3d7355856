/**
 * What the endpoint answers: OpenAI's objects, and under `bitskip` ours.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";

/** A count or a sum of multiply-accumulates. */
const count = z.int().min(0);
const FinishReason = z.enum(["stop", "length"]);

export const ErrorBody = z
	.object({
		error: z.object({
			message: z.string(),
			type: z.string(),
			param: z.string().nullable(),
			code: z.string().nullable(),
		}),
	})
	.openapi("Error");
export type ErrorBody = z.output<typeof ErrorBody>;

export const Model = z
	.object({
		id: z.string(),
		object: z.literal("model"),
		created: z.int(),
		owned_by: z.string(),
	})
	.openapi("Model");

export const ModelList = z.object({
	object: z.literal("list"),
	data: z.array(Model),
});

const Usage = z
	.object({
		prompt_tokens: count,
		completion_tokens: count,
		total_tokens: count,
		prompt_tokens_details: z.object({ cached_tokens: count }),
	})
	.openapi("Usage");
export type Usage = z.output<typeof Usage>;

const Work = z
	.object({
		policy: z.string(),
		exit_layers: z.record(z.string(), count).openapi({
			description: "Generated tokens by the layer at which they left.",
		}),
		macs: count.openapi({ description: "Multiply-accumulates computed." }),
		macs_full: count.openapi({
			description: "What the same tokens would have taken at full depth.",
		}),
		budget_exhausted: z.boolean(),
	})
	.openapi("Work");
export type Work = z.output<typeof Work>;

/** Of a stream's chunk: its token's exit and the work so far; of the last: all of it. */
const ChunkWork = z.union([
	Work,
	z.object({ exit_layer: count, macs: count, macs_full: count }),
]);
export type ChunkWork = z.output<typeof ChunkWork>;

const envelope = {
	id: z.string(),
	created: z.int(),
	model: z.string(),
	system_fingerprint: z.string().openapi({
		description:
			"Names the weights: where it is the same, so are texts of one seed.",
	}),
};

/** A whole answer, and a stream's chunk, whose `object` and choices differ between the APIs. */
function whole<Name extends string, Choice extends z.ZodType>(
	name: Name,
	choice: Choice,
) {
	return z.object({
		...envelope,
		object: z.literal(name),
		choices: z.array(choice),
		usage: Usage,
		bitskip: Work,
	});
}
function chunk<Name extends string, Choice extends z.ZodType>(
	name: Name,
	choice: Choice,
) {
	return z.object({
		...envelope,
		object: z.literal(name),
		choices: z.array(choice),
		usage: Usage.optional(),
		bitskip: ChunkWork.optional(),
	});
}

const CompletionLogprobs = z.object({
	tokens: z.array(z.string()),
	token_logprobs: z.array(z.number()),
	top_logprobs: z.array(z.record(z.string(), z.number())),
	text_offset: z.array(count),
});

const completionChoice = <T extends z.ZodType>(finishReason: T) =>
	z.object({
		index: count,
		text: z.string(),
		logprobs: CompletionLogprobs.nullable(),
		finish_reason: finishReason,
	});
const CompletionChoice = completionChoice(FinishReason);
export type CompletionChoice = z.output<typeof CompletionChoice>;
const CompletionChunkChoice = completionChoice(FinishReason.nullable());
export type CompletionChunkChoice = z.output<typeof CompletionChunkChoice>;

export const Completion = whole("text_completion", CompletionChoice).openapi(
	"Completion",
);

export const CompletionChunk = chunk(
	"text_completion",
	CompletionChunkChoice,
).openapi("CompletionChunk");
export type CompletionChunk = z.output<typeof CompletionChunk>;

const tokenLogprob = {
	token: z.string(),
	logprob: z.number(),
	bytes: z.array(z.int().min(0).max(255)),
};
const ChatLogprobs = z.object({
	content: z.array(
		z.object({
			...tokenLogprob,
			top_logprobs: z.array(z.object(tokenLogprob)),
		}),
	),
	refusal: z.null(),
});

const ChatChoice = z.object({
	index: count,
	message: z.object({
		role: z.literal("assistant"),
		content: z.string(),
		refusal: z.null(),
	}),
	logprobs: ChatLogprobs.nullable(),
	finish_reason: FinishReason,
});
export type ChatChoice = z.output<typeof ChatChoice>;

const ChatChunkChoice = z.object({
	index: count,
	delta: z.object({
		role: z.literal("assistant").optional(),
		content: z.string().optional(),
	}),
	logprobs: ChatLogprobs.nullable(),
	finish_reason: FinishReason.nullable(),
});
export type ChatChunkChoice = z.output<typeof ChatChunkChoice>;

export const ChatCompletion = whole("chat.completion", ChatChoice).openapi(
	"ChatCompletion",
);

export const ChatCompletionChunk = chunk(
	"chat.completion.chunk",
	ChatChunkChoice,
).openapi("ChatCompletionChunk");

export const Tokens = z.object({
	tokens: z.union([
		z.array(count),
		z.array(z.object({ id: count, piece: z.string() })),
	]),
});
