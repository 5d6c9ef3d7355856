import type { Engine, TokenGenerator } from "../../src/engine.ts";

export interface FakeEngine extends Engine {
	/** Generators that have begun and not ended. */
	open: number;
}

/** An engine that says `ids`, whatever it is asked; `fail` throws after them. */
export function fakeEngine(
	ids: number[],
	onPrompt: (prompt: readonly number[]) => void = () => {},
	fail?: Error,
): FakeEngine {
	const engine: FakeEngine = {
		open: 0,
		fingerprint: "fp_test",
		config: {
			dim: 64,
			hiddenDim: 128,
			nLayers: 4,
			nHeads: 4,
			nKvHeads: 2,
			vocabSize: 1024,
			maxSeqLen: 512,
			exits: [1, 3, 4],
			gateDim: 32,
			weights: "ternary",
			activationBits: 8,
			hadamard: [],
			normEps: 1e-5,
			ropeTheta: 10000,
			bosTokenId: 0,
			eosTokenId: 0,
		},
		async *generate(prompt, { maxTokens, signal, onEnd }): TokenGenerator {
			onPrompt(prompt);
			engine.open++;
			const summary = {
				budgetExhausted: false,
				promptTokens: prompt.length,
				cachedTokens: 0,
				completionTokens: 0,
				exitLayers: {} as Record<number, number>,
				macs: 100,
				macsFull: 200,
			};
			try {
				for (const id of ids.slice(0, maxTokens)) {
					signal?.throwIfAborted();
					summary.completionTokens++;
					summary.exitLayers[4] = summary.completionTokens;
					const { macs, macsFull } = summary;
					if (yield { id, exitLayer: 4, macs, macsFull })
						return { ...summary, finishReason: "stop" };
				}
				if (fail) throw fail;
				const finishReason = ids.length > maxTokens ? "length" : "stop";
				return { ...summary, finishReason };
			} finally {
				engine.open--;
				onEnd?.(summary);
			}
		},
	};
	return engine;
}
