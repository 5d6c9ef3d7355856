/** Starts the endpoint under `wrangler dev`, without questions, telemetry or the network. */

import { spawn } from "node:child_process";

const port = process.env.PORT ?? "8787";
const url = `http://localhost:${port}`;
const body = {
	prompt: "Once upon a time",
	max_tokens: 200,
	temperature: 0.8,
	stream: true,
};
const wrangler = spawn(
	process.execPath,
	["node_modules/wrangler/bin/wrangler.js", "dev", "--port", port],
	{
		env: {
			...process.env,
			CI: "true",
			WRANGLER_SEND_METRICS: "false",
			CLOUDFLARE_CF_FETCH_ENABLED: "false",
			NO_UPDATE_NOTIFIER: "1",
		},
		stdio: ["ignore", "inherit", "inherit"],
	},
);
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, () => wrangler.kill("SIGINT"));
wrangler.on("exit", (code) => process.exit(code ?? 0));

for (let tries = 0; tries < 300; tries++) {
	const up = await fetch(`${url}/health`).then(
		(response) => response.ok,
		() => false,
	);
	if (up) {
		console.log(`
The endpoint is up. Paste this into another terminal:

  curl -N ${url}/v1/completions -H 'content-type: application/json' -d '${JSON.stringify(body)}'

Leave early by adding to the body: "bitskip": {"exit": "layer", "layer": 18}
Stop with Ctrl-C.`);
		break;
	}
	await new Promise((resolve) => setTimeout(resolve, 200));
}
