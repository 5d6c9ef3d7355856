/**
 * Answers a completion request, whole or as a stream of server-sent events.
 *
 * @module
 */

import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import type { GenerationSummary } from "../engine.ts";
import {
	beginChoice,
	type ChoiceOptions,
	type ChoicePieces,
	type Service,
	type TokenLogprobs,
} from "./choice.ts";
import { toApiError } from "./error.ts";
import { extension, type Format, serverTiming, usage } from "./format.ts";
import type { CommonRequest } from "./request.ts";

/** One answer: `choices`, by prompts and then by number, `request.n` for each prompt. */
export interface Answer {
	service: Service;
	request: CommonRequest;
	format: Format;
	choices: ChoiceOptions[];
}

export function respond(c: Context, answer: Answer): Promise<Response> {
	return answer.request.stream
		? stream(c, answer)
		: outliveRequest(c, whole(c, answer));
}

async function whole(c: Context, answer: Answer): Promise<Response> {
	const { service, request, format } = answer;
	const seed = chooseSeed(request);
	const choices: object[] = [];
	const summaries: GenerationSummary[] = [];
	for (const options of answer.choices) {
		const signal = c.req.raw.signal;
		let { pieces, result } = await beginChoice(
			service,
			request,
			seed,
			options,
			signal,
		);
		let text = "";
		const tokens: TokenLogprobs[] = [];
		while (!result.done) {
			text += result.value.text;
			if (result.value.logprobs) tokens.push(result.value.logprobs);
			result = await pieces.next();
		}
		summaries.push(result.value);
		const { index, echo } = options;
		const { finishReason } = result.value;
		choices.push(format.choice(index, echo).whole(text, tokens, finishReason));
	}
	c.header("Server-Timing", serverTiming(summaries));
	return c.json({
		...envelope(answer, format.object),
		choices,
		usage: usage(summaries, request.n),
		bitskip: extension(request.bitskip.exit, summaries),
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

async function stream(c: Context, answer: Answer): Promise<Response> {
	const { service, request, format } = answer;
	const seed = chooseSeed(request);
	const signal = c.req.raw.signal;
	const begin = (options: ChoiceOptions) =>
		beginChoice(service, request, seed, options, signal);
	const [firstOptions, ...others] = answer.choices as [ChoiceOptions];
	// The first token is made before the headers are sent, so that a bad request still gets a status.
	const first = await begin(firstOptions);
	const common = envelope(answer, format.chunk);
	const { promise: ended, resolve: end } = Promise.withResolvers<void>();
	outliveRequest(c, ended);
	return streamSSE(c, async (stream) => {
		const chunk = (choice: object, bitskip?: object) =>
			send(stream, {
				...common,
				choices: [choice],
				...(bitskip && { bitskip }),
			});
		const summaries: GenerationSummary[] = [];
		let pieces: ChoicePieces = first.pieces;
		try {
			for (const options of [firstOptions, ...others]) {
				const begun = options === firstOptions ? first : await begin(options);
				pieces = begun.pieces;
				let { result } = begun;
				const choice = format.choice(options.index, options.echo);
				if (choice.begin) await chunk(choice.begin());
				while (!result.done && !stream.aborted) {
					const { text, exitLayer, macs, macsFull, logprobs } = result.value;
					await chunk(
						choice.piece(text, logprobs ? [logprobs] : []),
						exitLayer === undefined
							? undefined
							: { exit_layer: exitLayer, macs, macs_full: macsFull },
					);
					result = await pieces.next();
				}
				if (!result.done) return;
				summaries.push(result.value);
				const isLast = summaries.length === answer.choices.length;
				await chunk(
					choice.end(result.value.finishReason),
					isLast ? extension(request.bitskip.exit, summaries) : undefined,
				);
			}
			if (request.stream_options?.include_usage)
				await send(stream, {
					...common,
					choices: [],
					usage: usage(summaries, request.n),
				});
			await stream.writeSSE({ data: "[DONE]" });
		} catch (error) {
			// Caught here: streamSSE's own handler would send the message of any error to the client.
			if (stream.aborted || signal.aborted) return;
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

function chooseSeed({ seed }: CommonRequest): number {
	return seed ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number);
}

function envelope({ service, format }: Answer, object: string) {
	return {
		id: `${format.idPrefix}-${crypto.randomUUID()}`,
		object,
		created: Math.floor(Date.now() / 1000),
		model: service.modelId,
	};
}
