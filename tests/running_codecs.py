"""What each target stores of given numbers, codec by codec.

    python tests/running_codecs.py triton OUT.npz        codes and scales of every case

A spec keeps the gradient as its state, so the numbers that are coded are known to the last bit. For
Triton's interpreter this is a process of its own (TRITON_INTERPRET must be set before the import).
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import torch
from torch.nn import Parameter

import stepc
from stepc.dsl.codes import dynamic_table, linear_table, power_table, read_back
from stepc.runtime import use_target

Array = np.ndarray

# codec as written -> its values over the scale, or None where they are not a table
CASES: dict[str, Array | None] = {
    "dynamic8(signed = true)": dynamic_table(8, True),
    "dynamic8(signed = false)": dynamic_table(8, False),
    "dynamic4(signed = true)": dynamic_table(4, True),
    "dynamic4(signed = false)": dynamic_table(4, False),
    "dynamic4(signed = true, pairs = true)": dynamic_table(4, True),
    "linear8(signed = true)": linear_table(8, True),
    "linear8(signed = false)": linear_table(8, False),
    "linear8(signed = true, rank1 = true)": None,
    "linear4(signed = true)": linear_table(4, True),
    "linear4(signed = false)": linear_table(4, False),
    "linear4(signed = false, rank1 = true)": None,
    "linear4(asymmetric = true)": None,
    "power4(signed = true)": power_table(4, True),
    "power4(signed = false)": power_table(4, False),
    "softsign8": None,
    "sqrt8": None,
    "e4m3": None,
    "e5m2": None,
    "bfloat16": None,
    "float16": None,
}
NEAR = 2.0**-14  # of the distance between two values: closer to a border, float32 may err
SPEC = """
optimizer Keeps:
    hyper lr = 1.0 in [0, inf)
    state m: like param
    quantize m: {}
    update:
        direction = m
        m = grad
"""


def signed(codec: str) -> bool:
    return "signed = false" not in codec and codec != "sqrt8"


def block_of(codec: str) -> int:
    if codec.startswith(("softsign", "sqrt")):
        return 32
    return 128 if "4(" in codec else 256


def numbers(codec: str) -> Array:
    """Every value of the codec, what lies close to every border, guards' blocks, and many drawn
    ones, in blocks whose largest is 1; the last block is partial."""
    chance = np.random.default_rng(11)
    table, block = CASES[codec], block_of(codec)
    if table is None:
        table = chance.standard_normal(500)
        table /= np.abs(table).max()
        table = table if signed(codec) else np.abs(table)
    table = np.sort(table)
    borders, gaps = (table[1:] + table[:-1]) / 2, table[1:] - table[:-1]
    near = [borders + off * gaps for off in (-1e-2, -NEAR, NEAR, 1e-2)]
    drawn = chance.standard_normal(2000) * 10.0 ** chance.uniform(-6, 0, 2000) / 4
    body = np.concatenate([table, *near, np.clip(drawn, -1, 1)])
    body = body if signed(codec) else np.abs(body)
    body = np.pad(body, (0, -len(body) % (block - 1)))
    blocks = np.concatenate(
        [np.ones((len(body) // (block - 1), 1)), body.reshape(-1, block - 1)], 1
    )
    scales = np.float32(2.0) ** chance.integers(-9, 9, (len(blocks), 1))
    last = chance.standard_normal(block // 2 + 3)
    least = np.linspace(0, 1.01e-33, block)  # of a block that is not taken for zeros
    odd = np.stack([np.zeros(block), np.full(block, 1e-39), np.full(block, 3e-34), least])
    whole = np.concatenate([(blocks * scales).ravel(), odd.ravel(), np.abs(last)])
    return whole.astype(np.float32)


def broken(codec: str) -> Array:
    """Blocks with an infinity, a NaN and something huge, between blocks without."""
    block = block_of(codec)
    values = np.abs(np.random.default_rng(5).standard_normal(block * 7)).astype(np.float32)
    for place, bad in ((1, np.inf), (3, np.nan), (5, 3e38)):
        values[block * place + 5] = bad
    return values


@cache
def kept(codec: str) -> type[torch.optim.Optimizer]:
    """The optimizer that keeps its gradient."""
    return stepc.compile(SPEC.format(codec))


def states(codec: str, given: Array, target: str) -> dict[str, Array]:
    """What is stored of these numbers, and what it reads back as (`read`)."""
    param = Parameter(torch.zeros(given.shape))
    optimizer = kept(codec)([param])
    with use_target(target):
        param.grad = torch.from_numpy(given.copy())
        optimizer.step()
        found = {
            name: value.clone()
            for name, value in optimizer.state[param].items()
            if isinstance(value, torch.Tensor)
        }
        param.data.zero_()
        param.grad = torch.zeros_like(param)
        optimizer.step()
    whole = {name: value.to(torch.float32).numpy() for name, value in found.items()}
    return {**whole, "read": 0 - param.detach().numpy()}


def shaped(codec: str, given: Array) -> Array:
    """Rank-1 scales want a matrix, for Triton's interpreter a small one."""
    return given[:300].reshape(5, 60) if "rank1" in codec else given


def everything(target: str) -> dict[str, Array]:
    """All cases of one target, as `codec|stream`."""
    found: dict[str, Array] = {}
    for codec in CASES:
        for word, make in (("", numbers), ("broken ", broken)):
            given = shaped(codec, make(codec))
            for name, value in states(codec, given, target).items():
                found[f"{word}{codec}|{name}"] = value
        if CASES[codec] is not None:
            again = found[f"{codec}|read"]
            found[f"again {codec}|m"] = states(codec, again, target)["m"]
    return found


def defined(codec: str, given: Array) -> Array:
    """What the definition reads back."""
    name, _, options = codec.rstrip(")").partition("(")
    pairs = [part.split(" = ") for part in options.split(", ") if part]
    return read_back(given.astype(np.float64), "float32", name, {k: v == "true" for k, v in pairs})


if __name__ == "__main__":
    np.savez(sys.argv[2], **everything(sys.argv[1]))
