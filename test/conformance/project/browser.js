/** Browsers: posts the results to /results. Modules come one by one, by an import map, unbundled. */

import { conform } from "./suite.js";

const kernels = new URL(location.href).searchParams.get("kernels").split(",");
const assets = new URL(
	"/node_modules/bitskip-edge/build/assets/",
	location.href,
);
let results;
try {
	results = await conform(
		{
			image: new URL("stories.bitskip", assets),
			tokenizer: new URL("stories.tokenizer.json", assets),
		},
		await (await fetch("/golden.json")).json(),
		kernels,
	);
} catch (error) {
	results = kernels.map((kernel) => ({
		kernel,
		faults: [String(error)],
		ms: 0,
	}));
}
await fetch("/results", {
	method: "POST",
	body: JSON.stringify({ results, version: navigator.userAgent }),
});
