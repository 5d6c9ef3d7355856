"""A host of the raw ABI (docs/abi.md) in Python, by wasmtime: greedy decoding that leaves at a layer.

    pip install wasmtime
    python3 host.py <strict.wasm|relaxed.wasm> <image> <exit layer> <tokens> <prompt id,id,...>

prints the ids of the tokens that come next.
"""

import pathlib
import struct
import sys

from wasmtime import Config, Engine, Instance, Module, Store

ABI_VERSION = 3


def check(status: int) -> None:
    """Statuses are 0 or say what is wrong."""
    if status != 0:
        raise RuntimeError(f"status {status}: see docs/abi.md")


def main(module_path: str, image_path: str, layer: str, tokens: str, prompt_ids: str) -> None:
    config = Config()
    config.wasm_relaxed_simd = True
    store = Store(Engine(config))
    exports = Instance(store, Module.from_file(store.engine, module_path), []).exports(store)

    def call(name: str, *args: int) -> int:
        return exports[name](store, *args)

    if call("abiVersion") != ABI_VERSION:
        raise RuntimeError(f"ABI {call('abiVersion')}, wanted {ABI_VERSION}")
    image = pathlib.Path(image_path).read_bytes()
    address = call("reserveImage", len(image)) & 0xFFFFFFFF  # Addresses are unsigned.
    if address == 0:
        raise MemoryError("out of memory")
    memory = exports["memory"]
    memory.write(store, image, address)
    check(call("loadImage", 1))

    # The header's fields: docs/model-format.md. The engine has verified them.
    u32 = lambda at, count=1: struct.unpack_from(f"<{count}I", image, at)
    (vocab_size,), (max_seq_len,), (eos,), (n_exits,) = u32(40), u32(44), u32(72), u32(76)
    exits, depth = u32(80, n_exits), int(layer)
    if depth not in exits:
        raise ValueError(f"no exit at layer {layer}; exits: {exits}")

    def step(ids: list[int], position: int) -> int:
        """Runs tokens, at most maxBatch, at `position` and on; returns the likeliest next one."""
        for slot, token in enumerate(ids):
            check(call("embed", slot, token))
        for l in range(depth):
            check(call("layer", 0, l, position, len(ids)))
        check(call("head", exits.index(depth), len(ids) - 1))
        at = call("logits") & 0xFFFFFFFF
        logits = struct.unpack(f"<{vocab_size}f", memory.read(store, at, at + 4 * vocab_size))
        return logits.index(max(logits))

    prompt, batch = [int(token) for token in prompt_ids.split(",")], call("maxBatch")
    for at in range(0, len(prompt), batch):
        following = step(prompt[at : at + batch], at)
    ids, at = [], len(prompt)
    while len(ids) < int(tokens) and following != eos:
        ids.append(following)
        if at == max_seq_len:
            break
        following = step([following], at)
        at += 1
    print(",".join(map(str, ids)))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
