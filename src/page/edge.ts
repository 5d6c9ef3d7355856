/**
 * Stories from the endpoint, by server-sent events.
 *
 * @module
 */

import { EventSourceParserStream } from "eventsource-parser/stream";
import type { ExitOptions } from "../exit.ts";
import type { CompletionChunk, ErrorBody } from "../http/response.ts";
import { KeyError, type StorySummary, type Writer } from "./story.ts";

export const writeOnEdge: Writer = async function* (request, signal) {
	const response = await fetch("/v1/completions", {
		method: "POST",
		headers: {
			"content-type": "application/json",
			...(request.key && { authorization: `Bearer ${request.key}` }),
		},
		body: JSON.stringify({
			prompt: request.prompt,
			max_tokens: request.maxTokens,
			temperature: request.temperature,
			seed: request.seed,
			stream: true,
			bitskip: exitParameters(request.exit),
		}),
		signal,
	});
	if (response.status === 401) throw new KeyError(await reason(response));
	if (!response.ok || !response.body) throw new Error(await reason(response));
	let summary: StorySummary | undefined;
	const events = response.body
		.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
		.pipeThrough(new EventSourceParserStream());
	for await (const { data } of events) {
		if (data === "[DONE]") break;
		const event = JSON.parse(data) as CompletionChunk | ErrorBody;
		if ("error" in event) throw new Error(event.error.message);
		const { choices, bitskip } = event;
		const choice = choices[0];
		if (!choice) continue;
		const { text, finish_reason } = choice;
		if (!bitskip) {
			yield { text };
			continue;
		}
		const work = { macs: bitskip.macs, macsFull: bitskip.macs_full };
		if ("exit_layer" in bitskip)
			yield { text, exitLayer: bitskip.exit_layer, ...work };
		else if (finish_reason)
			summary = {
				finishReason: finish_reason,
				budgetExhausted: bitskip.budget_exhausted,
				...work,
			};
	}
	if (!summary)
		throw new Error("the connection ended before the story did: try again");
	return summary;
};

/** The engine's options as the API names them. */
function exitParameters(exit: ExitOptions): object {
	return exit.exit === "budget"
		? { exit: "budget", budget_macs: exit.budgetMacs }
		: exit;
}

async function reason(response: Response): Promise<string> {
	const body = await response.json().catch(() => ({}));
	return (
		(body as Partial<ErrorBody>).error?.message ??
		`the endpoint answered ${response.status}`
	);
}
