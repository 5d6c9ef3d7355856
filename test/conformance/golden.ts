/**
 * Writes golden.json: what the strict build says in Node. That build's logits are tested against PyTorch's
 * (test/stories.test.ts, test/engine.test.ts); this file is what all runtimes must agree on.
 *
 *   node test/conformance/golden.ts
 */

import { writeFileSync } from "node:fs";
import { complete } from "../../src/completion.ts";
import { createEngine } from "../../src/engine.ts";
import type { ExitOptions } from "../../src/exit.ts";
import { loadStories } from "../../src/node.ts";
import { argmax } from "../../src/sampler.ts";

const EXITS: ExitOptions[] = [
	{ exit: "full" },
	{ exit: "layer", layer: 6 },
	{ exit: "layer", layer: 18 },
	{ exit: "gate", threshold: 0.7 },
	{ exit: "gate", threshold: 0.8, skipped: "catch-up" },
	{ exit: "budget", budgetMacs: 120_000_000 },
];
const PROMPTS = ["Once upon a time", "Zoë had a 🐈 and", ""];
const MAX_TOKENS = 40;

const { model, tokenizer } = await loadStories({ kernel: "strict" });
const engine = createEngine(model);
const cases = [];
for (const prompt of PROMPTS)
	for (const exit of EXITS) {
		const options = { exit, maxTokens: MAX_TOKENS, sample: argmax };
		const promptIds = [model.config.bosTokenId, ...tokenizer.encode(prompt)];
		const ids: number[] = [];
		const exitLayers: number[] = [];
		for await (const token of engine.generate(promptIds, options)) {
			ids.push(token.id);
			exitLayers.push(token.exitLayer);
		}
		let text = "";
		for await (const piece of complete(engine, tokenizer, prompt, options))
			text += piece.text;
		cases.push({
			prompt,
			promptIds,
			exit,
			maxTokens: MAX_TOKENS,
			ids,
			exitLayers,
			text,
		});
	}
const { nLayers: layers } = model.config;
const by = "test/conformance/golden.ts, strict build, Node";
const json = JSON.stringify({ by, model: engine.fingerprint, layers, cases });
writeFileSync(new URL("project/golden.json", import.meta.url), `${json}\n`);
