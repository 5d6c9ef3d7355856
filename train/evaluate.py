"""Bits per byte of checkpoints by PyTorch, to stand beside the engine's: bench/eval.ts --pytorch.

    python3 evaluate.py --text valid.txt --tokenizer runs/tokenizer.json --out pytorch.json runs/v1 runs/v2

A system is named after its run's folder. Keys, values and probabilities are rounded as in the engine.
"""

import argparse
import json
import pathlib

import torch

from data import evaluation_rows, load
from export import load_checkpoint
from tokenizer import Tokenizer
from train import bits_per_byte, token_sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", required=True, help="stories separated by <|endoftext|> lines")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--stories", type=int, help="only the first so many")
    parser.add_argument("--out", required=True)
    parser.add_argument("runs", nargs="+", help="folders that train.py wrote")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = Tokenizer(args.tokenizer)
    stories = load(args.text, tokenizer)[: args.stories]
    results = {}
    for run in map(pathlib.Path, args.runs):
        model = load_checkpoint(run / "checkpoint.pt").eval()
        rows = evaluation_rows(stories, model.config.max_seq_len)
        exits = bits_per_byte(model, rows, token_sizes(tokenizer), progress=run.name)
        results[run.name] = {"stories": len(stories), "exits": exits}
        pathlib.Path(args.out).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
