/**
 * The HTTP endpoint, for any runtime that Hono runs on. OpenAI's completions API; what is ours is
 * under `bitskip`.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { chatPrompt } from "./chat.ts";
import type { Service } from "./choice.ts";
import { ApiError, toApiError } from "./error.ts";
import { chatFormat, completionFormat, tokenText } from "./format.ts";
import {
	ChatRequest,
	CompletionRequest,
	DetokenizeRequest,
	parseRequest,
	TokenizeRequest,
} from "./request.ts";
import { respond } from "./respond.ts";

/** nginx's status for a client that left; nobody reads it. */
const CLIENT_CLOSED_REQUEST = 499 as 400;
/** Largest request body, bytes: many times what the context can hold. */
const MAX_BODY = 64 * 1024;

/**
 * The endpoint's routes.
 * @param getService called by each request that needs the model; a rejection is answered with 500.
 */
export function createApp<Bindings extends object>(
	getService: (env: Bindings) => Promise<Service>,
) {
	const app = new Hono<{ Bindings: Bindings }>();
	app.onError((error, c) => {
		if (c.req.raw.signal.aborted) return c.body(null, CLIENT_CLOSED_REQUEST);
		const known = toApiError(error);
		if (known.status === 500) console.error(error);
		return c.json(known.body, known.status as 500);
	});
	app.notFound((c) => {
		const message = `no ${c.req.method} ${c.req.path} here; see GET /`;
		return c.json(new ApiError(404, message).body, 404);
	});
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
	const limit = bodyLimit({
		maxSize: MAX_BODY,
		onError: () => {
			throw new ApiError(413, `the body is larger than ${MAX_BODY} bytes`);
		},
	});
	return app
		.use(requestId(), secureHeaders(), cors())
		.get("/", (c) => c.text(INDEX))
		.get("/health", async (c) => {
			await serviceOf(c);
			return c.json({ status: "ok" });
		})
		.get("/v1/models", async (c) => {
			const { modelId } = await serviceOf(c);
			return c.json({ object: "list", data: [describeModel(modelId)] });
		})
		.get("/v1/models/:id", async (c) => {
			const { modelId } = await serviceFor(c, c.req.param("id"));
			return c.json(describeModel(modelId));
		})
		.post("/v1/completions", limit, async (c) => {
			const request = parseRequest(CompletionRequest, await readJson(c));
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
			return respond(c, { service, request, format, choices });
		})
		.post("/v1/chat/completions", limit, async (c) => {
			const request = parseRequest(ChatRequest, await readJson(c));
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
			return respond(c, { service, request, format, choices });
		})
		.post("/tokenize", limit, async (c) => {
			const request = parseRequest(TokenizeRequest, await readJson(c));
			const { tokenizer, engine } = await serviceOf(c);
			const ids = [
				...(request.add_special ? [engine.config.bosTokenId] : []),
				...tokenizer.encode(request.content),
			];
			const tokens = request.with_pieces
				? ids.map((id) => ({ id, piece: tokenText(tokenizer, id) }))
				: ids;
			return c.json({ tokens });
		})
		.post("/detokenize", limit, async (c) => {
			const { tokens } = parseRequest(DetokenizeRequest, await readJson(c));
			const { tokenizer } = await serviceOf(c);
			const decoder = tokenizer.decoder();
			tokens.forEach((id, i) => {
				if (!tokenizer.bytes(id))
					throw new ApiError(400, `there is no token ${id}`, {
						param: `tokens.${i}`,
					});
			});
			const content = tokens.map((id) => decoder.push(id)).join("");
			return c.json({ content: content + decoder.end() });
		});
}

const INDEX = `BitSkip Edge: a ternary, early-exit language model in WebAssembly.

POST /v1/completions        OpenAI's completions API, streaming and not
POST /v1/chat/completions   the chat: what all have said is a story, which goes on
GET  /v1/models
POST /tokenize, /detokenize
GET  /health
`;

async function readJson(c: Context): Promise<unknown> {
	const text = await c.req.text();
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new ApiError(
			400,
			`the body is not JSON: ${(error as Error).message}`,
		);
	}
}

function describeModel(id: string) {
	return { id, object: "model", created: 0, owned_by: "bitskip" };
}
