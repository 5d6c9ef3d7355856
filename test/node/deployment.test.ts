import { describe, expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { readSettings } from "../../src/operations/settings.ts";

/** What `wrangler deploy` reads. */
const read = (env?: string) =>
	unstable_readConfig({ config: "wrangler.toml", ...(env && { env }) });

describe("wrangler.toml", () => {
	it.each([undefined, "production", "staging"])(
		"%s: closed without keys, logged, with a backstop and a model",
		(env) => {
			const { vars, observability, limits, assets, version_metadata } =
				read(env);
			expect(() => readSettings(vars)).toThrow(/API_KEYS: not set/);
			expect(observability?.enabled).toBe(true);
			expect(limits?.cpu_ms).toBeLessThanOrEqual(2000);
			expect(assets).toMatchObject({
				binding: "ASSETS",
				run_worker_first: true,
			});
			expect(version_metadata?.binding).toBe("CF_VERSION_METADATA");
		},
	);

	it.each(["production", "staging"])(
		"%s: rate limit, data points, and caps that the backstop covers",
		(env) => {
			const { name, vars, limits, ratelimits, analytics_engine_datasets } =
				read(env);
			const settings = readSettings({ ...vars, API_KEYS: "0123456789abcdef" });
			expect(settings.ENVIRONMENT).toBe(env);
			expect(name).toBe(
				env === "production" ? "bitskip-edge" : "bitskip-edge-staging",
			);
			// Retry-After says 60 s.
			expect(ratelimits).toMatchObject([
				{ name: "RATE_LIMITER", simple: { period: 60 } },
			]);
			expect(analytics_engine_datasets?.[0]?.binding).toBe("ANALYTICS");
			const { MACS_PER_MS } = vars as { MACS_PER_MS: number };
			const cpuMs = limits?.cpu_ms ?? 0;
			expect(settings.MAX_MACS / MACS_PER_MS).toBeLessThan(cpuMs);
			expect(settings.MAX_CONCURRENCY).toBeLessThan(100);
			expect(settings.MAX_PROMPT_TOKENS).toBeLessThan(512);
			expect(settings.MAX_TOKENS).toBeLessThan(512);
		},
	);

	it("the two share no counter", () => {
		const ids = ["production", "staging"].map(
			(env) => read(env).ratelimits[0]?.namespace_id,
		);
		expect(new Set(ids).size).toBe(2);
	});
});
