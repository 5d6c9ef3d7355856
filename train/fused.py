"""Loads fused.cpp, the fast form of `BitSkip.linear_input`, where a C++ compiler is at hand.

Without one, training goes on in plain PyTorch, slower.
"""

import ctypes
import pathlib
import subprocess
import tempfile

import torch
from torch import Tensor

SOURCE = pathlib.Path(__file__).with_name("fused.cpp")
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp-simd", "-shared", "-fPIC"]


def load() -> ctypes.CDLL | None:
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/fused.so"
        try:
            subprocess.run(["c++", *FLAGS, SOURCE, "-o", target], check=True, capture_output=True)
            return ctypes.CDLL(target)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"plain PyTorch, the slower way, because fused.cpp did not compile: {error}")
            return None


extension = load()


def pointer(t: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(t.data_ptr())


class LinearInput(torch.autograd.Function):
    """`BitSkip.linear_input` of rows (..., n), or (..., 2n) where gated, in one pass a row."""

    @staticmethod
    def forward(ctx, x: Tensor, gain: Tensor, eps: float, levels: int, transform: bool, gated: bool):
        x, gain, n = x.contiguous(), gain.contiguous(), gain.numel()
        y = x.new_empty(*x.shape[:-1], n)
        inverse_rms = x.new_empty(y.numel() // n)
        ctx.shape = (ctypes.c_int64(inverse_rms.numel()), ctypes.c_int64(n))
        ctx.flags = (ctypes.c_bool(transform), ctypes.c_bool(gated))
        extension.linear_input_forward(
            *map(pointer, (x, gain, y, inverse_rms)),
            *ctx.shape, ctypes.c_float(eps), ctypes.c_float(levels), *ctx.flags,
        )  # fmt: skip
        ctx.save_for_backward(x, gain, inverse_rms)
        return y

    @staticmethod
    def backward(ctx, dy: Tensor):
        x, gain, inverse_rms = ctx.saved_tensors
        dx, dgain = torch.empty_like(x), torch.zeros_like(gain)
        dy = dy.contiguous()
        extension.linear_input_backward(
            *map(pointer, (dy, x, gain, inverse_rms, dx, dgain)), *ctx.shape, *ctx.flags
        )
        return dx, dgain, None, None, None, None
