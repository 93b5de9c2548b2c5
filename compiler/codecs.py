"""Codecs as arithmetic: how a block of numbers becomes codes with a scale, and back.

A codec is two piecewise linear functions, so one definition in nodes serves every target and needs
no table:

    dynamic8   code k holds +-10^(e-6) * (0.1 + 0.9 * (k/2^e - 1 + 2^-(e+1))),  2^e <= k < 2^(e+1)

which is bitsandbytes' "dynamic" map (Dettmers et al. 2022, arXiv:2110.02861). Within one power of
two of k the value is linear in k, and the lines grow steeper from one to the next: so decoding
takes the greatest of the lines `slope[e] * k + offset[e]`, encoding the least of their inverses,
and neither branches. Bounds between codes are the midpoints of neighbouring values, so the
nearest code is taken.

The scale of a block is its largest magnitude; a block whose largest magnitude is not above
`SMALLEST_SCALE` is stored as zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .ir import Graph, Node

SMALLEST_SCALE = 1e-37


@dataclass(frozen=True, slots=True)
class Codec:
    """`decode(code) -> value / scale` and `encode(value / scale) -> code`; `zero` is 0's code."""

    name: str
    block: int
    zero: int
    decode: Callable[[Graph, Node], Node]
    encode: Callable[[Graph, Node], Node]


def dynamic8(block: int = 256, signed: bool = True) -> Codec:
    """8 bits: a sign, an exponent of ten in unary, a linear fraction in the bits that remain."""
    if signed:
        return Codec("dynamic8", block, 127, _decode_signed, _encode_signed)
    return Codec("dynamic8 unsigned", block, 0, _decode_unsigned, _encode_unsigned)


CODECS: dict[str, Callable[..., Codec]] = {"dynamic8": dynamic8}


def _decode_signed(graph: Graph, code: Node) -> Node:
    k = graph.node("sub", code, graph.const(127))
    size = _decode_size(graph, graph.node("abs", k), shift=0)
    return graph.node("where", graph.node("lt", k, graph.const(0)), graph.node("neg", size), size)


def _decode_unsigned(graph: Graph, code: Node) -> Node:
    size = _decode_size(graph, graph.node("add", code, graph.const(1)), shift=1)
    return graph.node("where", graph.node("gt", code, graph.const(0)), size, graph.const(0))


def _decode_size(graph: Graph, k: Node, shift: int) -> Node:
    """The value of index k: 0 below the first, 1 for the top index, else the greatest line's."""
    size = graph.const(0)
    for slope, offset in _lines(shift):
        size = graph.node("max_number", _line(graph, slope, k, offset), size)
    return graph.node("min_number", size, graph.const(1))


def _encode_signed(graph: Graph, x: Node) -> Node:
    negative = graph.node("lt", x, graph.const(0))
    k = _encode_size(graph, graph.node("abs", x), shift=0)
    low = graph.node("sub", graph.const(127), graph.node("min_number", k, graph.const(127)))
    return graph.node("where", negative, low, graph.node("add", graph.const(127), k))


def _encode_unsigned(graph: Graph, x: Node) -> Node:
    k = _encode_size(graph, x, shift=1)
    return graph.node("max_number", graph.node("sub", k, graph.const(1)), graph.const(0))


def _encode_size(graph: Graph, a: Node, shift: int) -> Node:
    """The index of the value nearest to a in [0, 1]: the floor of the least of some lines in a.

    Inside a power of two that is the inverse line, half a step up. Its first index begins later
    than that, half-way in value from the index before, whose steps are smaller: 0.3 of a step
    early instead of 0.5. Hence a second line that reaches the index there, steep enough to stay
    below the first line until both round alike, and not so steep as to matter further down.
    """
    least: Node | None = None
    for e, (slope, offset) in enumerate(_lines(shift), start=shift):
        inverse = _line(graph, 1 / slope, a, 0.5 - offset / slope)
        bound = (_value(2**e, shift) + _value(2**e - 1, shift)) / 2
        steep = _line(graph, _STEEP / slope, a, 2**e - _STEEP * bound / slope)
        both = graph.node("min_number", inverse, steep)
        least = both if least is None else graph.node("min_number", both, least)
    assert least is not None
    k = graph.node("max_number", graph.node("floor", least), graph.const(2**shift - 1))
    top = 2 ** (7 + shift)
    above = graph.node("ge", a, graph.const((_value(top, shift) + _value(top - 1, shift)) / 2))
    return graph.node("where", above, graph.const(top), k)


_STEEP = 2.5


def _line(graph: Graph, slope: float, x: Node, offset: float) -> Node:
    return graph.node("add", graph.node("mul", graph.const(slope), x), graph.const(offset))


def _lines(shift: int) -> list[tuple[float, float]]:
    """Slope and offset of the value in k, from one power of two to the next."""
    lines: list[tuple[float, float]] = []
    for e in range(shift, 7 + shift):
        decade = 10.0 ** (e - shift - 6)
        lines.append((decade * 0.9 / 2**e, decade * (0.1 - 0.9 + 0.9 * 2.0 ** -(e + 1))))
    return lines


def _value(k: int, shift: int) -> float:
    """The value of index k, exactly as the map has it."""
    if k < 2**shift:
        return 0.0
    if k == 2 ** (7 + shift):
        return 1.0
    slope, offset = _lines(shift)[k.bit_length() - 1 - shift]
    return slope * k + offset
