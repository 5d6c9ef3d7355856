/**
 * The Cloudflare Worker: the endpoint with the WebAssembly module and the model of this deployment.
 *
 * @module
 */

import relaxed from "../build/relaxed.wasm";
import strict from "../build/strict.wasm";
import { createEngine } from "./engine.ts";
import { createApp } from "./http/app.ts";
import type { Service } from "./http/choice.ts";
import { type Assets, createSite } from "./http/site.ts";
import { type Metered, operate } from "./operations/operate.ts";
import type { OperationsBindings } from "./operations/settings.ts";
import { createTokenizer } from "./tokenizer.ts";
import { buildOf, type Kernel, loadModel } from "./wasm.ts";

export interface Bindings extends OperationsBindings {
	/** Holds the model and the page; no request reaches it but through this Worker. */
	ASSETS: Assets;
	/** What the matrix products use; wrangler.toml says which is best where. */
	KERNEL: Kernel;
	/** What `budget_ms` is multiplied by; wrangler.toml says how it was measured. */
	MACS_PER_MS?: number;
}

const MODEL_ID = "bitskip-stories";

/** Requests that compute side by side; each has 1.8 MB of keys and values, of an isolate's 128. */
const SEQUENCES = 16;
/** One model an isolate, loaded by the first request that needs it. */
let service: Service | undefined;

/**
 * No promise is shared between requests: it would hang the others when the request that began to
 * load is cancelled. So the first few may each fetch the files, but only one of them instantiates.
 */
async function getService({
	ASSETS,
	KERNEL,
	MACS_PER_MS,
}: Bindings): Promise<Service> {
	if (service) return service;
	const [image, tokenizer] = await Promise.all([
		fetchAsset(ASSETS, "stories.bitskip").then((r) => r.arrayBuffer()),
		fetchAsset(ASSETS, "stories.tokenizer.json").then((r) => r.text()),
	]);
	service ??= {
		modelId: MODEL_ID,
		engine: createEngine(
			loadModel(
				buildOf(KERNEL) === "strict" ? strict : relaxed,
				new Uint8Array(image),
				{ kernel: KERNEL, sequences: SEQUENCES },
			),
		),
		tokenizer: createTokenizer(tokenizer),
		...(MACS_PER_MS !== undefined && { macsPerMs: MACS_PER_MS }),
	};
	return service;
}

async function fetchAsset(assets: Assets, name: string): Promise<Response> {
	const response = await assets.fetch(`https://assets.local/${name}`);
	if (!response.ok)
		throw new Error(`asset ${name}: ${response.status}; run \`npm run build\``);
	return response;
}

const endpoint = createApp<Bindings & Metered>(async (env) => {
	const service = await getService(env);
	return { ...service, engine: env.METER(service.engine) };
});
const operated = operate<Bindings>(endpoint);

/** The page's files; all else is the endpoint's. */
export default createSite<Bindings>().all("*", (c) =>
	operated.fetch(c.req.raw, c.env, c.executionCtx),
);
