/** A Worker that runs one round of bench/measure.ts for each request: `/strict` or `/relaxed`. */

import relaxed from "../build/relaxed.wasm";
import strict from "../build/strict.wasm";
import { loadModel, type Model } from "../src/wasm.ts";
import { measureRound } from "./measure.ts";

interface Bindings {
	ASSETS: { fetch(url: string): Promise<Response> };
}

const models: Partial<Record<string, Model>> = {};

export default {
	async fetch(request: Request, { ASSETS }: Bindings): Promise<Response> {
		const build = new URL(request.url).pathname.slice(1);
		if (build !== "strict" && build !== "relaxed")
			return new Response("ask for /strict or /relaxed", { status: 404 });
		const image = await ASSETS.fetch("https://assets.local/stories.bitskip");
		const module = build === "strict" ? strict : relaxed;
		models[build] ??= loadModel(
			module,
			new Uint8Array(await image.arrayBuffer()),
			{
				sequences: 1,
			},
		);
		return Response.json(measureRound(models[build]));
	},
};
