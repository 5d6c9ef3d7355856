/**
 * The HTTP endpoint, for any runtime that Hono runs on. OpenAI's completions API; what is ours is
 * under `bitskip`.
 *
 * @module
 */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { refuseInvalid } from "./body.ts";
import { chatPrompt } from "./chat.ts";
import type { Service } from "./choice.ts";
import { ApiError, toApiError } from "./error.ts";
import { chatFormat, completionFormat, tokenText } from "./format.ts";
import { respond } from "./respond.ts";
import * as routes from "./routes.ts";

/** nginx's status for a client that left; nobody reads it. */
const CLIENT_CLOSED_REQUEST = 499 as 400;

export interface Env<Bindings> {
	Bindings: Bindings;
	Variables: {
		/** Aborts when the client leaves. The request's own: what middleware wraps is another request. */
		signal: AbortSignal;
	};
}

/** The routes for Hono's client: `hc<AppType>("https://...")`. */
export type AppType = ReturnType<typeof createApp<object>>;

/**
 * The endpoint's routes.
 * @param getService called by each request that needs the model; a rejection is answered with 500.
 */
export function createApp<Bindings extends object>(
	getService: (env: Bindings) => Promise<Service>,
) {
	const app = new OpenAPIHono<Env<Bindings>>({
		defaultHook: refuseInvalid,
	});
	app.onError((error, c) => {
		if (c.var.signal.aborted) return c.body(null, CLIENT_CLOSED_REQUEST);
		const known = toApiError(error);
		if (known.status === 500) console.error(error);
		return c.json(known.body, known.status as 500);
	});
	app.notFound((c) => {
		const message = `no ${c.req.method} ${c.req.path} here; see GET /`;
		return c.json(new ApiError(404, message).body, 404);
	});
	app.use(
		async (c, next) => {
			c.set("signal", c.req.raw.signal);
			await next();
		},
		requestId(),
		secureHeaders(),
		cors(),
	);
	for (const [name, schema] of Object.entries(routes.chunks))
		app.openAPIRegistry.register(name, schema);
	app.openAPIRegistry.registerComponent("securitySchemes", "key", {
		type: "http",
		scheme: "bearer",
		description: "Where the deployment asks for one.",
	});
	app.doc31("/openapi.json", (c) => ({
		openapi: "3.1.0",
		info: {
			title: "BitSkip Edge",
			version: "0.1.0",
			description: INDEX,
			license: { name: "MIT", identifier: "MIT" },
		},
		security: [{ key: [] }, {}],
		servers: [{ url: new URL(c.req.url).origin }],
	}));
	app.get("/", (c) => c.text(INDEX));

	const serviceOf = (c: Context) => getService(c.env as Bindings);
	/** The service, if it has the model that the request names. */
	const serviceFor = async (c: Context, model: string | undefined) => {
		const service = await serviceOf(c);
		if (model !== undefined && model !== service.modelId)
			throw new ApiError(
				404,
				`no model ${model}; there is ${service.modelId}`,
				{
					param: "model",
					code: "model_not_found",
				},
			);
		return service;
	};
	return app
		.openapi(routes.health, async (c) => {
			await serviceOf(c);
			return c.json({ status: "ok" as const }, 200);
		})
		.openapi(routes.listModels, async (c) => {
			const { modelId } = await serviceOf(c);
			const data = [describeModel(modelId)];
			return c.json({ object: "list" as const, data }, 200);
		})
		.openapi(routes.readModel, async (c) => {
			const { modelId } = await serviceFor(c, c.req.valid("param").id);
			return c.json(describeModel(modelId), 200);
		})
		.openapi(routes.createCompletion, async (c) => {
			const request = c.req.valid("json");
			const service = await serviceFor(c, request.model);
			const { tokenizer } = service;
			const textOf = (prompt: string | number[]) =>
				typeof prompt === "string"
					? prompt
					: prompt.map((token) => tokenText(tokenizer, token)).join("");
			const choices = request.prompt.flatMap((prompt, i) =>
				Array.from({ length: request.n }, (_, j) => ({
					index: i * request.n + j,
					prompt,
					echo: request.echo ? textOf(prompt) : "",
					maxTokens: request.max_tokens,
					topLogprobs: request.logprobs ?? undefined,
				})),
			);
			const hasLogprobs = typeof request.logprobs === "number";
			const format = completionFormat(tokenizer, hasLogprobs);
			const { signal } = c.var;
			return respond(c, { service, request, format, choices, signal });
		})
		.openapi(routes.createChatCompletion, async (c) => {
			const request = c.req.valid("json");
			const service = await serviceFor(c, request.model);
			const prompt = chatPrompt(request.messages);
			const choices = Array.from({ length: request.n }, (_, index) => ({
				index,
				prompt,
				echo: "",
				maxTokens:
					request.max_completion_tokens ??
					request.max_tokens ??
					service.engine.config.maxSeqLen,
				topLogprobs: request.logprobs ? request.top_logprobs : undefined,
			}));
			const format = chatFormat(service.tokenizer, request.logprobs);
			const { signal } = c.var;
			return respond(c, { service, request, format, choices, signal });
		})
		.openapi(routes.tokenize, async (c) => {
			const { content, add_special, with_pieces } = c.req.valid("json");
			const { tokenizer, engine } = await serviceOf(c);
			const ids = [
				...(add_special ? [engine.config.bosTokenId] : []),
				...tokenizer.encode(content),
			];
			const tokens = with_pieces
				? ids.map((id) => ({ id, piece: tokenText(tokenizer, id) }))
				: ids;
			return c.json({ tokens }, 200);
		})
		.openapi(routes.detokenize, async (c) => {
			const { tokens } = c.req.valid("json");
			const { tokenizer } = await serviceOf(c);
			const decoder = tokenizer.decoder();
			tokens.forEach((id, i) => {
				if (!tokenizer.bytes(id))
					throw new ApiError(400, `there is no token ${id}`, {
						param: `tokens.${i}`,
					});
			});
			const content = tokens.map((id) => decoder.push(id)).join("");
			return c.json({ content: content + decoder.end() }, 200);
		});
}

const INDEX = `BitSkip Edge: a ternary, early-exit language model in WebAssembly.

POST /v1/completions        OpenAI's completions API, streaming and not
POST /v1/chat/completions   the chat: what all have said is a story, which goes on
GET  /v1/models
POST /tokenize, /detokenize
GET  /openapi.json
GET  /health
`;

function describeModel(id: string) {
	return { id, object: "model" as const, created: 0, owned_by: "bitskip" };
}
