/** Starts the endpoint and says how to talk to it. */

import { startWorker } from "./wrangler.ts";

const port = Number(process.env.PORT ?? 8787);
const body = {
	prompt: "Once upon a time",
	max_tokens: 200,
	temperature: 0.8,
	stream: true,
};
const worker = await startWorker({ port, ready: "/health", quiet: false });
for (const signal of ["SIGINT", "SIGTERM"] as const)
	process.on(signal, () => worker.stop());
console.log(`
The endpoint is up, with a page at ${worker.url}/. Or paste this into another terminal:

  curl -N ${worker.url}/v1/completions -H 'content-type: application/json' -d '${JSON.stringify(body)}'

Leave early by adding to the body: "bitskip": {"exit": "layer", "layer": 18}
Stop with Ctrl-C.`);
process.exitCode = await worker.ended;
