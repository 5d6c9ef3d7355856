import { describe, expect, it } from "vitest";
import { modules } from "#modules";
import { complete } from "../src/completion.ts";
import { createEngine, type GeneratedToken } from "../src/engine.ts";
import { argmax } from "../src/sampler.ts";
import { createTokenizer } from "../src/tokenizer.ts";
import { buildOf, KERNELS, loadModel } from "../src/wasm.ts";
import {
	readFile,
	readGolden,
	readGoldenStory,
	readText,
} from "./support/files.ts";
import { expectGolden } from "./support/golden.ts";

/** What runtimes are compared by; test/conformance/golden.ts makes it anew. */
const golden = JSON.parse(readText("test/conformance/project/golden.json"));

describe.each(KERNELS)("the shipped model, %s kernel", (kernel) => {
	const model = loadModel(
		modules[buildOf(kernel)],
		readFile("build/assets/stories.bitskip"),
		{ kernel },
	);

	it("has PyTorch's logits and gates at every exit, and of mixed depths", () => {
		expectGolden(model, readGolden("stories"));
	});

	it("says the conformance suite's golden tokens", async () => {
		const engine = createEngine(model);
		expect(golden.model).toBe(engine.fingerprint);
		for (const {
			promptIds,
			exit,
			maxTokens,
			ids,
			exitLayers,
		} of golden.cases) {
			const tokens: GeneratedToken[] = [];
			const options = { exit, maxTokens, sample: argmax };
			for await (const token of engine.generate(promptIds, options))
				tokens.push(token);
			expect(tokens.map(({ id }) => id)).toEqual(ids);
			expect(tokens.map(({ exitLayer }) => exitLayer)).toEqual(exitLayers);
		}
	});

	it("writes PyTorch's story", async () => {
		const { prompt, max_tokens, story } = readGoldenStory();
		const tokenizer = createTokenizer(
			readText("build/assets/stories.tokenizer.json"),
		);
		const options = { maxTokens: max_tokens, sample: argmax };
		let text = "";
		for await (const piece of complete(
			createEngine(model),
			tokenizer,
			prompt,
			options,
		))
			text += piece.text;
		expect(text).toBe(story);
	});
});
