/** A Worker with our strict build: POST takes an image, GET measures a round of it. */

import strict from "../../build/strict.wasm";
import { loadModel } from "../../src/wasm.ts";
import { modelSession } from "./model_session.ts";
import { measureSession, type Session } from "./session.ts";

let session: Session | undefined;
let vocabSize = 0;

export default {
	async fetch(request: Request): Promise<Response> {
		if (request.method === "POST") {
			const image = new Uint8Array(await request.arrayBuffer());
			const model = loadModel(strict, image, { sequences: 1 });
			session = modelSession(model);
			vocabSize = model.config.vocabSize;
		}
		if (!session) return new Response("POST an image first", { status: 404 });
		return Response.json(await measureSession(session, vocabSize));
	},
};
