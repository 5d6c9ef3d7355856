/**
 * Builds what is missing or older than its sources: the module in both builds, the same with bare
 * kernels for tests and benchmarks, the packed model, and the page.
 */

import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, statSync } from "node:fs";
import { performance } from "node:perf_hooks";

const ASSEMBLY = ["asconfig.json", ...globSync("assembly/*.ts")];

interface Step {
	outputs: string[];
	inputs: string[];
	command: string[];
}

const module = (entry: string, target: string): Step => ({
	outputs: [`build/${target}.wasm`],
	inputs: ASSEMBLY,
	command: [
		"node_modules/assemblyscript/bin/asc.js",
		`assembly/${entry}.ts`,
		"--target",
		target,
	],
});

const STEPS: Step[] = [
	module("index", "strict"),
	module("index", "relaxed"),
	module("kernels", "kernels-strict"),
	module("kernels", "kernels-relaxed"),
	{
		outputs: [
			"build/assets/stories.bitskip",
			"build/assets/stories.tokenizer.json",
		],
		inputs: [
			...globSync("models/stories/*.{json,safetensors}"),
			...globSync("src/pack/*.ts"),
			"src/image.ts",
		],
		command: [
			"src/cli/main.ts",
			"pack",
			"models/stories",
			"build/assets/stories.bitskip",
		],
	},
	{
		outputs: [
			"build/assets/index.html",
			"build/assets/page/page.js",
			"build/assets/docs/index.html",
		],
		inputs: [
			...globSync("src/**/*.{ts,html,css}"),
			...globSync("build/{strict,relaxed}.wasm"),
			...globSync("build/assets/stories.*"),
			"scripts/page.ts",
			"scripts/curve.ts",
			"bench/results/exits.json",
			"package-lock.json",
		],
		command: ["scripts/page.ts"],
	},
];

const modified = (path: string) =>
	existsSync(path) ? statSync(path).mtimeMs : 0;

mkdirSync("build/assets", { recursive: true });
for (const { outputs, inputs, command } of STEPS) {
	const newest = Math.max(...inputs.map(modified));
	if (Math.min(...outputs.map(modified)) > newest) continue;
	const begun = performance.now();
	const { status } = spawnSync(process.execPath, command, { stdio: "inherit" });
	if (status !== 0) process.exit(status ?? 1);
	const seconds = ((performance.now() - begun) / 1000).toFixed(1);
	for (const output of outputs)
		console.error(
			`built ${output}, ${statSync(output).size} bytes (${seconds} s)`,
		);
}
