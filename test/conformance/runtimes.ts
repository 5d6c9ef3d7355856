/**
 * Where the conformance suite runs: each runtime, how to find it, how to have it run the golden cases in a
 * project that has installed the package.
 *
 * @module
 */

import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { json } from "node:stream/consumers";
import { promisify } from "node:util";
import { serveBundle } from "../../scripts/bare_workerd.ts";
import type { Kernel } from "../../src/wasm.ts";
import { findChromium, freePort } from "../support/chromium.ts";
import golden from "./project/golden.json" with { type: "json" };

export interface Result {
	kernel: string;
	/** What differs from the golden cases. */
	faults: string[];
	ms: number;
}

export interface Outcome {
	version: string;
	results: Result[];
}

export interface Runtime {
	name: string;
	kernels: readonly Kernel[];
	/** A reason why it cannot run here. */
	missing?: string | undefined;
	run(project: string): Promise<Outcome>;
}

const ALL = ["strict", "dot8", "dot16"] as const;
const TIMEOUT_MS = 120_000;
const execute = promisify(execFile);

/** What a command prints, without the last line's end. */
async function say(command: string, args: string[], cwd?: string) {
	const options = { timeout: TIMEOUT_MS, ...(cwd && { cwd }) };
	return (await execute(command, args, options)).stdout.trimEnd();
}

/** A program of this folder's package.json. */
const own = (path: string) =>
	resolve(import.meta.dirname, "node_modules", path);

function missing(path: string | undefined, how: string): string | undefined {
	return path && existsSync(path) ? undefined : how;
}

/** Node, Deno or Bun: what runs a script. */
function script(
	name: string,
	command: string,
	kernels: readonly Kernel[],
	args: string[] = [],
): Runtime {
	return {
		name,
		kernels,
		missing: missing(command, "npm has it for Linux on x64 only"),
		async run(project) {
			const [version] = (await say(command, ["--version"])).split(/ \(|\n/);
			const call = [...args, "server.js", ...kernels];
			const answer = await say(command, call, project);
			return { version: version as string, results: JSON.parse(answer) };
		},
	};
}

/** A browser that opens a page, which posts what it found. */
function browser(
	name: string,
	command: string | undefined,
	args: (profile: string) => string[],
	how: string,
): Runtime {
	return {
		name,
		kernels: ALL,
		missing: missing(command, how),
		async run(project) {
			const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
			const server = createServer(async (request, response) => {
				const { pathname } = new URL(request.url ?? "", "http://localhost");
				if (request.method === "POST") {
					resolve((await json(request)) as Outcome);
					return response.end();
				}
				const file = join(project, pathname);
				if (!file.startsWith(project) || !existsSync(file))
					return response.writeHead(404).end();
				response.setHeader("content-type", TYPES[extname(file)] ?? "");
				response.end(readFileSync(file));
			});
			const port = await freePort();
			server.listen(port, "127.0.0.1");
			const profile = mkdtempSync(join(tmpdir(), "bitskip-"));
			const url = `http://127.0.0.1:${port}/browser.html?kernels=${ALL.join(",")}`;
			const child = spawn(command as string, [...args(profile), url], {
				stdio: "ignore",
			});
			const ended = new Promise((resolve) => child.on("close", resolve));
			child.on("error", reject);
			const timer = setTimeout(
				() => reject(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)),
				TIMEOUT_MS,
			);
			try {
				const { version, results } = await promise;
				const product = /(Chrome|Firefox)\/[\d.]+/.exec(version);
				return { version: product?.[0] ?? version, results };
			} finally {
				clearTimeout(timer);
				child.kill();
				await ended;
				server.closeAllConnections();
				server.close();
				rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
			}
		},
	};
}

const TYPES: Record<string, string> = {
	".html": "text/html",
	".js": "text/javascript",
	".mjs": "text/javascript",
	".json": "application/json",
	".wasm": "application/wasm",
	".bitskip": "application/octet-stream",
};

/** A host of the raw ABI in examples/: it decodes greedily and leaves at a layer, so it has those cases. */
function rawHost(
	name: string,
	command: string,
	host: string,
	version: () => Promise<string>,
	why?: string,
): Runtime {
	return {
		name,
		kernels: ["strict", "dot8"],
		missing: why,
		async run(project) {
			const build = join(project, "node_modules/bitskip-edge/build");
			const results: Result[] = [];
			for (const kernel of ["strict", "dot8"] as const) {
				const begun = performance.now();
				const faults: string[] = [];
				const file = kernel === "strict" ? "strict" : "relaxed";
				for (const [
					i,
					{ exit, promptIds, maxTokens, ids },
				] of golden.cases.entries()) {
					if (exit.exit !== "layer" && exit.exit !== "full") continue;
					const got = await say(command, [
						resolve("examples", host),
						join(build, `${file}.wasm`),
						join(build, "assets/stories.bitskip"),
						String(exit.layer ?? golden.layers),
						String(maxTokens),
						promptIds.join(","),
					]);
					if (got !== ids.join(","))
						faults.push(`case ${i}: is ${got}, should be ${ids}`);
				}
				results.push({ kernel, faults, ms: performance.now() - begun });
			}
			return { version: await version(), results };
		},
	};
}

const workerd: Runtime = {
	name: "workerd",
	kernels: ALL,
	async run(project) {
		await say(
			process.execPath,
			[
				resolve("node_modules/wrangler/bin/wrangler.js"),
				...["deploy", "worker.js", "--dry-run", "--outdir", "bundle"],
				...["--config", resolve(import.meta.dirname, "wrangler.toml")],
			],
			project,
		);
		const server = await serveBundle(join(project, "bundle"), {
			port: await freePort(),
			compatibilityDate: "2026-11-01",
		});
		try {
			const response = await fetch(`${server.url}/?kernels=${ALL.join(",")}`);
			return {
				version: await say(resolve("node_modules/.bin/workerd"), ["--version"]),
				results: (await response.json()) as Result[],
			};
		} finally {
			await server.stop();
		}
	},
};

const PYTHON = process.env.PYTHON ?? "python3";
const wasmtime = [
	"-c",
	"from importlib.metadata import version; print(version('wasmtime'))",
];

export async function runtimes(): Promise<Runtime[]> {
	const noWasmtime = await say(PYTHON, wasmtime).then(
		() => undefined,
		() => "`pip install wasmtime` for python3, or for $PYTHON",
	);
	return [
		// Relaxed SIMD is off in Node 20, and wrong when switched on.
		script("Node 20", own("node20-linux-x64/bin/node"), ["strict"]),
		script("Node 22", own("node22-linux-x64/bin/node"), ALL),
		script("Node 24", process.execPath, ALL),
		script("Deno", own("@deno/linux-x64-glibc/deno"), ALL, [
			...["run", "--node-modules-dir=manual", "--allow-read", "--allow-env"],
		]),
		script("Bun", own("@oven/bun-linux-x64-baseline/bin/bun"), ALL),
		workerd,
		browser(
			"Chromium",
			findChromium(),
			(profile) => [
				...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"],
				...["--no-first-run", "--disable-background-networking"],
				...["--disable-component-update", "--disable-sync"],
				`--user-data-dir=${profile}`,
			],
			"`apt-get install chromium`, or set CHROMIUM to its path",
		),
		browser(
			"Firefox",
			process.env.FIREFOX ?? "/usr/bin/firefox-esr",
			(profile) => ["--headless", "--no-remote", "--profile", profile],
			"`apt-get install firefox-esr`, or set FIREFOX to its path",
		),
		rawHost(
			"raw ABI, Node",
			process.execPath,
			"node/host.js",
			async () => process.version,
		),
		rawHost(
			"raw ABI, wasmtime",
			PYTHON,
			"python/host.py",
			() => say(PYTHON, wasmtime),
			noWasmtime,
		),
	];
}
