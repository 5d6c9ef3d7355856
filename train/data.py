"""Stories to rows of token ids, the same for every system that has the same seed."""

import pathlib

import numpy as np
import torch

from tokenizer import Tokenizer, read_stories

END = 0  # <|endoftext|> begins and ends every story


def load(path: str | pathlib.Path, tokenizer: Tokenizer) -> list[np.ndarray]:
    """Each story's ids, without the end-of-text token."""
    return [np.array(tokenizer.encode(story), dtype=np.int16) for story in read_stories(path)]


def pack(stories: list[np.ndarray], length: int, seed: int) -> np.ndarray:
    """Rows (n, length + 1) in which each token of each story is predicted once; one epoch, shuffled.

    Best fit from a window of shuffled stories: the longest one that fits goes next; where none fits,
    the longest is cut, and the next row begins with what is left of it. That row's first token is the
    last one before the cut; all other rows begin with END.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(stories)).tolist()
    window: list[int] = []
    start = np.array([END], dtype=np.int16)
    rest = start
    rows = []
    while order or window or len(rest) > 1:
        row = np.full(length + 1, END, dtype=np.int16)
        at, piece, rest = 0, rest, start
        while True:
            room = length + 1 - at
            row[at : at + len(piece)] = piece[:room]
            if len(piece) > room:
                rest = piece[room - 1 :]
            at += len(piece)
            while order and len(window) < 64:
                window.append(order.pop())
            if at > length or not window:
                break
            sizes = [len(stories[i]) + 1 for i in window]
            fits = [size if size <= length + 1 - at else 0 for size in sizes]
            pick = int(np.argmax(fits if max(fits) else sizes))
            piece = np.append(stories[window.pop(pick)], np.int16(END))
        rows.append(row)
    return np.stack(rows)[rng.permutation(len(rows))]


class Batches:
    """Row `i` of an endless stream of epochs; addressed by number, so that a run can resume."""

    def __init__(self, stories: list[np.ndarray], length: int, seed: int):
        self.stories, self.length, self.seed = stories, length, seed
        self.epoch, self.rows, self.start = 0, pack(stories, length, seed), 0

    def __call__(self, first: int, count: int) -> torch.Tensor:
        """Rows first..first + count, (count, length + 1). `first` must not go backwards."""
        picked = []
        for i in range(first, first + count):
            while i - self.start >= len(self.rows):
                self.start += len(self.rows)
                self.epoch += 1
                self.rows = pack(self.stories, self.length, self.seed + self.epoch)
            picked.append(self.rows[i - self.start])
        return torch.from_numpy(np.stack(picked).astype(np.int64))


def evaluation_rows(stories: list[np.ndarray], length: int) -> list[torch.Tensor]:
    """Each story alone, between two END tokens, cut after `length` predictions."""
    rows = [np.concatenate(([END], ids, [END]))[: length + 1] for ids in stories]
    return [torch.from_numpy(row.astype(np.int64)) for row in rows]
