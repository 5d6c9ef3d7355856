"""The BitSkip transformer, with the engine's quantisation in its forward pass.

The architecture is Hugging Face's `bitnet` (RMSNorm before attention and feed-forward, sub-norms
before the output projections, grouped-query attention, rotary positions, gated relu², tied
embedding), plus early exits. The four systems differ only in `Config`.

Weights of one kind are stacked over the layers, (n_layers, out, in), so that one operation
quantises them all and Muon updates them in one batch. Shapes: B rows, T tokens, D = dim,
F = hidden_dim, V = vocab_size.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fused

MATRICES = ("wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down")
GATES = ("gate_hidden", "gate_hidden_bias", "gate_out", "gate_out_bias")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a model is. Training settings are in train.py."""

    dim: int = 128
    hidden_dim: int = 512
    n_layers: int = 24
    n_heads: int = 4
    n_kv_heads: int = 2
    vocab_size: int = 1024
    max_seq_len: int = 512
    exits: tuple[int, ...] = (6, 12, 18, 24)
    gate_dim: int = 32  # hidden units of an exit's gate, a multiple of 32; 0: no gates
    weights: str = "ternary"  # or "f32"
    activation_bits: int = 8  # 8 or 4; 32 leaves activations alone
    hadamard: tuple[str, ...] = ()  # inputs to transform: "qkv", "o", "gate_up", "down"
    # The order of the code that BitSkip's authors published: quantise, transform without 1/sqrt(n),
    # multiply, transform once more. For comparison only; the engine has no such thing.
    quantize_first: bool = False
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    def __post_init__(self):
        object.__setattr__(self, "exits", tuple(self.exits))
        object.__setattr__(self, "hadamard", tuple(self.hadamard))
        if self.exits[-1] != self.n_layers or list(self.exits) != sorted(set(self.exits)):
            raise ValueError(f"exits must ascend and end with n_layers={self.n_layers}: {self.exits}")

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads


class QuantizeActivation(torch.autograd.Function):
    """Absmax per token to [-levels, levels], half to even, and back; straight-through gradient.

    BitNet b1.58 (Ma et al., 2024). The floor of 1e-5 keeps a zero vector zero.
    """

    @staticmethod
    def forward(ctx, x: Tensor, levels: int) -> Tensor:
        scale = levels / x.abs().amax(-1, keepdim=True).clamp_(min=1e-5)
        return (x * scale).round_().div_(scale)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad, None


def absmax_round(x: Tensor, levels: int) -> Tensor:
    """Each vector of the last axis to [-levels, levels] by its absmax, half to even, and back."""
    scale = levels / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    return (x * scale).round() / scale


def key_value_codes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes in [-63, 63] and the scale of each vector of the last axis.

    A little less than 63 breaks ties, of which there are many, towards zero: assembly/attention.ts.
    """
    absmax = x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    return (x * (63 * (1 - 2**-16) / absmax)).round(), absmax / 63


def engine_exp2(x: Tensor) -> Tensor:
    """2^x for x <= 0 as assembly/nn.ts computes it, to a relative error of 8e-5."""
    x = x.clamp(min=-126)
    k = x.round()
    f = x - k
    power = 0.05517166905792616 * f + 0.2426111221932161
    return ((power * f + 0.6932609854606553) * f + 0.9999280735394012) * torch.exp2(k)


def engine_attention(q: Tensor, k: Tensor, v: Tensor, is_quantized: bool) -> Tensor:
    """Causal attention (B, heads, T, head_dim) as the engine computes it; not for training.

    Quantised, queries have 127 levels, keys and values 63, and so have, with 127, the probabilities of
    a token times its values' scales.
    """
    head_dim, T = q.shape[-1], q.shape[-2]
    q = q * (math.log2(math.e) * head_dim**-0.5)
    v_scale = torch.ones_like(v[..., :1])
    if is_quantized:
        q = absmax_round(q, 127)
        (k, k_scale), (v, v_scale) = key_value_codes(k), key_value_codes(v)
        k = k * k_scale
    mask = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.mT).masked_fill(mask, -torch.inf)
    e = engine_exp2(scores - scores.amax(-1, keepdim=True)).masked_fill(mask, 0)
    weights = e * v_scale.mT
    if is_quantized:
        weights = absmax_round(weights, 127)
    return weights @ v / e.sum(-1, keepdim=True)


class QuantizeTernary(torch.autograd.Function):
    """Each matrix of a stack to {-1, 0, 1} times its mean magnitude; straight-through gradient."""

    @staticmethod
    def forward(ctx, w: Tensor) -> Tensor:
        codes, scale = ternary(w)
        return codes.mul_(scale)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad


class QuantizeEmbedding(torch.autograd.Function):
    """Each row to [-63, 63] by its absmax; straight-through gradient."""

    @staticmethod
    def forward(ctx, w: Tensor) -> Tensor:
        codes, scale = embedding_codes(w)
        return codes.mul_(scale)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad


def ternary(w: Tensor) -> tuple[Tensor, Tensor]:
    """Codes in {-1, 0, 1} and the scale, the absmean, of each matrix of (..., out, in)."""
    scale = w.abs().mean((-2, -1), keepdim=True).clamp_(min=1e-5)
    return (w / scale).round_().clamp_(-1, 1), scale


def embedding_codes(w: Tensor) -> tuple[Tensor, Tensor]:
    """Codes in [-63, 63] and the scale of each row of (V, D).

    Seven bits, not eight: the engine's relaxed dot product takes them, moved by 64, as the operand
    that must not use the top bit.
    """
    scale = w.abs().amax(-1, keepdim=True).clamp_(min=1e-5) / 63
    return (w / scale).round_(), scale


def hadamard(x: Tensor) -> Tensor:
    """The orthonormal Walsh-Hadamard transform of the last axis, whose size is a power of two."""
    n = x.shape[-1]
    y, h = x, 1
    while h < n:
        a, b = y.view(*x.shape[:-1], n // (2 * h), 2, h).unbind(-2)
        y = torch.stack((a + b, a - b), -2)
        h *= 2
    return y.reshape(x.shape) * n**-0.5


def rmsnorm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al., 2021) on (B, T, heads, head_dim), halves as pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class BitSkip(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = c = config
        kv_dim = c.n_kv_heads * c.head_dim

        def matrix(out: int, inp: int, depth_scale: float = 1.0) -> nn.Parameter:
            return nn.Parameter(torch.randn(c.n_layers, out, inp) * (depth_scale * inp**-0.5))

        def gain(n: int) -> nn.Parameter:
            return nn.Parameter(torch.ones(c.n_layers, n))

        out_scale = (2 * c.n_layers) ** -0.5
        self.embedding = nn.Parameter(torch.randn(c.vocab_size, c.dim) * c.dim**-0.5)
        self.wq, self.wk, self.wv = matrix(c.dim, c.dim), matrix(kv_dim, c.dim), matrix(kv_dim, c.dim)
        self.wo = matrix(c.dim, c.dim, out_scale)
        self.w_gate, self.w_up = matrix(c.hidden_dim, c.dim), matrix(c.hidden_dim, c.dim)
        self.w_down = matrix(c.dim, c.hidden_dim, out_scale)
        self.attn_norm, self.ffn_norm = gain(c.dim), gain(c.dim)
        self.attn_sub_norm, self.ffn_sub_norm = gain(c.dim), gain(c.hidden_dim)
        # One norm for each exit, the last layer's included; one gate for each but the last.
        self.exit_norm = nn.Parameter(torch.ones(len(c.exits), c.dim))
        n_gates = len(c.exits) - 1
        self.gate_hidden = nn.Parameter(torch.randn(n_gates, c.gate_dim, c.dim) * c.dim**-0.5)
        self.gate_hidden_bias = nn.Parameter(torch.zeros(n_gates, c.gate_dim))
        self.gate_out = nn.Parameter(torch.zeros(n_gates, c.gate_dim))
        self.gate_out_bias = nn.Parameter(torch.zeros(n_gates))
        half = c.head_dim // 2
        angle = torch.outer(
            torch.arange(c.max_seq_len).double(),
            c.rope_theta ** (-torch.arange(half).double() / half),
        )
        self.register_buffer("cos", angle.cos().float()[:, None, :], persistent=False)
        self.register_buffer("sin", angle.sin().float()[:, None, :], persistent=False)

    def quantized(self) -> dict[str, Tensor]:
        """The weights as the engine sees them: {name: (n_layers, out, in)} and the embedding."""
        if self.config.weights == "f32":
            return {name: getattr(self, name) for name in (*MATRICES, "embedding")}
        weights = {name: QuantizeTernary.apply(getattr(self, name)) for name in MATRICES}
        return weights | {"embedding": QuantizeEmbedding.apply(self.embedding)}

    def linear_input(self, x: Tensor, gain: Tensor, place: str) -> Tensor:
        """What a linear layer multiplies: normed, perhaps transformed, then quantised.

        The input of w_down is (..., 2F), gate and up, and passes the gated relu² first.
        """
        c = self.config
        transform = place in c.hadamard and not c.quantize_first
        levels = 2 ** (c.activation_bits - 1) - 1 if c.activation_bits < 32 else 0
        if fused.extension and x.device.type == "cpu":
            return fused.LinearInput.apply(x, gain, c.norm_eps, levels, transform, place == "down")
        if place == "down":
            gate, up = x.chunk(2, -1)
            x = F.relu(gate).square() * up
        x = rmsnorm(x, gain, c.norm_eps)
        if transform:
            x = hadamard(x)
        return QuantizeActivation.apply(x, levels) if levels else x

    def linear(self, x: Tensor, weights: list[Tensor], place: str) -> Tensor:
        """The products of x with each of `weights` (out, in), side by side."""
        if not (self.config.quantize_first and place in self.config.hadamard):
            return F.linear(x, torch.cat(weights) if len(weights) > 1 else weights[0])
        x = hadamard(x) * x.shape[-1] ** 0.5
        return torch.cat([hadamard(F.linear(x, w)) * len(w) ** 0.5 for w in weights], -1)

    def layer(self, h: Tensor, i: int, w: dict[str, tuple[Tensor, ...]]) -> Tensor:
        """(B, T, D) -> (B, T, D). Out of training (`eval()`), keys and values are rounded too."""
        c = self.config
        B, T, _ = h.shape
        cos, sin = self.cos[:T], self.sin[:T]
        x = self.linear_input(h, self.attn_norm[i], "qkv")
        qkv = self.linear(x, [w["wq"][i], w["wk"][i], w["wv"][i]], "qkv")
        q, k, v = qkv.view(B, T, -1, c.head_dim).split((c.n_heads, c.n_kv_heads, c.n_kv_heads), 2)
        group = c.n_heads // c.n_kv_heads
        k = rotate(k, cos, sin).repeat_interleave(group, 2)
        q, k, v = (
            rotate(q, cos, sin).transpose(1, 2),
            k.transpose(1, 2),
            v.repeat_interleave(group, 2).transpose(1, 2),
        )
        if self.training:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            a = engine_attention(q, k, v, c.weights == "ternary")
        a = a.transpose(1, 2).reshape(B, T, c.dim)
        a = self.linear_input(a, self.attn_sub_norm[i], "o")
        h = h + self.linear(a, [w["wo"][i]], "o")
        x = self.linear_input(h, self.ffn_norm[i], "gate_up")
        x = self.linear(x, [w["w_gate"][i], w["w_up"][i]], "gate_up")
        x = self.linear_input(x, self.ffn_sub_norm[i], "down")
        return h + self.linear(x, [w["w_down"][i]], "down")

    def hidden_states(
        self, ids: Tensor, w: dict[str, Tensor], keep: list[bool], depth: Tensor | None = None
    ) -> list[Tensor]:
        """The residual stream (B, T, D) at each exit; layer i is left out where not keep[i].

        With `depth` (B, T) a token's stream stays as it is after so many layers: deeper ones see it
        by its keys and values only, as in an engine whose tokens leave early.
        """
        stacks = {name: w[name].unbind(0) for name in MATRICES}
        h = F.embedding(ids, w["embedding"])
        states = []
        for i in range(self.config.n_layers):
            if keep[i]:
                deeper = self.layer(h, i, stacks)
                h = deeper if depth is None else torch.where(depth[..., None] > i, deeper, h)
            if i + 1 in self.config.exits:
                states.append(h)
        return states

    def exit_state(self, h: Tensor, exit: int) -> Tensor:
        """What the gate and the head of exit number `exit` see: the normed state (B, T, D)."""
        return rmsnorm(h, self.exit_norm[exit], self.config.norm_eps)

    def gate(self, state: Tensor, exit: int) -> Tensor:
        """The logit (B, T) of the overlap of this exit's and the last layer's probabilities."""
        hidden = F.relu(F.linear(state, self.gate_hidden[exit], self.gate_hidden_bias[exit]))
        return hidden @ self.gate_out[exit] + self.gate_out_bias[exit]

    def head(self, state: Tensor, embedding: Tensor) -> Tensor:
        """Logits (B, T, V). The head's activations have 8 bits in every quantised system."""
        if self.config.weights != "f32":
            state = QuantizeActivation.apply(state, 127)
        return F.linear(state, embedding)

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Logits (B, T, V) at each exit, the last layer's last, for token ids (B, T)."""
        w = self.quantized()
        states = self.hidden_states(ids, w, [True] * self.config.n_layers)
        return [self.head(self.exit_state(h, e), w["embedding"]) for e, h in enumerate(states)]
