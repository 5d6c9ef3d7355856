/**
 * The routes as `/openapi.json` describes them.
 *
 * @module
 */

import { createRoute, z } from "@hono/zod-openapi";
import { jsonBody } from "./body.ts";
import {
	ChatRequest,
	CompletionRequest,
	DetokenizeRequest,
	TokenizeRequest,
} from "./request.ts";
import {
	ChatCompletion,
	ChatCompletionChunk,
	Completion,
	CompletionChunk,
	ErrorBody,
	Model,
	ModelList,
	Tokens,
} from "./response.ts";

function json<T extends z.ZodType>(schema: T, description: string) {
	return { description, content: { "application/json": { schema } } };
}

function body<T extends z.ZodType>(schema: T) {
	return {
		body: {
			required: true as const,
			content: { "application/json": { schema } },
		},
	};
}

const badRequest = {
	400: json(ErrorBody, "A field is not what it should be; `param` names it."),
};
const noModel = { 404: json(ErrorBody, "There is no such model.") };
const generation = {
	...badRequest,
	...noModel,
	413: json(ErrorBody, "The body is too large."),
	422: json(ErrorBody, "The budget does not pay for the prompt."),
	429: json(ErrorBody, "Too much at a time; `Retry-After` says when to come."),
};

/**
 * A whole answer, or with `stream` its chunks in events. The type has the whole one only: Hono's client
 * gives who asked for a stream its body, which has no type.
 */
function answer<T extends z.ZodType>(whole: T, chunk: string) {
	const content: { "application/json": { schema: T } } = {
		"application/json": { schema: whole },
		...{
			"text/event-stream": {
				schema: { $ref: `#/components/schemas/${chunk}` },
			},
		},
	};
	const description =
		"What comes next: whole, or with `stream` chunk by chunk, then `[DONE]`.";
	return { 200: { description, content } };
}

/** Chunks of streams, which no route's type knows. */
export const chunks = { CompletionChunk, ChatCompletionChunk };

const modelId = z.string().openapi({ param: { name: "id", in: "path" } });

export const listModels = createRoute({
	method: "get",
	path: "/v1/models",
	summary: "The model that is served",
	responses: { 200: json(ModelList, "A list of one.") },
});

export const readModel = createRoute({
	method: "get",
	path: "/v1/models/{id}",
	summary: "A model by its name",
	request: { params: z.object({ id: modelId }) },
	responses: { 200: json(Model, "The model."), ...noModel },
});

export const createCompletion = createRoute({
	method: "post",
	path: "/v1/completions",
	summary: "Goes on with a text",
	middleware: jsonBody,
	request: body(CompletionRequest),
	responses: { ...answer(Completion, "CompletionChunk"), ...generation },
});

export const createChatCompletion = createRoute({
	method: "post",
	path: "/v1/chat/completions",
	summary: "Goes on with a story told in messages",
	description:
		"The model writes stories and follows no instructions. What user and assistant said is one story, with " +
		"a space between two texts where neither has one; system messages are left out.",
	middleware: jsonBody,
	request: body(ChatRequest),
	responses: {
		...answer(ChatCompletion, "ChatCompletionChunk"),
		...generation,
	},
});

export const tokenize = createRoute({
	method: "post",
	path: "/tokenize",
	summary: "Text to token ids; a special token's text is plain text",
	middleware: jsonBody,
	request: body(TokenizeRequest),
	responses: { 200: json(Tokens, "The ids."), ...badRequest },
});

export const detokenize = createRoute({
	method: "post",
	path: "/detokenize",
	summary: "Token ids to text",
	middleware: jsonBody,
	request: body(DetokenizeRequest),
	responses: {
		200: json(z.object({ content: z.string() }), "The text."),
		...badRequest,
	},
});

export const health = createRoute({
	method: "get",
	path: "/health",
	summary: "Whether the model is loaded, or can be",
	responses: {
		200: json(z.object({ status: z.literal("ok") }), "It is."),
		500: json(ErrorBody, "It is not."),
	},
});
