"""Run with `python3 -m unittest` in this folder."""

import unittest

import torch

import fused
from model import BitSkip, Config, hadamard


class LinearInput(unittest.TestCase):
    @unittest.skipUnless(fused.extension, "fused.cpp is not compiled here")
    def test_fused_equals_plain(self):
        """Values to 1e-5; a tie may fall to either side, which moves it one level of 127."""
        for bits, places in ((8, ()), (8, ("qkv", "down")), (4, ("qkv", "down")), (32, ())):
            for place, width in (("qkv", 64), ("down", 512)):
                model = BitSkip(Config(dim=64, hidden_dim=256, activation_bits=bits, hadamard=places))
                n = width if place == "qkv" else width // 2
                x = torch.randn(5, 7, width, requires_grad=True)
                gain = torch.rand(n, requires_grad=True)
                weight = torch.randn(5, 7, n)
                results = []
                for extension in (fused.extension, None):
                    saved, fused.extension = fused.extension, extension
                    try:
                        y = model.linear_input(x, gain, place)
                        grads = torch.autograd.grad((y * weight).sum(), (x, gain))
                    finally:
                        fused.extension = saved
                    results.append((y, *grads))
                (y, dx, dgain), (y_, dx_, dgain_) = results
                self.assertLess((dx - dx_).abs().max(), 1e-4)
                self.assertLess((dgain - dgain_).abs().max(), 1e-3)
                self.assertLess((y != y_).float().mean() * (bits < 32), 1)
                self.assertGreater((((y - y_).abs() < 1e-5).float().mean()), 0.999)


class Transform(unittest.TestCase):
    def test_hadamard_is_orthonormal_and_its_own_inverse(self):
        x = torch.randn(3, 128)
        torch.testing.assert_close(hadamard(hadamard(x)), x)
        torch.testing.assert_close(hadamard(x).norm(), x.norm())

    def test_the_published_order_is_transform_after_quantisation_and_without_norm(self):
        model = BitSkip(Config(dim=64, hidden_dim=64, hadamard=("qkv",), quantize_first=True))
        matrix = hadamard(torch.eye(64)) * 8  # of +-1
        x, gain = torch.randn(3, 64), torch.rand(64)
        weights = [torch.randn(n, 64) for n in (64, 32)]
        quantized = model.linear_input(x, gain, "qkv")
        plain = BitSkip(Config(dim=64, hidden_dim=64)).linear_input(x, gain, "qkv")
        torch.testing.assert_close(quantized, plain)
        expected = [
            quantized @ matrix @ w.T @ (hadamard(torch.eye(len(w))) * len(w) ** 0.5) for w in weights
        ]
        result = model.linear(quantized, weights, "qkv")  # sums of some 4,000 in float32
        torch.testing.assert_close(result, torch.cat(expected, -1), atol=1e-2, rtol=1e-4)


if __name__ == "__main__":
    unittest.main()
