/**
 * `bitskip serve`: the endpoint on Node.
 *
 * @module
 */

import { basename } from "node:path";
import { parseArgs } from "node:util";
import { serve as listen } from "@hono/node-server";
import { createEngine } from "../engine.ts";
import { createApp } from "../http/app.ts";
import type { Service } from "../http/choice.ts";
import { loadPath } from "../node.ts";
import { isKernel, KERNELS } from "../wasm.ts";
import { type Command, parseNumber, UsageError } from "./command.ts";

export const serve: Command = {
	summary: "OpenAI's completions API on this machine",
	usage: `Usage: bitskip serve [image|folder]

Serves a model, default the shipped one, as the Worker does: POST /v1/completions, GET /v1/models, GET
/health. No authentication: it listens on this machine only, unless --host says otherwise.

  --port N           default 8787; 0 takes a free one
  --host H           default 127.0.0.1
  --sequences N      completions under way at a time, default 4; others wait in line
  --macs-per-ms N    what budget_ms is multiplied by (npm run calibrate); without it budget_ms is refused
  --kernel K         ${KERNELS.join(", ")}, or auto (default), the faster one here
`,
	async run(args) {
		const { positionals, values } = parseArgs({
			args,
			allowPositionals: true,
			options: {
				port: { type: "string", default: "8787" },
				host: { type: "string", default: "127.0.0.1" },
				sequences: { type: "string", default: "4" },
				"macs-per-ms": { type: "string" },
				kernel: { type: "string", default: "auto" },
			},
		});
		if (positionals.length > 1)
			throw new UsageError("serve takes one image or folder");
		const { kernel, host: hostname } = values;
		if (kernel !== "auto" && !isKernel(kernel))
			throw new UsageError(
				`--kernel is ${kernel}, and must be auto, ${KERNELS.join(", ")}`,
			);
		const port = parseNumber("port", values.port, 0, 65535);
		const sequences = parseNumber("sequences", values.sequences, 1, 4096);
		const macsPerMs = values["macs-per-ms"];
		const [path] = positionals;
		const { model, tokenizer } = await loadPath(path, { kernel, sequences });
		const service: Service = {
			modelId:
				path === undefined
					? "bitskip-stories"
					: basename(path).replace(/\.bitskip$/, ""),
			engine: createEngine(model),
			tokenizer,
			...(macsPerMs !== undefined && {
				macsPerMs: parseNumber("macs-per-ms", macsPerMs, 1, 1e12),
			}),
		};
		const app = createApp(async () => service);
		await new Promise<void>((resolve, reject) => {
			const server = listen({ fetch: app.fetch, port, hostname }, (address) =>
				console.log(
					`${service.modelId} on http://${hostname}:${address.port} (${model.kernel} kernel, ${sequences} sequences); Ctrl-C stops it`,
				),
			);
			server.on("error", reject);
			server.on("close", resolve);
			for (const signal of ["SIGINT", "SIGTERM"] as const)
				process.once(signal, () => server.close());
		});
	},
};
