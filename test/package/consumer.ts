// Compiled and run by scripts/check_package.ts in a project that has only the package.
import { readFileSync } from "node:fs";
import { load, loadSync, ModelError } from "bitskip-edge";
import { completions } from "bitskip-edge/hono";
import { HEADER_SIZE } from "bitskip-edge/image";
import { pack } from "bitskip-edge/pack";

const read = (name: string) =>
	new Uint8Array(
		readFileSync(new URL(import.meta.resolve(`bitskip-edge/${name}`))),
	);
const image = read("stories.bitskip");
const tokenizer = new TextDecoder().decode(read("stories.tokenizer.json"));

const model = await load({ image, tokenizer });
const prompt = "Once upon a time";
let text = "";
for await (const token of model.generate(prompt, {
	budgetMacs: 100e6,
	signal: AbortSignal.timeout(60_000),
	maxTokens: 8,
}))
	text += token.text;

const sync = loadSync({ module: read("strict.wasm"), image, tokenizer });
let same = "";
for await (const token of sync.generate(prompt, {
	budgetMacs: 100e6,
	maxTokens: 8,
}))
	same += token.text;

const fetched = await load({
	module: new Response(read("strict.wasm")),
	image: new Response(image),
	tokenizer: new Response(tokenizer),
});
const response = await completions(fetched, { modelId: "stories" }).request(
	"/v1/models",
);
const { data } = (await response.json()) as { data: { id: string }[] };

let refused = false;
try {
	loadSync({ module: read("strict.wasm"), image: image.slice(1), tokenizer });
} catch (error) {
	refused = error instanceof ModelError;
}
console.log(
	JSON.stringify({
		text,
		same,
		id: data[0]?.id,
		refused,
		headerSize: HEADER_SIZE,
		pack: typeof pack,
	}),
);
