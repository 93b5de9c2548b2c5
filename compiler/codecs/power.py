"""Squares of evenly spaced values, in 4 bits; no code is 0.

    signed    +-(1, 3, 5, ..., 15)^2 over 225         unsigned   (1, 2, ..., 16)^2 over 256

Borders lie half-way between the squares: between m^2 and (m + d)^2 at (m + d/2)^2 + d^2/4. So the
nearest is found by rounding a root.
"""

from __future__ import annotations

from ..ir import Graph, Node
from .codec import Codec, at_least, at_most, code_number, line, nearest_code
from .scales import scaled


def power4(
    block: int = 128, signed: bool = True, rank1: bool = False, pairs: bool = False
) -> Codec:
    """4 bits."""
    plane, scale = 1 if pairs else block // 2, scaled(block, rank1)
    if signed:
        return Codec("power4", "uint4", scale, _decode_signed, _encode_signed, 7, 225, plane=plane)
    return Codec("power4", "uint4", scale, _decode, _encode, 0, 256, plane=plane)


def _decode_signed(graph: Graph, code: Node) -> Node:
    odd = line(graph, 2, code_number(graph, code), -15)
    return graph.node("mul", odd, graph.node("abs", odd))


def _encode_signed(graph: Graph, ratio: Node) -> Node:
    root = _root(graph, graph.node("abs", ratio), 1)  # m + 1 for the odd m above a border
    half = at_most(graph, line(graph, 0.5, root, 0), 7.5)  # 0.5 .. 7.5: eight codes a side
    place = at_least(graph, half, 0.25)
    return nearest_code(graph, line(graph, 1, graph.node("copysign", place, ratio), 7.5))


def _decode(graph: Graph, code: Node) -> Node:
    number = code_number(graph, code, -1)
    return graph.node("mul", number, number)


def _encode(graph: Graph, ratio: Node) -> Node:
    place = graph.node("sub", _root(graph, ratio, 0.25), graph.const(1))
    return nearest_code(graph, at_least(graph, place, 0))


def _root(graph: Graph, x: Node, less: float) -> Node:
    return graph.node("sqrt", at_least(graph, graph.node("sub", x, graph.const(less)), 0))
