/**
 * Bundles the page and its Web Worker into the assets, with the modules they need beside them; and the
 * API's documentation, Swagger UI on /openapi.json.
 */

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { readConfig } from "../src/image.ts";
import type { Manifest, ModelFile } from "../src/page/manifest.ts";
import { curve } from "./curve.ts";

const ASSETS = "build/assets";
const SWAGGER_UI = "node_modules/swagger-ui-dist";
mkdirSync(`${ASSETS}/page`, { recursive: true });
mkdirSync(`${ASSETS}/docs`, { recursive: true });
const digest = createHash("sha256");

/** Counts the file at `url` of the assets into the version. */
function describe(url: string): ModelFile {
	const content = readFileSync(ASSETS + url);
	digest.update(content);
	return { url, bytes: content.length };
}

await build({
	entryPoints: [
		"src/page/page.ts",
		"src/page/local.worker.ts",
		"src/page/page.css",
	],
	outdir: `${ASSETS}/page`,
	bundle: true,
	minify: true,
	format: "esm",
	target: "es2024",
	define: { MANIFEST: JSON.stringify(manifest()) },
	logLevel: "warning",
});
const html = readFileSync("src/page/index.html", "utf8");
const { points } = JSON.parse(readFileSync("bench/results/exits.json", "utf8"));
writeFileSync(
	`${ASSETS}/index.html`,
	html.replace("<!-- curve -->", () => curve(points)).replace(/\n\t+/g, "\n"),
);
for (const name of ["swagger-ui.css", "swagger-ui-bundle.js", "LICENSE"])
	copyFileSync(`${SWAGGER_UI}/${name}`, `${ASSETS}/docs/${name}`);
for (const name of ["index.html", "docs.js"])
	copyFileSync(`src/page/docs/${name}`, `${ASSETS}/docs/${name}`);

function manifest(): Manifest {
	for (const name of ["relaxed.wasm", "strict.wasm"])
		copyFileSync(`build/${name}`, `${ASSETS}/page/${name}`);
	const files = {
		image: describe("/stories.bitskip"),
		tokenizer: describe("/stories.tokenizer.json"),
		relaxed: describe("/page/relaxed.wasm"),
		strict: describe("/page/strict.wasm"),
	};
	const { exits, maxSeqLen } = readConfig(
		readFileSync(`${ASSETS}${files.image.url}`),
	);
	const version = digest.digest("hex").slice(0, 16);
	return { version, files, exits, maxSeqLen };
}
