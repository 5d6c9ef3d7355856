/** workerd: `GET /?kernels=strict,dot8` answers with the results. */

import image from "bitskip-edge/stories.bitskip";
import tokenizer from "bitskip-edge/stories.tokenizer.json";
import golden from "./golden.json";
import { conform } from "./suite.js";

export default {
	async fetch(request) {
		const kernels = new URL(request.url).searchParams.get("kernels").split(",");
		const sources = { image, tokenizer: JSON.stringify(tokenizer) };
		return Response.json(await conform(sources, golden, kernels));
	},
};
