"""Short floating-point numbers.

    e4m3       values up to 448, 3 bits of mantissa, scaled in blocks
    e5m2       values up to 57344, 2 bits of mantissa, scaled in blocks
    bfloat16, float16     stored as they are, without a scale

Rounded to nearest, halves to even. The bytes are those of torch.float8_e4m3fn and float8_e5m2.
"""

from __future__ import annotations

from functools import partial

from ..ir import Graph, Node
from .codec import Codec
from .scales import Scale


def e4m3(block: int = 256) -> Codec:
    """8 bits: a sign, 4 of exponent, 3 of mantissa."""
    return _float8("e4m3", block, 448)


def e5m2(block: int = 256) -> Codec:
    """8 bits: a sign, 5 of exponent, 2 of mantissa."""
    return _float8("e5m2", block, 57344)


def bfloat16() -> Codec:
    """16 bits, the exponents of float32."""
    return Codec("bfloat16", "bfloat16")


def float16() -> Codec:
    """16 bits, up to 65504."""
    return Codec("float16", "float16")


def _float8(name: str, block: int, top: float) -> Codec:
    decode, encode = partial(_apply, f"{name}_value"), partial(_apply, f"{name}_code")
    return Codec(name, "uint8", Scale(block), decode, encode, 0, top)


def _apply(op: str, graph: Graph, x: Node) -> Node:
    return graph.node(op, x)
