/**
 * The HTTP endpoint, for any runtime that Hono runs on. OpenAI's completions API; what is ours is
 * under `bitskip`.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import { type CompletionOptions, complete } from "./completion.ts";
import type { Engine, GenerationSummary } from "./engine.ts";
import { ApiError, toApiError } from "./error.ts";
import { ExitError, type ExitOptions } from "./exit.ts";
import { type CompletionRequest, parseCompletionRequest } from "./request.ts";
import { createSampler } from "./sampler.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What the endpoint serves. */
export interface Service {
	/** The model's name in `/v1/models` and in requests. */
	modelId: string;
	engine: Engine;
	tokenizer: Tokenizer;
	/** MACs in a millisecond of CPU where this runs, as calibrated; without it `budget_ms` is refused. */
	macsPerMs?: number;
}

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
	return app
		.get("/", (c) => c.text(INDEX))
		.get("/health", async (c) => {
			await getService(c.env as Bindings);
			return c.json({ status: "ok" });
		})
		.get("/v1/models", async (c) => {
			const { modelId } = await getService(c.env as Bindings);
			const model = {
				id: modelId,
				object: "model",
				created: 0,
				owned_by: "bitskip",
			};
			return c.json({ object: "list", data: [model] });
		})
		.post(
			"/v1/completions",
			bodyLimit({
				maxSize: MAX_BODY,
				onError: () => {
					throw new ApiError(413, `the body is larger than ${MAX_BODY} bytes`);
				},
			}),
			async (c) => {
				const request = parseCompletionRequest(await readJson(c));
				const service = await getService(c.env as Bindings);
				if (request.model !== undefined && request.model !== service.modelId)
					throw new ApiError(
						404,
						`no model ${request.model}; there is ${service.modelId}`,
						{
							param: "model",
							code: "model_not_found",
						},
					);
				return request.stream
					? streamCompletion(c, service, request)
					: outliveRequest(c, fullCompletion(c, service, request));
			},
		);
}

const INDEX = `BitSkip Edge: a ternary, early-exit language model in WebAssembly.

POST /v1/completions   OpenAI's completions API, streaming and not
GET  /v1/models
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

/** A completion under way, and its first piece: a request that the engine refuses ends here. */
async function begin(c: Context, service: Service, request: CompletionRequest) {
	const options: CompletionOptions = {
		maxTokens: request.max_tokens,
		sample: createSampler({
			temperature: request.temperature,
			topP: request.top_p,
			seed: request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
		}),
		exit: exitOptions(request.bitskip, service),
		stop: request.stop,
		signal: c.req.raw.signal,
	};
	const pieces = complete(
		service.engine,
		service.tokenizer,
		request.prompt,
		options,
	);
	try {
		return { pieces, result: await pieces.next() };
	} catch (error) {
		const { bitskip } = request;
		if (
			error instanceof ExitError &&
			bitskip.exit === "budget" &&
			bitskip.budget_ms !== undefined
		)
			throw toApiError(error, "budget_ms");
		throw error;
	}
}

function exitOptions(
	options: CompletionRequest["bitskip"],
	{ macsPerMs }: Service,
): ExitOptions {
	if (options.exit !== "budget") return options;
	const { budget_macs, budget_ms = 0 } = options;
	if (budget_macs !== undefined)
		return { exit: "budget", budgetMacs: budget_macs };
	if (macsPerMs === undefined)
		throw new ApiError(
			400,
			"this endpoint is not calibrated (MACS_PER_MS is not set): give budget_macs",
			{ param: "bitskip.budget_ms" },
		);
	return { exit: "budget", budgetMacs: Math.floor(budget_ms * macsPerMs) };
}

async function fullCompletion(
	c: Context,
	service: Service,
	request: CompletionRequest,
) {
	let { pieces, result } = await begin(c, service, request);
	let text = "";
	while (!result.done) {
		text += result.value.text;
		result = await pieces.next();
	}
	const summary = result.value;
	c.header("Server-Timing", serverTiming(summary));
	return c.json({
		...envelope(service),
		choices: [choice(text, summary.finishReason)],
		usage: usage(summary),
		bitskip: extension(request, summary),
	});
}

/**
 * Lets `work` end after the client has left. A Worker would otherwise stop it where it stands, and
 * what it holds would never be given back; its request's signal ends it at the next token.
 */
function outliveRequest<T>(c: Context, work: Promise<T>): Promise<T> {
	try {
		c.executionCtx.waitUntil(work.catch(() => {}));
	} catch {
		// Not a Worker: nobody stops it.
	}
	return work;
}

async function streamCompletion(
	c: Context,
	service: Service,
	request: CompletionRequest,
): Promise<Response> {
	// The first token is made before the headers are sent, so that a bad request still gets a status.
	let { pieces, result } = await begin(c, service, request);
	const common = envelope(service);
	const { promise: ended, resolve: end } = Promise.withResolvers<void>();
	outliveRequest(c, ended);
	return streamSSE(c, async (stream) => {
		try {
			while (!result.done && !stream.aborted) {
				const { text, exitLayer, macs, macsFull } = result.value;
				await send(stream, {
					...common,
					choices: [choice(text, null)],
					...(exitLayer !== undefined && {
						bitskip: { exit_layer: exitLayer, macs, macs_full: macsFull },
					}),
				});
				result = await pieces.next();
			}
			if (!result.done) return;
			const summary = result.value;
			await send(stream, {
				...common,
				choices: [choice("", summary.finishReason)],
				bitskip: extension(request, summary),
			});
			if (request.stream_options?.include_usage)
				await send(stream, { ...common, choices: [], usage: usage(summary) });
			await stream.writeSSE({ data: "[DONE]" });
		} catch (error) {
			// Caught here: streamSSE's own handler would send the message of any error to the client.
			if (stream.aborted || c.req.raw.signal.aborted) return;
			console.error(error);
			await send(stream, toApiError(error).body);
		} finally {
			await pieces.return(undefined as never);
			end();
		}
	});
}

function send(stream: SSEStreamingApi, data: object): Promise<void> {
	return stream.writeSSE({ data: JSON.stringify(data) });
}

function envelope(service: Service) {
	return {
		id: `cmpl-${crypto.randomUUID()}`,
		object: "text_completion",
		created: Math.floor(Date.now() / 1000),
		model: service.modelId,
	};
}

function choice(text: string, finishReason: "stop" | "length" | null) {
	return { index: 0, text, logprobs: null, finish_reason: finishReason };
}

function usage({ promptTokens, completionTokens }: GenerationSummary) {
	return {
		prompt_tokens: promptTokens,
		completion_tokens: completionTokens,
		total_tokens: promptTokens + completionTokens,
	};
}

function extension(request: CompletionRequest, summary: GenerationSummary) {
	return {
		policy: request.bitskip.exit,
		exit_layers: summary.exitLayers,
		macs: summary.macs,
		macs_full: summary.macsFull,
		budget_exhausted: summary.budgetExhausted,
	};
}

/**
 * The work of a response in its own units, as metrics without a duration: what it took in milliseconds a
 * Worker cannot know. A stream's headers leave before its work is done, and have none.
 */
function serverTiming({
	macs,
	macsFull,
	promptTokens,
	exitLayers,
}: GenerationSummary): string {
	const metrics = [
		`macs;desc="${macs} multiply-accumulates"`,
		`macs-full;desc="${macsFull} multiply-accumulates at full depth"`,
		`prompt;desc="${promptTokens} tokens"`,
		...Object.entries(exitLayers).map(
			([layer, tokens]) => `layer-${layer};desc="${tokens} tokens"`,
		),
	];
	return metrics.join(", ");
}
