/** Runs `wrangler dev` without questions, telemetry or the network. */

import { spawn } from "node:child_process";

export interface LocalWorker {
	url: string;
	/** Ends wrangler and the workerd it started. */
	stop(): Promise<void>;
	/** Settles when wrangler ends by itself. */
	ended: Promise<number>;
}

/**
 * Resolves when the Worker answers at all.
 * @param ready the path to ask for meanwhile.
 * @param quiet keeps wrangler's own output back, unless it fails.
 */
export async function startWorker({
	config = "wrangler.toml",
	port,
	ready,
	quiet = true,
}: {
	config?: string;
	port: number;
	ready: string;
	quiet?: boolean;
}): Promise<LocalWorker> {
	const url = `http://localhost:${port}`;
	const wrangler = spawn(
		process.execPath,
		[
			"node_modules/wrangler/bin/wrangler.js",
			"dev",
			...["--config", config, "--port", String(port)],
			...["--var", "ENVIRONMENT:development"],
		],
		{
			env: {
				...process.env,
				CI: "true",
				WRANGLER_SEND_METRICS: "false",
				CLOUDFLARE_CF_FETCH_ENABLED: "false",
				NO_UPDATE_NOTIFIER: "1",
			},
			stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
		},
	);
	let output = "";
	for (const stream of [wrangler.stdout, wrangler.stderr])
		stream?.on("data", (text) => {
			output += text;
		});
	let running = true;
	const ended = new Promise<number>((resolve) => {
		wrangler.on("exit", (code) => {
			running = false;
			resolve(code ?? 0);
		});
	});
	const stop = async () => {
		wrangler.kill("SIGINT");
		await ended;
	};
	while (running) {
		const answered = await fetch(url + ready).then(
			() => true,
			() => false,
		);
		if (answered) return { url, stop, ended };
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
	throw new Error(`wrangler dev ended with ${await ended}\n${output}`);
}
