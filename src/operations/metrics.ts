/**
 * Counters of one isolate in Prometheus' text format. prom-client, the usual library, measures the Node
 * process it runs in and cannot be loaded in a Worker.
 *
 * @module
 */

import type { Account } from "./account.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Counts for each combination of label values. */
class Counter {
	readonly #counts = new Map<string, number>();
	readonly #name: string;
	readonly #help: string;

	constructor(name: string, help: string) {
		this.#name = name;
		this.#help = help;
	}

	add(count: number, labels: Record<string, string> = {}): void {
		const key = Object.entries(labels)
			.map(([name, value]) => `${name}="${escapeLabel(value)}"`)
			.join(",");
		this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
	}

	toString(): string {
		const samples = [...this.#counts].map(
			([key, count]) => `${this.#name}${key && `{${key}}`} ${count}\n`,
		);
		return describe(this.#name, "counter", this.#help) + samples.join("");
	}
}

function escapeLabel(value: string): string {
	return value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
}

function describe(name: string, type: string, help: string): string {
	return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

export class Metrics {
	/** Requests that compute now. */
	inFlight = 0;
	readonly #requests = new Counter(
		"bitskip_requests_total",
		"Requests that have ended.",
	);
	readonly #tokens = new Counter(
		"bitskip_tokens_total",
		"Tokens: of prompts, cached ones included; of these, cached; generated.",
	);
	readonly #macs = new Counter(
		"bitskip_macs_total",
		"Multiply-accumulates computed.",
	);
	readonly #macsFull = new Counter(
		"bitskip_macs_full_total",
		"Multiply-accumulates of the same tokens at full depth, nothing cached.",
	);
	readonly #exits = new Counter(
		"bitskip_exit_tokens_total",
		"Generated tokens by the layer behind which they left.",
	);
	readonly #cache = new Counter(
		"bitskip_edge_cache_total",
		"Completions asked for by GET, by whether the edge had them.",
	);

	/** Counts a request that has ended. */
	record({ route, policy, cache, spent }: Account, status: number): void {
		this.#requests.add(1, { route, status: String(status) });
		if (cache !== "none") this.#cache.add(1, { result: cache });
		if (spent.promptTokens === 0) return;
		for (const [kind, count] of [
			["prompt", spent.promptTokens],
			["cached", spent.cachedTokens],
			["completion", spent.completionTokens],
		] as const)
			this.#tokens.add(count, { kind, policy });
		this.#macs.add(spent.macs, { policy });
		this.#macsFull.add(spent.macsFull, { policy });
		for (const [layer, tokens] of Object.entries(spent.exitLayers))
			this.#exits.add(tokens, { layer });
	}

	/** Prometheus' text format 0.0.4. */
	toString(): string {
		const name = "bitskip_requests_in_flight";
		const gauge = `${describe(name, "gauge", "Requests that compute now.")}${name} ${this.inFlight}\n`;
		return [
			gauge,
			this.#requests,
			this.#tokens,
			this.#macs,
			this.#macsFull,
			this.#exits,
			this.#cache,
		].join("");
	}
}
