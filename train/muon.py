"""Muon (Jordan et al., 2024): momentum, made orthogonal by a Newton-Schulz iteration."""

import torch
import torch.distributed as dist
from torch import Tensor


def orthogonalize(g: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly, to each of (n, out, in); five steps.

    The coefficients of the quintic are the published ones: singular values end in about 0.7..1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def orthogonalize_shared(g: Tensor) -> Tensor:
    """`orthogonalize`, each worker doing its share of the stack; n must divide by the workers."""
    if not dist.is_initialized():
        return orthogonalize(g)
    share = orthogonalize(g.chunk(dist.get_world_size())[dist.get_rank()]).contiguous()
    shares = [torch.empty_like(share) for _ in range(dist.get_world_size())]
    dist.all_gather(shares, share)
    return torch.cat(shares)


class Muon(torch.optim.Optimizer):
    """For stacks of matrices (n, out, in). `lr` is the change's spectral norm for square ones."""

    def __init__(self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalize_shared(p.grad.lerp(state["momentum"], group["momentum"]))
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * scale)
