"""Writes the golden logits that test/engine.test.ts compares the engine with.

    python3 vectors.py --out ../test/vectors                       # small random models, all systems
    python3 vectors.py --out ../test/vectors --stories runs/v1/checkpoint.pt --tokenizer tokenizer.json

For each model a folder: the model itself (the stories' excepted, which is in models/) and
golden.safetensors with `ids` (T) and `logits` (exits, T, V), by PyTorch's fake-quantised forward pass
in float32. Seed and PyTorch's version stand in golden.json.
"""

import argparse
import json
import pathlib

import torch

import fused
from export import export, load_checkpoint, write_safetensors
from model import BitSkip, Config
from tokenizer import Tokenizer

SMALL = {
    "dim": 64,
    "hidden_dim": 128,
    "n_layers": 4,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 70,  # not a whole number of tiles
    "max_seq_len": 48,
    "exits": (1, 3, 4),
}
SEED = 2026
OPENING = "Once upon a time, there was a little girl named Lily. She"


def random_model(config: Config) -> BitSkip:
    """As far from its initial state as training would take it: no gain is 1, no gate is 0."""
    torch.manual_seed(SEED)
    model = BitSkip(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif "gate_" in name and name != "w_gate":
                parameter.normal_()
    return model


@torch.no_grad()
def write_golden(model: BitSkip, ids: torch.Tensor, out: pathlib.Path, about: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    logits = torch.cat(model(ids[None]))
    gates = [
        model.gate(model.exit_state(h, e), e)[0]
        for e, h in enumerate(
            model.hidden_states(ids[None], model.quantized(), [True] * model.config.n_layers)[:-1]
        )
    ]
    tensors = {"ids": ids.float(), "logits": logits, "gates": torch.stack(gates)}
    write_safetensors(out / "golden.safetensors", tensors)
    provenance = {"by": "train/vectors.py", "torch": torch.__version__, "about": about}
    (out / "golden.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--stories", help="checkpoint of the shipped model")
    parser.add_argument("--tokenizer")
    args = parser.parse_args()
    fused.extension = None  # the plain formulas are the reference
    if args.stories:
        ids = [0, *Tokenizer(args.tokenizer).encode(OPENING)]
        model = load_checkpoint(args.stories)
        write_golden(model, torch.tensor(ids), args.out / "stories", OPENING)
        return
    for path in sorted(pathlib.Path(__file__).with_name("configs").glob("*.json")):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if "recipe" in settings:
            continue
        model = random_model(Config(**SMALL, **settings["model"]))
        ids = torch.randint(0, SMALL["vocab_size"], (40,))
        write_golden(model, ids, args.out / path.stem, f"random weights, seed {SEED}")
        export(model, args.out / path.stem)


if __name__ == "__main__":
    main()
