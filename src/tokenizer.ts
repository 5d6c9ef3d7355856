/**
 * Text to token ids and back, for byte-level BPE.
 *
 * @module
 */

import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";

export interface Tokenizer {
	/** Token ids of `text`. The text of special tokens is treated as plain text. */
	encode(text: string): number[];
	/** The bytes that a token stands for: none for special tokens, undefined where there is no such token. */
	bytes(id: number): Uint8Array | undefined;
	/** A streaming decoder: feed ids one at a time, get text as soon as it is whole UTF-8. */
	decoder(): StreamingDecoder;
}

export interface StreamingDecoder {
	/** The text that `id` completes; empty while a character is still incomplete. */
	push(id: number): string;
	/** What is left over at the end; broken UTF-8 becomes U+FFFD. */
	end(): string;
}

interface TokenizerJson {
	added_tokens: { id: number; special: boolean }[];
	model: { vocab: Record<string, number> };
}

/**
 * A tokenizer from the contents of a Hugging Face `tokenizer.json`.
 * @throws SyntaxError where it is not JSON; TypeError where it is not byte-level BPE.
 */
export function createTokenizer(tokenizerJson: string): Tokenizer {
	const json = JSON.parse(tokenizerJson) as TokenizerJson;
	if (typeof json?.model?.vocab !== "object")
		throw new TypeError("tokenizer.json has no model.vocab");
	// Without added tokens the library leaves their text alone: nobody's prompt can say them.
	const library = new HuggingFaceTokenizer({ ...json, added_tokens: [] }, {});
	const bytes = tokenBytes(json);
	return {
		encode: (text) => library.encode(text.toWellFormed()).ids,
		bytes: (id) => bytes[id],
		decoder() {
			const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
			return {
				push: (id) => utf8.decode(bytes[id], { stream: true }),
				end: () => utf8.decode(),
			};
		},
	};
}

/** The bytes that each id stands for; none for special tokens. */
function tokenBytes({ model, added_tokens }: TokenizerJson): Uint8Array[] {
	const byteOf = byteAlphabet();
	const special = new Set(
		added_tokens.filter((token) => token.special).map(({ id }) => id),
	);
	const bytes: Uint8Array[] = [];
	for (const [token, id] of Object.entries(model.vocab)) {
		const values = Array.from(token, (character) => byteOf.get(character));
		if (special.has(id)) bytes[id] = new Uint8Array();
		else if (values.includes(undefined))
			throw new TypeError(`tokenizer.json is not byte-level BPE: ${token}`);
		else bytes[id] = Uint8Array.from(values as number[]);
	}
	return bytes;
}

/** GPT-2's (Radford et al., 2019): printable bytes stand for themselves, the others for U+0100 and on. */
function byteAlphabet(): Map<string, number> {
	const alphabet = new Map<string, number>();
	let next = 0x100;
	for (let byte = 0; byte < 256; byte++) {
		const printable =
			(byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
		alphabet.set(String.fromCodePoint(printable ? byte : next++), byte);
	}
	return alphabet;
}
