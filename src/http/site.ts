/**
 * The page at `/`, the API's documentation at `/docs/`, and the files that they need. Nothing else of the
 * assets is served.
 *
 * @module
 */

import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";

export interface Assets {
	fetch(request: string | Request): Promise<Response>;
}

/** The paths that visitors may have; `scripts/page.ts` and the packer write what is there. */
const FILES = [
	"/",
	"/docs/",
	"/docs/docs.js",
	"/docs/swagger-ui.css",
	"/docs/swagger-ui-bundle.js",
	"/page/page.css",
	"/page/page.js",
	"/page/local.worker.js",
	"/page/relaxed.wasm",
	"/page/strict.wasm",
	"/stories.bitskip",
	"/stories.tokenizer.json",
];

/** Only what comes from here runs. Isolation from other origins gives the page's Worker a finer clock. */
const headers = secureHeaders({
	contentSecurityPolicy: {
		defaultSrc: ["'none'"],
		scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
		workerSrc: ["'self'"],
		styleSrc: ["'self'"],
		connectSrc: ["'self'"],
		imgSrc: ["data:"],
		baseUri: ["'none'"],
		formAction: ["'none'"],
		frameAncestors: ["'none'"],
	},
	crossOriginEmbedderPolicy: true,
	xXssProtection: false,
});

/** The routes of the page's files. */
export function createSite<Bindings extends { ASSETS: Assets }>() {
	const site = new Hono<{ Bindings: Bindings }>();
	site.on("GET", FILES, headers, async (c) => {
		const found = await c.env.ASSETS.fetch(c.req.raw);
		const response = new Response(found.body, found);
		// Asked for again with its ETag each time, so that page and model are always of one build.
		response.headers.set("cache-control", "no-cache");
		return response;
	});
	return site.get("/docs", (c) => c.redirect("/docs/"));
}
