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
    """Rows (n, length + 1) that each begin with a story; one epoch in shuffled order.

    Best fit from a window of shuffled stories: the longest one that fits goes next; where none
    fits, the shortest is cut. Little is cut away, and no row begins inside a story.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(stories)).tolist()
    window: list[int] = []
    rows = []
    while order or window:
        row = np.full(length + 1, END, dtype=np.int16)
        at = 1
        while at <= length and (order or window):
            while order and len(window) < 64:
                window.append(order.pop())
            sizes = [len(stories[i]) + 1 for i in window]
            fits = [size if size <= length + 1 - at else 0 for size in sizes]
            pick = int(np.argmax(fits)) if max(fits) else int(np.argmin(sizes))
            ids = stories[window.pop(pick)][: length + 1 - at]
            row[at : at + len(ids)] = ids
            at += len(ids) + 1  # the gap keeps END
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
