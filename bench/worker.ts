/** A Worker that runs one round of bench/measure.ts for each request: `/strict`, `/dot8` or `/dot16`. */

import relaxed from "../build/relaxed.wasm";
import strict from "../build/strict.wasm";
import { buildOf, isKernel, loadModel, type Model } from "../src/wasm.ts";
import { measureRound } from "./measure.ts";

interface Bindings {
	ASSETS: { fetch(url: string): Promise<Response> };
}

const models: Partial<Record<string, Model>> = {};

export default {
	async fetch(request: Request, { ASSETS }: Bindings): Promise<Response> {
		const kernel = new URL(request.url).pathname.slice(1);
		if (!isKernel(kernel))
			return new Response("ask for /strict, /dot8 or /dot16", { status: 404 });
		const image = await ASSETS.fetch("https://assets.local/stories.bitskip");
		const module = buildOf(kernel) === "strict" ? strict : relaxed;
		models[kernel] ??= loadModel(
			module,
			new Uint8Array(await image.arrayBuffer()),
			{
				sequences: 1,
				kernel,
			},
		);
		return Response.json(measureRound(models[kernel]));
	},
};
