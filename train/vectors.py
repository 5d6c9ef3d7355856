"""Writes the golden logits that test/engine.test.ts compares the engine with.

    python3 vectors.py --out ../test/vectors                       # small random models, all systems
    python3 vectors.py --out ../test/vectors --stories runs/v1/checkpoint.pt --tokenizer tokenizer.json

For each model a folder: the model itself (the stories' excepted, which is in models/) and
golden.safetensors with `ids` (T), `logits` (exits, T, V), `gates` (exits - 1, T), and `mixed` (T, V) of
tokens that leave at `depths` (T), by PyTorch's fake-quantised forward pass in float32. Where they come from stands in golden.json; for the stories
also how the model, always taking the likeliest token, goes on from `prompt`.
"""

import argparse
import copy
import json
import pathlib

import torch

import fused
from export import export, load_checkpoint, write_safetensors
from model import GATES, BitSkip, Config
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
SYSTEMS = ("full", "v1", "v2", "v3")
TOKENS = 40
JITTERS = 10
PROMPT = "Once upon a time"
MAX_TOKENS = 60


def random_model(config: Config, seed: int) -> BitSkip:
    """As far from its initial state as training would take it: no gain is 1, no gate is 0."""
    torch.manual_seed(seed)
    model = BitSkip(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif name in GATES:
                parameter.normal_()
    return model


@torch.no_grad()
def forward(model: BitSkip, ids: torch.Tensor, depths: torch.Tensor) -> dict[str, torch.Tensor]:
    """The golden tensors for ids (T) and depths (T)."""
    c = model.eval().config
    w = model.quantized()
    logits, gates = [], []
    for e, h in enumerate(model.hidden_states(ids[None], w, [True] * c.n_layers)):
        state = model.exit_state(h, e)
        logits.append(model.head(state, w["embedding"]))
        if e < len(c.exits) - 1:
            gates.append(model.gate(state, e))
    states = model.hidden_states(ids[None], w, [True] * c.n_layers, depths[None])
    mixed = torch.zeros(len(ids), c.vocab_size, dtype=states[0].dtype)
    for e, h in enumerate(states):
        leaves = depths == c.exits[e]
        mixed[leaves] = model.head(model.exit_state(h, e), w["embedding"])[0, leaves]
    return {"logits": torch.cat(logits), "gates": torch.cat(gates), "mixed": mixed}


def difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> torch.Tensor:
    """The largest of each row of logits."""
    return torch.cat([(a[n] - b[n]).abs().amax(-1).flatten() for n in ("logits", "mixed")])


def is_stable(model: BitSkip, ids: torch.Tensor, depths: torch.Tensor) -> bool:
    """Whether noise of 3e-7 moves no activation over a rounding boundary.

    Such a move is no error, but hides errors. It is common: with 4 bits many values lie on a boundary
    exactly, and an early one reaches all later positions by way of keys and values.
    """
    exact = forward(copy.deepcopy(model).double(), ids, depths)
    for jitter in range(JITTERS):
        noisy = copy.deepcopy(model)
        for name, parameter in noisy.named_parameters():
            if jitter and "norm" in name:
                parameter.data *= 1 + 3e-7 * torch.randn_like(parameter)
        if difference(forward(noisy, ids, depths), exact).max() > 1e-4:
            return False
    return True


def write_golden(
    model: BitSkip, ids: torch.Tensor, depths: torch.Tensor, out: pathlib.Path, about: dict
) -> None:
    """Also says how far PyTorch's own float32 is from its float64: what rounding alone does."""
    out.mkdir(parents=True, exist_ok=True)
    golden = forward(model, ids, depths)
    differences = difference(golden, forward(copy.deepcopy(model).double(), ids, depths))
    tensors = {"ids": ids.float(), "depths": depths.float(), **golden}
    write_safetensors(out / "golden.safetensors", tensors)
    provenance = {
        "by": "train/vectors.py",
        "torch": torch.__version__,
        **about,
        "float32_against_float64": {
            "largest": round(differences.max().item(), 7),
            "share_above_0.0001": round((differences > 1e-4).float().mean().item(), 4),
        },
    }
    (out / "golden.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def greedy(model: BitSkip, ids: list[int], count: int) -> list[int]:
    """`count` tokens, each the likeliest, or fewer where the story ends."""
    model.eval()
    made: list[int] = []
    while len(made) < count:
        id = int(model(torch.tensor([ids + made]))[-1][0, -1].argmax())
        if id == 0:
            break
        made.append(id)
    return made


def draw_depths(model: BitSkip, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    exits = model.config.exits
    return torch.tensor(exits)[torch.randint(len(exits), (count,), generator=generator)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--stories", help="checkpoint of the shipped model")
    parser.add_argument("--tokenizer")
    args = parser.parse_args()
    fused.extension = None  # the plain formulas are the reference
    if args.stories:
        tokenizer = Tokenizer(args.tokenizer)
        model = load_checkpoint(args.stories)
        story = greedy(model, [0, *tokenizer.encode(PROMPT)], MAX_TOKENS)
        about = {
            "prompt": PROMPT,
            "max_tokens": MAX_TOKENS,
            "story": tokenizer.decode_bytes(story).decode(),
        }
        ids = torch.tensor([0, *tokenizer.encode(PROMPT), *story])
        write_golden(model, ids, draw_depths(model, len(ids)), args.out / "stories", about)
        return
    for name in SYSTEMS:
        path = pathlib.Path(__file__).with_name("configs") / f"{name}.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        for seed in range(1, 500):
            model = random_model(Config(**SMALL, **settings["model"]), seed)
            ids = torch.randint(0, SMALL["vocab_size"], (TOKENS,))
            depths = draw_depths(model, TOKENS)
            if is_stable(model, ids, depths):
                break
        else:
            raise SystemExit(f"{path.stem}: no stable model found")
        print(f"{path.stem}: seed {seed}")
        write_golden(model, ids, depths, args.out / path.stem, {"weights": f"random, seed {seed}"})
        export(model, args.out / path.stem)


if __name__ == "__main__":
    main()
