/**
 * The engine turns token ids into token ids. It knows neither text nor HTTP.
 *
 * @module
 */

/** What a model image says about its model; field names follow llama2.c. */
export interface ModelConfig {
  /** Width of the residual stream. */
  dim: number;
  /** Width of the gated feed-forward network. */
  hiddenDim: number;
  nLayers: number;
  nHeads: number;
  nKvHeads: number;
  vocabSize: number;
  /** Longest sequence, prompt and completion together, in tokens. */
  maxSeqLen: number;
  /** Depths (in layers, ascending) after which a token may leave; the last is `nLayers`. */
  exits: number[];
  weights: "ternary" | "f32";
  /** Bits of a quantised activation (8 or 4); 32 means not quantised. */
  activationBits: 4 | 8 | 32;
  /** Linear layers whose input passes a Hadamard transform. */
  hadamard: ("qkv" | "o" | "gate_up" | "down")[];
  bosTokenId: number;
  eosTokenId: number;
}

/** How deep a token goes. `full`: all layers. `layer`: every token, the prompt too, leaves at `layer`. */
export type ExitOptions = { exit: "full" } | { exit: "layer"; layer: number };

/** Picks the next token from logits. May write into `logits`. */
export type Sample = (logits: Float32Array) => number;

export interface GenerateOptions {
  /** At most this many tokens are generated. */
  maxTokens: number;
  sample: Sample;
  exit?: ExitOptions;
  /** Aborting ends the generator with the signal's reason at the next token. */
  signal?: AbortSignal;
}

export interface GeneratedToken {
  id: number;
  /** The depth, in layers, at which this token left the model. */
  exitLayer: number;
}

export interface GenerationSummary {
  /** `stop`: the model ended its text. `length`: maxTokens or the context is used up. */
  finishReason: "stop" | "length";
  promptTokens: number;
  completionTokens: number;
  /** Generated tokens by the depth at which they left. */
  exitLayers: Record<number, number>;
  /** Multiply-accumulates spent, prompt included. */
  macs: number;
  /** What the same tokens would have cost at full depth. */
  macsFull: number;
}

/** A request the engine refuses; `param` names the argument at fault. */
export class EngineError extends Error {
  override name = "EngineError";
  constructor(
    message: string,
    readonly param?: "prompt" | "max_tokens" | "layer",
  ) {
    super(message);
  }
}

export interface Engine {
  readonly config: ModelConfig;
  /**
   * Continues `prompt` (token ids, at least one, each below `vocabSize`). The end-of-text token is
   * consumed, not yielded.
   * @throws EngineError where the prompt is empty, has an unknown id or leaves no room in the
   * context, or where `layer` is not one of `config.exits`.
   */
  generate(
    prompt: readonly number[],
    options: GenerateOptions,
  ): AsyncGenerator<GeneratedToken, GenerationSummary>;
}
