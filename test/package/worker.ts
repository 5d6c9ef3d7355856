// Bundled by scripts/check_package.ts in a project that has only the package.
import { load } from "bitskip-edge";
import { createApp } from "bitskip-edge/hono";

interface Bindings {
	ASSETS: { fetch(url: string): Promise<Response> };
}

export default createApp<Bindings>(async ({ ASSETS }) => {
	const asset = (name: string) => ASSETS.fetch(`https://assets.local/${name}`);
	const { engine, tokenizer } = await load({
		image: await asset("stories.bitskip"),
		tokenizer: await asset("stories.tokenizer.json"),
		kernel: "dot16",
	});
	return { modelId: "stories", engine, tokenizer };
});
