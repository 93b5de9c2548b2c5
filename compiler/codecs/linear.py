"""Evenly spaced values.

    linear8   signed: -127..127 over 127      unsigned: 0..255 over 255
    linear4   signed: -7.5..7.5 over 7.5      unsigned: 1..16 over 16        no code is 0

`asymmetric`: sixteen values from a block's least to its greatest.
"""

from __future__ import annotations

from ..ir import Graph, Node
from .codec import Codec, Map, at_least, code_number, nearest_code
from .scales import Ends, scaled


def linear8(block: int = 256, signed: bool = True, rank1: bool = False) -> Codec:
    """8 bits."""
    scale = scaled(block, rank1)
    if signed:
        return Codec("linear8", "uint8", scale, *_maps(127), 127, 127)
    return Codec("linear8", "uint8", scale, *_maps(0), 0, 255)


def linear4(
    block: int = 128,
    signed: bool = True,
    asymmetric: bool = False,
    rank1: bool = False,
    pairs: bool = False,
) -> Codec:
    """4 bits."""
    plane = 1 if pairs else block // 2
    if asymmetric:
        return Codec("linear4", "uint4", Ends(block, 15), *_maps(0), plane=plane)
    scale = scaled(block, rank1)
    if signed:
        return Codec("linear4", "uint4", scale, *_maps(7.5), 7, 7.5, plane=plane)
    return Codec("linear4", "uint4", scale, *_maps(-1), 0, 16, plane=plane)


def _maps(zero: float) -> tuple[Map, Map]:
    """Codes count from -zero."""

    def decode(graph: Graph, code: Node) -> Node:
        return code_number(graph, code, zero)

    def encode(graph: Graph, ratio: Node) -> Node:
        if zero == 127:
            return nearest_code(graph, ratio, 127)
        place = graph.node("add", ratio, graph.const(zero)) if zero else ratio
        return nearest_code(graph, place if zero > 0 else at_least(graph, place, 0))

    return decode, encode
