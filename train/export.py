"""Checkpoint to a Hugging Face style `bitnet` folder: config.json, model.safetensors, tokenizer.json.

    python3 export.py --checkpoint runs/v1/checkpoint.pt --tokenizer tokenizer.json --out ../models/stories

Ternary weights are packed as Hugging Face's `bitnet` does: four rows a byte, row i in the lowest two
bits, then row i + rows/4, and so on, each as weight + 1; `weight_scale` is what to multiply by.
"""

import argparse
import json
import pathlib
import shutil
import struct

import numpy as np
import torch
from torch import Tensor

from model import BitSkip, Config, ternary

MATRIX_NAMES = {
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "w_gate": "mlp.gate_proj",
    "w_up": "mlp.up_proj",
    "w_down": "mlp.down_proj",
}
NORM_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_sub_norm": "self_attn.attn_sub_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_sub_norm": "mlp.ffn_sub_norm",
}


def pack_ternary(codes: Tensor) -> Tensor:
    """{-1, 0, 1} of (rows, columns) to bytes of (rows / 4, columns)."""
    quarters = (codes + 1).to(torch.uint8).chunk(4)
    return sum(quarter << (2 * i) for i, quarter in enumerate(quarters))


def huggingface_tensors(model: BitSkip) -> dict[str, Tensor]:
    c = model.config
    tensors = {"model.embed_tokens.weight": model.embedding}
    for layer in range(c.n_layers):
        prefix = f"model.layers.{layer}"
        for name, part in MATRIX_NAMES.items():
            weight = getattr(model, name)[layer]
            if c.weights == "ternary":
                codes, scale = ternary(weight)
                weight = pack_ternary(codes)
                tensors[f"{prefix}.{part}.weight_scale"] = scale.view(1)
            tensors[f"{prefix}.{part}.weight"] = weight
        for name, part in NORM_NAMES.items():
            tensors[f"{prefix}.{part}.weight"] = getattr(model, name)[layer]
    for e, depth in enumerate(c.exits[:-1]):
        tensors[f"model.exits.{depth}.norm.weight"] = model.exit_norm[e]
        if c.gate_dim:
            gate = f"model.exits.{depth}.gate"
            tensors[f"{gate}.hidden.weight"] = model.gate_hidden[e]
            tensors[f"{gate}.hidden.bias"] = model.gate_hidden_bias[e]
            tensors[f"{gate}.out.weight"] = model.gate_out[e].view(1, -1)
            tensors[f"{gate}.out.bias"] = model.gate_out_bias[e].view(1)
    tensors["model.norm.weight"] = model.exit_norm[-1]
    return {name: tensor.detach() for name, tensor in tensors.items()}


def huggingface_config(c: Config) -> dict:
    if c.quantize_first:
        raise ValueError("the engine does not quantise before the transform (quantize_first)")
    config = {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "hidden_size": c.dim,
        "intermediate_size": c.hidden_dim,
        "num_hidden_layers": c.n_layers,
        "num_attention_heads": c.n_heads,
        "num_key_value_heads": c.n_kv_heads,
        "vocab_size": c.vocab_size,
        "max_position_embeddings": c.max_seq_len,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rope_theta,
        "hidden_act": "relu2",
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "bitskip": {
            "exits": list(c.exits),
            "gate_dim": c.gate_dim,
            "activation_bits": c.activation_bits,
            "hadamard": list(c.hadamard),
        },
    }
    if c.weights == "ternary":
        config["quantization_config"] = {
            "quant_method": "bitnet",
            "linear_class": "autobitlinear",
            "quantization_mode": "offline",
        }
    return config


def write_safetensors(path: pathlib.Path, tensors: dict[str, Tensor]) -> None:
    """github.com/huggingface/safetensors: header length, JSON header, bytes."""
    dtypes = {torch.float32: "F32", torch.uint8: "U8"}
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = np.ascontiguousarray(tensor.numpy()).tobytes()
        header[name] = {
            "dtype": dtypes[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(blob)],
        }
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def export(model: BitSkip, out: pathlib.Path) -> None:
    """Writes config.json and model.safetensors."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(huggingface_config(model.config), indent=2) + "\n"
    (out / "config.json").write_text(text, encoding="utf-8")
    write_safetensors(out / "model.safetensors", huggingface_tensors(model))


def load_checkpoint(path: str) -> BitSkip:
    saved = torch.load(path)
    model = BitSkip(Config(**saved["config"]))
    model.load_state_dict(saved["model"])
    print(f"{path}: {saved['step']} steps of {saved['recipe']['batch_tokens']} tokens")
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    export(load_checkpoint(args.checkpoint), pathlib.Path(args.out))
    shutil.copy(args.tokenizer, pathlib.Path(args.out) / "tokenizer.json")
