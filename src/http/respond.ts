/**
 * Answers a completion request, whole or as a stream of server-sent events.
 *
 * @module
 */

import type { Context, TypedResponse } from "hono";
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
import type { ChunkWork, Usage, Work } from "./response.ts";

/** One answer: `choices`, by prompts and then by number, `request.n` for each prompt. */
export interface Answer<ObjectName, Choice, ChunkChoice> {
	service: Service;
	request: CommonRequest;
	format: Format<ObjectName, Choice, ChunkChoice>;
	choices: ChoiceOptions[];
	/** Ends the work. */
	signal: AbortSignal;
}

/** A whole answer, or a stream's chunk, but for what stands in it. */
interface Envelope<ObjectName> {
	id: string;
	object: ObjectName;
	created: number;
	model: string;
	system_fingerprint: string;
}

interface Whole<ObjectName, Choice> extends Envelope<ObjectName> {
	choices: Choice[];
	usage: Usage;
	bitskip: Work;
}

/** Answers. A stream is no JSON, and has a type that fits any route. */
export async function respond<ObjectName, Choice, ChunkChoice>(
	c: Context,
	answer: Answer<ObjectName, Choice, ChunkChoice>,
): Promise<TypedResponse<Whole<ObjectName, Choice>, 200, "json">> {
	if (answer.request.stream) return (await stream(c, answer)) as never;
	const { summaries, body } = await outliveRequest(c, whole(answer));
	c.header("Server-Timing", serverTiming(summaries));
	return c.json(body, 200) as never; // Hono cannot tell that a generic shape is JSON.
}

async function whole<ObjectName, Choice, ChunkChoice>(
	answer: Answer<ObjectName, Choice, ChunkChoice>,
) {
	const { service, request, format, signal } = answer;
	const seed = chooseSeed(request);
	const choices: Choice[] = [];
	const summaries: GenerationSummary[] = [];
	for (const options of answer.choices) {
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
	const body: Whole<ObjectName, Choice> = {
		...envelope(answer, format.object),
		choices,
		usage: usage(summaries, request.n),
		bitskip: extension(request.bitskip.exit, summaries),
	};
	return { summaries, body };
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

async function stream<ObjectName, Choice, ChunkChoice>(
	c: Context,
	answer: Answer<ObjectName, Choice, ChunkChoice>,
): Promise<Response> {
	const { service, request, format, signal } = answer;
	const seed = chooseSeed(request);
	const begin = (options: ChoiceOptions) =>
		beginChoice(service, request, seed, options, signal);
	const [firstOptions, ...others] = answer.choices as [ChoiceOptions];
	// The first token is made before the headers are sent, so that a bad request still gets a status.
	const first = await begin(firstOptions);
	const common = envelope(answer, format.chunk);
	const { promise: ended, resolve: end } = Promise.withResolvers<void>();
	outliveRequest(c, ended);
	return streamSSE(c, async (stream) => {
		const chunk = (choice: ChunkChoice, bitskip?: ChunkWork) =>
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

function envelope<ObjectName>(
	{ service, format }: { service: Service; format: { idPrefix: string } },
	object: ObjectName,
): Envelope<ObjectName> {
	return {
		id: `${format.idPrefix}-${crypto.randomUUID()}`,
		object,
		created: Math.floor(Date.now() / 1000),
		model: service.modelId,
		system_fingerprint: service.engine.fingerprint,
	};
}
