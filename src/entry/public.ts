/**
 * What the package exports in every runtime, beside `load`.
 *
 * @module
 */

export type { TextGenerator, TextPiece } from "../completion.ts";
export { EngineError } from "../engine.ts";
export { ExitError, type ExitOptions } from "../exit.ts";
export type { ModelConfig } from "../image.ts";
export {
	loadSync,
	type Parts,
	type Sources,
	type TextModel,
	type TextOptions,
} from "../load.ts";
export { type Kernel, ModelError } from "../wasm.ts";
