"""Run with `python3 -m unittest` in this folder. Needs no data: its stories are made up."""

import argparse
import contextlib
import io
import itertools
import json
import math
import pathlib
import random
import tempfile
import unittest

import numpy as np
import torch
import torch.nn.functional as F

import tokenizer
import train
from data import END, pack
from model import GATES, BitSkip, Config

TINY = {
    "dim": 64,
    "hidden_dim": 64,
    "n_layers": 2,
    "n_heads": 2,
    "n_kv_heads": 1,
    "max_seq_len": 64,
    "exits": [1, 2],
}


def made_up_stories(count: int) -> list[str]:
    draw = random.Random(1)
    names, deeds = ("Tom", "Ann", "Sue"), ("ran", "sat", "sang", "slept")
    sentence = lambda: f"{draw.choice(names)} {draw.choice(deeds)} all day."  # noqa: E731
    return [" ".join(sentence() for _ in range(draw.randint(2, 12))) for _ in range(count)]


class Loss(unittest.TestCase):
    def test_labels_are_shifted_at_every_exit(self):
        """Each exit's loss is the cross-entropy of the next token, not of the present one."""
        torch.manual_seed(1)
        model = BitSkip(Config(**TINY, vocab_size=50))
        rows = torch.randint(0, 50, (3, 33))
        early, last = model(rows[:, :-1])
        next_token = [F.cross_entropy(x.flatten(0, 1), rows[:, 1:].flatten()) for x in (early, last)]
        gate = math.log(2)  # the cross-entropy of an untrained gate, whose logit is 0
        recipe = train.Recipe(layer_drop=0.0, exit_weight=0.5, exit_distill=0.0)
        loss = train.loss_of(model, rows, random.Random(1), recipe)
        torch.testing.assert_close(loss, next_token[1] + 0.5 * next_token[0] + gate)


class MixedDepths(unittest.TestCase):
    def test_a_token_stays_as_it_is_behind_its_depth_and_others_see_what_it_left(self):
        torch.manual_seed(1)
        model = BitSkip(Config(**{**TINY, "n_layers": 3, "exits": [1, 3]}, vocab_size=50)).eval()
        ids, keep, w = torch.randint(0, 50, (1, 9)), [True] * 3, model.quantized()
        first, full = model.hidden_states(ids, w, keep)
        depth = torch.full((1, 9), 3)
        torch.testing.assert_close(model.hidden_states(ids, w, keep, depth)[1], full)
        depth[0, 4] = 1
        mixed = model.hidden_states(ids, w, keep, depth)[1]
        torch.testing.assert_close(mixed[0, :4], full[0, :4])
        torch.testing.assert_close(mixed[0, 4], first[0, 4])
        for position in range(5, 9):
            self.assertGreater((mixed[0, position] - full[0, position]).abs().max(), 1e-3)
        recipe = train.Recipe(layer_drop=0.0, mixed_depths=1.0)
        train.loss_of(model, ids, random.Random(1), recipe).backward()


class Rows(unittest.TestCase):
    def test_each_token_is_predicted_once_an_epoch_after_the_token_before_it(self):
        sizes = (5, 9, 30, 2, 17, 11, 40, 100, 1, 32)
        ids = iter(range(1, sum(sizes) + 1))
        stories = [[next(ids) for _ in range(n)] for n in sizes]
        expected = {pair for s in stories for pair in itertools.pairwise([END, *s, END])}
        for seed in range(5):
            rows = pack([np.array(story) for story in stories], 32, seed)
            self.assertEqual(rows.shape[1], 33)
            pairs = [pair for row in rows.tolist() for pair in itertools.pairwise(row)]
            pairs = [pair for pair in pairs if pair != (END, END)]
            self.assertEqual(len(pairs), len(expected))
            self.assertEqual(set(pairs), expected)


class Smoke(unittest.TestCase):
    def test_twenty_steps_lower_the_loss_and_a_run_resumes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            stories = made_up_stories(200)
            (path / "text.txt").write_text("\n<|endoftext|>\n".join(stories))
            merges = tokenizer.train(stories, 300)
            (path / "tokenizer.json").write_text(json.dumps(tokenizer.tokenizer_json(merges)))
            recipe = {"batch_tokens": 256, "micro_batch_tokens": 128, "short_length": 32}
            (path / "config.json").write_text(json.dumps({"model": TINY, "recipe": recipe}))
            args = argparse.Namespace(
                config=path / "config.json",
                train=path / "text.txt",
                valid=path / "text.txt",
                tokenizer=path / "tokenizer.json",
                out=path / "run",
                tokens=20 * 256,
                valid_stories=5,
                checkpoint_steps=10,
                workers=1,
                init=None,
                gates_only=False,
            )
            with contextlib.redirect_stdout(io.StringIO()):
                train.train(args)
                args.tokens = 30 * 256
                train.train(args)
            log = [json.loads(line) for line in (path / "run/log.jsonl").read_text().splitlines()]
            self.assertEqual([line["step"] for line in log], [10, 20, 30])
            self.assertLess(log[1]["loss"], log[0]["loss"] - 0.2)
            self.assertLess(log[2]["loss"], log[1]["loss"])
            bpb = log[2]["valid_bits_per_byte"]
            self.assertEqual(list(bpb), ["1", "2"])

            args.init, args.out = path / "run/checkpoint.pt", path / "gates"
            args.gates_only, args.tokens = True, 20 * 256
            with contextlib.redirect_stdout(io.StringIO()):
                train.train(args)
            before, after = (torch.load(path / run / "checkpoint.pt")["model"] for run in ("run", "gates"))
            changed = {name for name in before if not torch.equal(before[name], after[name])}
            self.assertEqual(changed, set(GATES))


if __name__ == "__main__":
    unittest.main()
