/**
 * What one request was and has taken, for logs and metrics. Holds no text of the client's and no secret.
 *
 * @module
 */

import type { Spent } from "../engine.ts";
import type { Dataset } from "./settings.ts";

/** Paths that logs and metrics tell apart. Others can be anything a client has made up. */
const ROUTES = [
	"/v1/completions",
	"/v1/chat/completions",
	"/v1/models",
	"/tokenize",
	"/detokenize",
	"/metrics",
	"/health",
	"/",
];

/** Who asks without a key. */
export const ANONYMOUS = "anonymous";

export class Account {
	readonly method: string;
	readonly route: string;
	/** Who asked: a name for the key, none of its characters. */
	client = ANONYMOUS;
	/** The policies of the request's generations; most have one. */
	readonly policies = new Set<string>();
	/** Most MACs that its generations so far may come to cost. */
	macsAsked = 0;
	cache: "hit" | "miss" | "none" = "none";
	readonly spent: Spent = {
		promptTokens: 0,
		cachedTokens: 0,
		completionTokens: 0,
		exitLayers: {},
		macs: 0,
		macsFull: 0,
	};

	constructor(method: string, path: string) {
		this.method = method;
		this.route =
			ROUTES.find(
				(route) =>
					path === route || (route !== "/" && path.startsWith(`${route}/`)),
			) ?? "other";
	}

	add(policy: string, { exitLayers, ...counts }: Spent): void {
		this.policies.add(policy);
		for (const [name, count] of Object.entries(counts))
			this.spent[name as keyof typeof counts] += count;
		for (const [layer, tokens] of Object.entries(exitLayers))
			this.spent.exitLayers[Number(layer)] =
				(this.spent.exitLayers[Number(layer)] ?? 0) + tokens;
	}

	get policy(): string {
		return [...this.policies].join("+") || "none";
	}
}

/** One line of JSON for a request that has ended; Workers Logs index its fields. */
export function logLine(
	account: Account,
	status: number,
	requestId: string,
): string {
	const { method, route, client, policy, cache, spent } = account;
	return JSON.stringify({
		message: "request",
		request_id: requestId,
		method,
		route,
		status,
		client,
		policy,
		cache,
		prompt_tokens: spent.promptTokens,
		cached_tokens: spent.cachedTokens,
		completion_tokens: spent.completionTokens,
		exit_layers: spent.exitLayers,
		macs: spent.macs,
		macs_full: spent.macsFull,
	});
}

/** A data point; docs/deploy.md says what is in which column. */
export function writeDataPoint(
	dataset: Dataset,
	account: Account,
	status: number,
): void {
	const { client, route, policy, cache, spent } = account;
	dataset.writeDataPoint({
		indexes: [client],
		blobs: [
			route,
			String(status),
			policy,
			cache,
			JSON.stringify(spent.exitLayers),
		],
		doubles: [
			spent.promptTokens,
			spent.cachedTokens,
			spent.completionTokens,
			spent.macs,
			spent.macsFull,
		],
	});
}
