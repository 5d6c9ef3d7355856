"""Trains one of the systems. The model and the recipe are in the config, the data are arguments.

    python3 train.py --config configs/v1.json --train train.txt --valid valid.txt \\
        --tokenizer tokenizer.json --out runs/v1 --tokens 15e6

Started again, it goes on from the last checkpoint in --out. `--workers 2` trains on two cores, one
process each; the rows of a step, and its layer drops are numbered, so that the number of
workers changes only the order of sums.
"""

import argparse
import json
import math
import pathlib
import random
import tempfile
import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from data import END, Batches, evaluation_rows, load
from model import GATES, MATRICES, BitSkip, Config
from muon import Muon
from tokenizer import Tokenizer


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; everything that changes the outcome, but for data and length."""

    seed: int = 1
    batch_tokens: int = 8192  # a step's
    micro_batch_tokens: int = 2048  # one forward pass's: layer drop is drawn for each
    short_length: int = 256  # row length until `long_from`, then max_seq_len
    long_from: float = 0.85  # of the run
    matrix_lr: float = 0.012  # Muon's, for the layers' matrices
    vector_lr: float = 0.004  # AdamW's, for the embedding, norms and gates
    warmup: float = 0.01  # of the run, then the rate falls on a line to zero
    layer_drop: float = 0.1  # the last layer's drop probability
    exit_weight: float = 1.0  # of all early exits' loss together
    exit_power: float = 1.0  # an exit's share of it goes with depth ** exit_power
    exit_distill: float = 0.5  # of an exit's target: the last layer's probabilities, not the token
    mixed_depths: float = 0.0  # of the micro-batches: each token leaves at an exit drawn for it


def drop_probability(recipe: Recipe, layer: int, n_layers: int) -> float:
    """LayerSkip (Elhoushi et al., 2024): exponential in depth, none at the first layer."""
    return recipe.layer_drop * (2 ** (layer / (n_layers - 1)) - 1)


def loss_of(model: BitSkip, rows: Tensor, draw: random.Random, recipe: Recipe) -> Tensor:
    """The loss to minimise on rows (B, T + 1): position t predicts token t + 1 at every exit.

    With mixed depths a token has no loss behind the exit it takes, and no last layer to learn from.
    """
    c = model.config
    ids, targets = rows[:, :-1], rows[:, 1:].flatten()
    keep = [draw.random() >= drop_probability(recipe, i, c.n_layers) for i in range(c.n_layers)]
    depth = None
    if recipe.mixed_depths and draw.random() < recipe.mixed_depths:
        generator = torch.Generator().manual_seed(draw.getrandbits(63))
        drawn = torch.randint(len(c.exits), ids.shape, generator=generator)
        depth = torch.tensor(c.exits)[drawn]
    w = model.quantized()
    states = model.hidden_states(ids, w, keep, depth)

    states = [model.exit_state(h, exit) for exit, h in enumerate(states)]
    logits = model.head(states[-1], w["embedding"]).flatten(0, 1)
    if depth is not None:
        reached = depth.flatten() == c.n_layers
        loss = F.cross_entropy(logits[reached], targets[reached])
    else:
        loss = F.cross_entropy(logits, targets)
    if not recipe.exit_weight:
        return loss
    probabilities = logits.detach().softmax(-1)
    shares = [d**recipe.exit_power for d in c.exits[:-1]]
    for exit, share in enumerate(shares):
        exit_logits = model.head(states[exit], w["embedding"]).flatten(0, 1)
        weight = recipe.exit_weight * share / sum(shares)
        if depth is not None:
            reached = depth.flatten() >= c.exits[exit]
            loss = loss + weight * F.cross_entropy(exit_logits[reached], targets[reached])
            continue
        exit_loss = (1 - recipe.exit_distill) * F.cross_entropy(exit_logits, targets)
        if recipe.exit_distill:
            exit_loss = exit_loss + recipe.exit_distill * F.cross_entropy(exit_logits, probabilities)
        loss = loss + weight * exit_loss
        if c.gate_dim:
            # The gate must not shape what it looks at.
            gate = model.gate(states[exit].detach(), exit).flatten()
            loss = loss + gate_loss(gate, exit_logits, probabilities)
    return loss


def gate_loss(gate: Tensor, exit_logits: Tensor, probabilities: Tensor) -> Tensor:
    """How badly `gate` (N logits) foretells the overlap of the exit's and the last layer's
    probabilities (N, V).

    The overlap, the sum of the smaller of each two, is how often a token drawn here can be made the
    one drawn there (Leviathan et al., 2023).
    """
    overlap = torch.minimum(exit_logits.detach().softmax(-1), probabilities).sum(-1).clamp_(0, 1)
    return F.binary_cross_entropy_with_logits(gate, overlap)


def token_sizes(tokenizer: Tokenizer) -> Tensor:
    """The bytes that each token stands for; none for <|endoftext|>."""
    return torch.tensor([len(tokenizer.decode_bytes([i])) for i in range(len(tokenizer.vocab))])


@torch.no_grad()
def bits_per_byte(
    model: BitSkip, rows: list[Tensor], token_bytes: Tensor, progress: str = ""
) -> dict[int, float]:
    """For each exit, by depth: the bits of all predicted tokens over the bytes they stand for.

    With `progress`, a name, shows how far it is.
    """
    nats = [0.0] * len(model.config.exits)
    n_bytes = 0
    for i, row in enumerate(sorted(rows, key=len)):
        if progress and i % 10 == 0:
            print(f"\r{progress}: {i} of {len(rows)} rows ", end="", flush=True)
        targets = row[1:]
        n_bytes += int(token_bytes[targets].sum())
        for e, logits in enumerate(model(row[None, :-1])):
            nats[e] += F.cross_entropy(logits[0], targets, reduction="sum").item()
    if progress:
        print(flush=True)
    return {
        depth: n / n_bytes / math.log(2) for depth, n in zip(model.config.exits, nats, strict=True)
    }


def average_gradients(model: BitSkip, count: int) -> None:
    """Sums gradients over the workers and divides by `count` micro-batches."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    )
    if dist.is_initialized():
        dist.all_reduce(flat)
    flat /= count
    for p, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad = grad.view_as(p)


def optimizers_of(model: BitSkip, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """For all parameters that have gradients; a group's `peak_lr` is its highest rate."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in trained.items() if name in MATRICES]
    vectors = [p for name, p in trained.items() if name not in MATRICES]
    group = {"params": vectors, "peak_lr": recipe.vector_lr}
    optimizers = [torch.optim.AdamW([group], betas=(0.9, 0.95), weight_decay=0.0)]
    if matrices:
        optimizers.append(Muon([{"params": matrices, "peak_lr": recipe.matrix_lr}]))
    return optimizers


def set_rates(optimizers: list[torch.optim.Optimizer], recipe: Recipe, progress: float) -> None:
    rate = min(progress / recipe.warmup, (1 - progress) / (1 - recipe.warmup))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * rate


def load_weights(model: BitSkip, weights: dict[str, Tensor], without_gates: bool) -> None:
    if without_gates:
        gates = {name: p for name, p in model.state_dict().items() if name in GATES}
        weights = {name: p for name, p in weights.items() if not name.startswith("gate_")} | gates
    model.load_state_dict(weights)


def train(args: argparse.Namespace) -> None:
    rank = dist.get_rank() if dist.is_initialized() else 0
    world = dist.get_world_size() if dist.is_initialized() else 1
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # softmax makes denormals, which cost 100 cycles each
    settings = json.loads(pathlib.Path(args.config).read_text(encoding="utf-8"))
    tokenizer = Tokenizer(args.tokenizer)
    config = Config(vocab_size=len(tokenizer.vocab), **settings.get("model", {}))
    recipe = Recipe(**settings.get("recipe", {}))
    torch.manual_seed(recipe.seed)
    model = BitSkip(config)
    if args.init:
        load_weights(model, torch.load(args.init)["model"], args.gates_only)
    if args.gates_only:
        recipe = replace(recipe, layer_drop=0.0, mixed_depths=0.0)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in GATES)
    optimizers = optimizers_of(model, recipe)
    stories = load(args.train, tokenizer)
    valid = evaluation_rows(load(args.valid, tokenizer)[: args.valid_stories], config.max_seq_len)
    token_bytes = token_sizes(tokenizer)

    n_steps = math.ceil(args.tokens / recipe.batch_tokens)
    long_step = int(recipe.long_from * n_steps)
    micro_batches = recipe.batch_tokens // recipe.micro_batch_tokens
    if micro_batches % world:
        raise SystemExit(f"{micro_batches} micro-batches a step do not divide among {world} workers")
    step = 0
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        if (saved["config"], saved["recipe"]) != (asdict(config), asdict(recipe)):
            raise SystemExit(f"{checkpoint} was trained by another config; choose another --out")
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        step = saved["step"]
    batches = None
    begun, first, losses = time.time(), step, []
    while step < n_steps:
        is_long = step >= long_step
        length = config.max_seq_len if is_long else recipe.short_length
        if batches is None or batches.length != length:
            batches = Batches(stories, length, recipe.seed)
        rows_each = recipe.micro_batch_tokens // length
        first_row = (step - long_step if is_long else step) * micro_batches * rows_each
        set_rates(optimizers, recipe, (step + 1) / (n_steps + 1))
        for micro in range(rank, micro_batches, world):
            rows = batches(first_row + micro * rows_each, rows_each)
            draw = random.Random(f"{recipe.seed} {step} {micro}")
            loss = loss_of(model, rows, draw, recipe)
            loss.backward()
            losses.append(loss.item())
        average_gradients(model, micro_batches)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        step += 1
        if rank == 0 and (step % 10 == 0 or step == n_steps):
            rate = (step - first) / (time.time() - begun)
            line = {"step": step, "tokens": step * recipe.batch_tokens, "loss": round(float(np.mean(losses)), 4)}
            losses.clear()
            if step % args.checkpoint_steps == 0 or step == n_steps:
                bpb = bits_per_byte(model, valid, token_bytes)
                line["valid_bits_per_byte"] = {depth: round(x, 4) for depth, x in bpb.items()}
                state = {
                    "config": asdict(config),
                    "recipe": asdict(recipe),
                    "step": step,
                    "model": model.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                }
                torch.save(state, checkpoint.with_suffix(".tmp"))
                checkpoint.with_suffix(".tmp").replace(checkpoint)
            with open(out / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            minutes = (n_steps - step) / rate / 60
            print(f"{line} {rate * recipe.batch_tokens:.0f} tokens/s, {minutes:.0f} min left", flush=True)
        if dist.is_initialized() and step % args.checkpoint_steps == 0:
            dist.barrier()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, help="JSON: {model: {...}, recipe: {...}}")
    parser.add_argument("--train", required=True, help="stories separated by <|endoftext|> lines")
    parser.add_argument("--valid", required=True)
    parser.add_argument("--tokenizer", required=True, help="from tokenizer.py")
    parser.add_argument("--out", required=True, help="folder for checkpoint.pt and log.jsonl")
    parser.add_argument("--tokens", type=float, required=True, help="token positions to train on")
    parser.add_argument("--init", help="checkpoint whose weights to begin with")
    parser.add_argument(
        "--gates-only", action="store_true", help="fit new gates to --init, which stays as it is"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--valid-stories", type=int, default=100)
    parser.add_argument("--checkpoint-steps", type=int, default=100)
    args = parser.parse_args()
    if args.workers == 1:
        train(args)
    else:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(work, (args, f"file://{folder}/workers"), args.workers)


def work(rank: int, args: argparse.Namespace, meeting: str) -> None:
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.workers)
    train(args)


if __name__ == "__main__":
    main()
