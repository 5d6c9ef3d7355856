/** Node, Deno and Bun: `server.js <kernel ...>` prints the results as JSON. */

import { readFileSync } from "node:fs";
import { conform } from "./suite.js";

const read = (name) =>
	new Uint8Array(
		readFileSync(
			new URL(
				`node_modules/bitskip-edge/build/assets/${name}`,
				import.meta.url,
			),
		),
	);
const results = await conform(
	{
		image: read("stories.bitskip"),
		tokenizer: new TextDecoder().decode(read("stories.tokenizer.json")),
	},
	JSON.parse(readFileSync(new URL("golden.json", import.meta.url), "utf8")),
	process.argv.slice(2),
);
console.log(JSON.stringify(results));
