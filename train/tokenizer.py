"""Byte-level BPE: trained here, stored as a Hugging Face `tokenizer.json`.

The split pattern and the byte alphabet are GPT-2's (Radford et al., 2019), so that any Hugging Face
tokenizer library reads the file. Id 0 is `<|endoftext|>`, which begins and ends every story.

    python3 tokenizer.py train.txt --vocab 1024 --out tokenizer.json
"""

import argparse
import collections
import json
import pathlib

import regex

END_OF_TEXT = "<|endoftext|>"
SPLIT = regex.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)


def byte_alphabet() -> list[str]:
    """The printable character that stands for each of the 256 byte values."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in characters:
            characters[byte] = chr(0x100 + len(characters) - len(printable))
    return [characters[byte] for byte in range(256)]


ALPHABET = byte_alphabet()


def read_stories(path: str | pathlib.Path) -> list[str]:
    """The stories of a file that separates them by a line `<|endoftext|>`."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return [story for part in text.split(END_OF_TEXT) if (story := part.strip())]


def merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """`symbols` with each occurrence of `pair`, from the left, made one symbol."""
    merged = []
    i = 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def train(stories: list[str], vocab_size: int) -> list[tuple[str, str]]:
    """The merges, most frequent first (ties: alphabetical), that fill `vocab_size` ids."""
    counts = collections.Counter(word for story in stories for word in SPLIT.findall(story))
    words = [([ALPHABET[b] for b in word.encode()], n) for word, n in counts.items()]
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    where = collections.defaultdict(set)
    for index, (symbols, n) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            where[pair].add(index)
    merges = []
    while len(merges) < vocab_size - 1 - len(ALPHABET) and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for index in list(where[best]):
            symbols, n = words[index]
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] -= n
                if not pairs[pair]:
                    del pairs[pair]
                where[pair].discard(index)
            symbols = merge(symbols, best)
            words[index] = (symbols, n)
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += n
                where[pair].add(index)
    return merges


def tokenizer_json(merges: list[tuple[str, str]]) -> dict:
    """The Hugging Face form: id 0 is the special token, then 256 bytes, then the merges."""
    vocab = [END_OF_TEXT, *ALPHABET, *(a + b for a, b in merges)]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 0, "content": END_OF_TEXT, **special, "special": True}],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: id for id, token in enumerate(vocab)},
            "merges": [list(pair) for pair in merges],
        },
    }


class Tokenizer:
    """Reads the file that `tokenizer_json` describes; caches by word."""

    def __init__(self, path: str | pathlib.Path):
        model = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["model"]
        self.vocab: dict[str, int] = model["vocab"]
        self.tokens = [token for token, _ in sorted(self.vocab.items(), key=lambda item: item[1])]
        self.rank = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.cache: dict[str, list[int]] = {}

    def encode_word(self, word: str) -> list[int]:
        ids = self.cache.get(word)
        if ids is None:
            symbols = [ALPHABET[b] for b in word.encode()]
            while len(symbols) > 1:
                best = min(zip(symbols, symbols[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
                if best not in self.rank:
                    break
                symbols = merge(symbols, best)
            ids = self.cache[word] = [self.vocab[symbol] for symbol in symbols]
        return ids

    def encode(self, text: str) -> list[int]:
        return [id for word in SPLIT.findall(text) for id in self.encode_word(word)]

    def decode_bytes(self, ids: list[int]) -> bytes:
        """The bytes that `ids` stand for; the special token stands for none."""
        byte_of = {character: byte for byte, character in enumerate(ALPHABET)}
        return bytes(byte_of[c] for id in ids if id for c in self.tokens[id])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text")
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--out", default="tokenizer.json")
    args = parser.parse_args()
    stories = read_stories(args.text)
    merges = train(stories, args.vocab)
    pathlib.Path(args.out).write_text(
        json.dumps(tokenizer_json(merges), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    tokenizer = Tokenizer(args.out)
    sample = stories[:: max(1, len(stories) // 500)]
    tokens = sum(len(tokenizer.encode(story)) for story in sample)
    print(f"{len(merges)} merges, {sum(len(s.encode()) for s in sample) / tokens:.2f} bytes a token")
