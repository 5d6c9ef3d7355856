/**
 * Stories from the endpoint, by server-sent events.
 *
 * @module
 */

import { EventSourceParserStream } from "eventsource-parser/stream";
import type { ExitOptions } from "../exit.ts";
import type { StorySummary, Writer } from "./story.ts";

/** What a chunk of the completions API has for us. */
interface Chunk {
	choices?: { text: string; finish_reason: "stop" | "length" | null }[];
	bitskip?: {
		exit_layer?: number;
		macs: number;
		macs_full: number;
		budget_exhausted?: boolean;
	};
	error?: { message: string };
}

export const writeOnEdge: Writer = async function* (request, signal) {
	const response = await fetch("/v1/completions", {
		method: "POST",
		headers: { "content-type": "application/json" },
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
	if (!response.ok || !response.body) throw new Error(await reason(response));
	let summary: StorySummary | undefined;
	const events = response.body
		.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
		.pipeThrough(new EventSourceParserStream());
	for await (const { data } of events) {
		if (data === "[DONE]") break;
		const { choices, bitskip, error } = JSON.parse(data) as Chunk;
		if (error) throw new Error(error.message);
		const choice = choices?.[0];
		if (!choice) continue;
		if (!bitskip) yield { text: choice.text };
		else if (choice.finish_reason === null)
			yield {
				text: choice.text,
				...(bitskip.exit_layer !== undefined && {
					exitLayer: bitskip.exit_layer,
				}),
				macs: bitskip.macs,
				macsFull: bitskip.macs_full,
			};
		else
			summary = {
				finishReason: choice.finish_reason,
				budgetExhausted: bitskip.budget_exhausted ?? false,
				macs: bitskip.macs,
				macsFull: bitskip.macs_full,
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
	const body = (await response.json().catch(() => ({}))) as Chunk;
	return body.error?.message ?? `the endpoint answered ${response.status}`;
}
