/**
 * The golden cases through the package's own entry, in whatever runtime imports this.
 *
 * @module
 */

import { load } from "bitskip-edge";

/** The likeliest token, the first of several. */
function argmax(logits) {
	let best = 0;
	for (let id = 1; id < logits.length; id++)
		if (logits[id] > logits[best]) best = id;
	return best;
}

async function tokensOf(model, { promptIds, exit, maxTokens }) {
	const tokens = [];
	const options = { exit, maxTokens, sample: argmax };
	for await (const token of model.engine.generate(promptIds, options))
		tokens.push(token);
	return tokens;
}

/** A case's outcome: by ids, and as text. */
export async function outcome(model, given) {
	const tokens = await tokensOf(model, given);
	let text = "";
	const { prompt, exit, maxTokens } = given;
	for await (const piece of model.generate(prompt, { exit, maxTokens }))
		text += piece.text;
	return {
		ids: tokens.map(({ id }) => id),
		exitLayers: tokens.map(({ exitLayer }) => exitLayer),
		text,
	};
}

/**
 * @param sources `image` and `tokenizer` as `load` takes them.
 * @returns for each kernel, what differs from the golden file, nothing if all is well.
 */
export async function conform(sources, golden, kernels) {
	const results = [];
	for (const kernel of kernels) {
		const faults = [];
		const begun = Date.now();
		const model = await load({ ...sources, kernel });
		for (const [i, expected] of golden.cases.entries()) {
			const got = await outcome(model, expected);
			for (const [key, value] of Object.entries(got)) {
				const [is, should] = [value, expected[key]].map((x) =>
					JSON.stringify(x),
				);
				if (is !== should)
					faults.push(`case ${i}, ${key}: is ${is}, should be ${should}`);
			}
		}
		results.push({ kernel, faults, ms: Date.now() - begun });
	}
	return results;
}
