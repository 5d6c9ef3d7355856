/** Text to token ids and back. */
export interface Tokenizer {
  /** Token ids of `text`. The text of special tokens is treated as plain text. */
  encode(text: string): number[];
  /** A streaming decoder: feed ids one at a time, get text as soon as it is whole UTF-8. */
  decoder(): StreamingDecoder;
}

export interface StreamingDecoder {
  /** The text that `id` completes; empty while a character is still incomplete. */
  push(id: number): string;
  /** What is left over at the end; broken UTF-8 becomes U+FFFD. */
  end(): string;
}
