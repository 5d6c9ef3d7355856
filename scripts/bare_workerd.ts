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

const WORKERD = resolve("node_modules/workerd/bin/workerd");

export interface BareWorkerd {
	url: string;
	pid: number;
	stop(): Promise<void>;
}

interface Options {
	port: number;
	compatibilityDate: string;
	compatibilityFlags?: string[];
	vars?: Record<string, unknown>;
	/** A folder of files, as the binding ASSETS. */
	assets?: string;
}

/** This project's Worker. Resolves when it answers. @param port one that is free. */
export async function startWorkerd(port: number): Promise<BareWorkerd> {
	const bundle = "build/worker";
	const args = ["deploy", "--dry-run", "--outdir", bundle];
	const bundled = spawnSync(
		process.execPath,
		["node_modules/wrangler/bin/wrangler.js", ...args],
		{ env: { ...process.env, CI: "true", WRANGLER_SEND_METRICS: "false" } },
	);
	if (bundled.status !== 0) throw new Error(String(bundled.stderr));
	const config = unstable_readConfig({ config: "wrangler.toml" });
	return serveBundle(bundle, {
		port,
		compatibilityDate: config.compatibility_date as string,
		compatibilityFlags: config.compatibility_flags ?? [],
		vars: { ...config.vars, ENVIRONMENT: "development" },
		assets: "build/assets",
	});
}

/** What `wrangler deploy --outdir` left in the folder `bundle`. Resolves when it answers. */
export async function serveBundle(
	bundle: string,
	options: Options,
): Promise<BareWorkerd> {
	const config = `${bundle}/workerd.capnp`;
	writeFileSync(config, describe(bundle, options));
	const child = spawn(WORKERD, ["serve", config], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	let complaints = "";
	child.stderr.on("data", (text) => {
		complaints += text;
	});
	const ended = new Promise<void>((resolve) => {
		child.on("exit", () => resolve());
	});
	const url = `http://localhost:${options.port}`;
	while (child.exitCode === null && child.pid) {
		const answer = await fetch(url, { method: "HEAD" }).catch(() => undefined);
		if (answer)
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

/** workerd's configuration, which it reads in Cap'n Proto's text. */
function describe(
	bundle: string,
	{
		port,
		compatibilityDate,
		compatibilityFlags = [],
		vars = {},
		assets,
	}: Options,
): string {
	const kinds: Record<string, string> = { wasm: "wasm", bitskip: "data" };
	const modules = readdirSync(bundle).flatMap((name) => {
		const kind = kinds[name.split(".").at(-1) as string];
		return kind ? [`(name = "${name}", ${kind} = embed "${name}")`] : [];
	});
	const bindings = Object.entries(vars).map(
		([name, value]) =>
			`(name = "${name}", json = ${JSON.stringify(JSON.stringify(value))})`,
	);
	const services = [];
	if (assets) {
		services.push(`(name = "assets", disk = (path = "${resolve(assets)}"))`);
		bindings.push('(name = "ASSETS", service = "assets")');
	}
	return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js"), ${modules.join(", ")}],
      compatibilityDate = "${compatibilityDate}",
      compatibilityFlags = ${JSON.stringify(compatibilityFlags)},
      bindings = [${bindings.join(", ")}],
    )),
    ${services.join(", ")}
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "worker")],
);
`;
}
