/**
 * What scripts/page.ts knows of the model when it bundles the page.
 *
 * @module
 */

export interface ModelFile {
	url: string;
	/** Size, which a compressed response does not tell. */
	bytes: number;
}

export interface Manifest {
	/** A digest of the files: another model or module, another version. */
	version: string;
	files: Record<"image" | "tokenizer" | "relaxed" | "strict", ModelFile>;
	/** The depths at which tokens may leave, ascending. */
	exits: number[];
	/** Prompt and story together, tokens. */
	maxSeqLen: number;
}

declare const MANIFEST: Manifest;

export const manifest: Manifest = MANIFEST;
