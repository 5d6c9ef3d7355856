import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Files that tests read, by name, as base64: workerd has no file system. */
const files = Object.fromEntries(
	[
		...globSync("test/vectors/*/*", { cwd: path(".") }),
		"test/conformance/project/golden.json",
		"build/assets/stories.bitskip",
		"build/assets/stories.tokenizer.json",
	].map((name) => [name, readFileSync(path(name)).toString("base64")]),
);

/** Property tests take a second or two, on a busy machine several times that. */
const testTimeout = 30_000;

/** The same tests in Node and in workerd; only how a compiled module is come by differs. */
const shared = (runtime: "node" | "workerd") => ({
	resolve: {
		alias: { "#modules": path(`test/support/modules.${runtime}.ts`) },
	},
});

const projects: TestProjectConfiguration[] = [
	{
		...shared("node"),
		test: {
			name: "node",
			testTimeout,
			include: ["test/*.test.ts", "test/node/*.test.ts"],
			provide: { files },
		},
	},
	{
		...shared("workerd"),
		plugins: [
			cloudflareTest({
				wrangler: { configPath: "./wrangler.toml" },
				miniflare: {
					bindings: { ENVIRONMENT: "development" },
					ratelimits: {
						TWO_A_MINUTE: {
							namespace_id: "1",
							simple: { limit: 2, period: 60 },
						},
					},
				},
			}),
		],
		test: {
			name: "workerd",
			testTimeout,
			include: ["test/*.test.ts", "test/workerd/*.test.ts"],
			provide: { files },
		},
	},
	{
		test: {
			name: "chromium",
			testTimeout: 4 * testTimeout,
			hookTimeout: 4 * testTimeout,
			include: ["test/browser/*.test.ts"],
		},
	},
];

// The endpoint logs each request: shown where a test fails.
export default defineConfig({ test: { projects, silent: "passed-only" } });
