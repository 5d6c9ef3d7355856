/**
 * The `config.json` of a Hugging Face `bitnet` model (transformers' BitNetConfig) as ours.
 *
 * @module
 */

import * as z from "zod";
import { HADAMARD_PLACES, MAX_EXITS, type ModelConfig } from "../image.ts";

const TIED =
	"must be true: the engine has one embedding, which is the head too. Train with tied embeddings, or tie them";
const NO_BIAS = "must be false: the engine's layers have no biases";
const NO_SCALING = "must be null: the engine has plain rotary positions";

const HuggingFaceConfig = z.object({
	model_type: z.literal("bitnet"),
	hidden_size: z.int().positive(),
	intermediate_size: z.int().positive(),
	num_hidden_layers: z.int().positive(),
	num_attention_heads: z.int().positive(),
	num_key_value_heads: z.int().positive(),
	head_dim: z.int().positive().nullish(),
	vocab_size: z.int().positive(),
	max_position_embeddings: z.int().positive(),
	rms_norm_eps: z.number().positive(),
	rope_theta: z.number().positive(),
	rope_scaling: z.null(NO_SCALING).optional(),
	attention_bias: z.literal(false, NO_BIAS).optional(),
	hidden_act: z.literal("relu2"),
	tie_word_embeddings: z.literal(true, TIED),
	bos_token_id: z.int().nonnegative(),
	eos_token_id: z
		.int("one number: the engine stops at one token")
		.nonnegative(),
	quantization_config: z
		.object({
			quant_method: z.literal("bitnet"),
			// transformers' defaults.
			linear_class: z.enum(["bitlinear", "autobitlinear"]).default("bitlinear"),
			quantization_mode: z.enum(["offline", "online"]).default("offline"),
			use_rms_norm: z
				.literal(false, "must be false: norms of single matrices are not known")
				.optional(),
		})
		.optional(),
	bitskip: z
		.object({
			exits: z.array(z.int().positive()).min(1).max(MAX_EXITS),
			gate_dim: z.int().nonnegative().default(0),
			activation_bits: z.literal([4, 8, 32]),
			hadamard: z.array(z.enum(HADAMARD_PLACES)),
		})
		.optional(),
});

/** How a folder stores its ternary matrices. */
export interface Storage {
	/**
	 * What `weight_scale` means: transformers' `autobitlinear` multiplies by it, its `bitlinear` divides.
	 */
	scale: "factor" | "divisor";
	/** Whether float matrices are to be quantised; if not, they are an error. */
	quantize: boolean;
}

export interface PackOptions {
	/** Quantise the matrices of a folder whose config.json has no quantization_config. */
	ternary?: boolean;
	/** A context shorter than the model's, tokens: it costs less memory. */
	maxSeqLen?: number;
}

/**
 * What a `config.json` says. Without a `bitskip` entry the model has no exits but the last, 8-bit
 * activations and no transform.
 * @throws RangeError that names the field at fault.
 */
export function parseHuggingFaceConfig(
	json: unknown,
	{ ternary = false, maxSeqLen }: PackOptions = {},
): { config: ModelConfig; storage: Storage } {
	const parsed = HuggingFaceConfig.safeParse(json);
	if (!parsed.success)
		throw new RangeError(`config.json: ${z.prettifyError(parsed.error)}`);
	const c = parsed.data;
	const quantization = c.quantization_config;
	const weights = quantization || ternary ? "ternary" : "f32";
	if (c.head_dim && c.head_dim * c.num_attention_heads !== c.hidden_size)
		throw new RangeError(
			`config.json: head_dim is ${c.head_dim}, and must be hidden_size / num_attention_heads, ${c.hidden_size / c.num_attention_heads}`,
		);
	if (maxSeqLen !== undefined && maxSeqLen > c.max_position_embeddings)
		throw new RangeError(
			`a context of ${maxSeqLen} tokens is more than the model's ${c.max_position_embeddings}`,
		);
	const config: ModelConfig = {
		dim: c.hidden_size,
		hiddenDim: c.intermediate_size,
		nLayers: c.num_hidden_layers,
		nHeads: c.num_attention_heads,
		nKvHeads: c.num_key_value_heads,
		vocabSize: c.vocab_size,
		maxSeqLen: maxSeqLen ?? c.max_position_embeddings,
		exits: c.bitskip?.exits ?? [c.num_hidden_layers],
		gateDim: c.bitskip?.gate_dim ?? 0,
		weights,
		activationBits:
			c.bitskip?.activation_bits ?? (weights === "ternary" ? 8 : 32),
		hadamard: c.bitskip?.hadamard ?? [],
		normEps: c.rms_norm_eps,
		ropeTheta: c.rope_theta,
		bosTokenId: c.bos_token_id,
		eosTokenId: c.eos_token_id,
	};
	const storage: Storage = {
		scale: quantization?.linear_class === "bitlinear" ? "divisor" : "factor",
		quantize: !quantization || quantization.quantization_mode === "online",
	};
	return { config, storage };
}
