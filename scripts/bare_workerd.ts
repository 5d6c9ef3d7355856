/**
 * Runs the Worker in workerd alone, without wrangler's proxy and inspector, whose memory grows by some
 * 50 KB with each request whatever the Worker does.
 *
 * @module
 */

import { spawn, spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { unstable_readConfig } from "wrangler";

const WORKERD = "node_modules/workerd/bin/workerd";
const BUNDLE = "build/worker";

export interface BareWorkerd {
	url: string;
	pid: number;
	stop(): Promise<void>;
}

/** Resolves when the Worker answers. @param port one that is free. */
export async function startWorkerd(port: number): Promise<BareWorkerd> {
	const args = ["deploy", "--dry-run", "--outdir", BUNDLE];
	const bundled = spawnSync(
		process.execPath,
		["node_modules/wrangler/bin/wrangler.js", ...args],
		{ env: { ...process.env, CI: "true", WRANGLER_SEND_METRICS: "false" } },
	);
	if (bundled.status !== 0) throw new Error(String(bundled.stderr));
	writeFileSync(`${BUNDLE}/workerd.capnp`, describe(port));
	const child = spawn(WORKERD, ["serve", `${BUNDLE}/workerd.capnp`], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	let complaints = "";
	child.stderr.on("data", (text) => {
		complaints += text;
	});
	const ended = new Promise<void>((resolve) =>
		child.on("exit", () => resolve()),
	);
	const url = `http://localhost:${port}`;
	while (child.exitCode === null && child.pid) {
		if (await fetch(`${url}/health`).catch(() => undefined))
			return {
				url,
				pid: child.pid,
				async stop() {
					child.kill();
					await ended;
				},
			};
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error(`workerd ended: ${complaints}`);
}

/** workerd's configuration of what wrangler.toml describes. */
function describe(port: number): string {
	const config = unstable_readConfig({ config: "wrangler.toml" });
	const modules = readdirSync(BUNDLE)
		.filter((name) => name.endsWith(".wasm"))
		.map((name) => `(name = "${name}", wasm = embed "${name}")`);
	const bindings = Object.entries({
		...config.vars,
		ENVIRONMENT: "development",
	}).map(
		([name, value]) =>
			`(name = "${name}", json = ${JSON.stringify(JSON.stringify(value))})`,
	);
	return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js"), ${modules.join(", ")}],
      compatibilityDate = "${config.compatibility_date}",
      compatibilityFlags = ${JSON.stringify(config.compatibility_flags)},
      bindings = [(name = "ASSETS", service = "assets"), ${bindings.join(", ")}],
    )),
    (name = "assets", disk = (path = "${resolve("build/assets")}")),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "worker")],
);
`;
}
