"""Codecs as arithmetic: how a block of numbers becomes codes with a scale, and back.

A codec is two piecewise linear functions, so one definition in nodes serves every target and needs
no table:

    dynamic8   code k holds +-10^(e-6) * (0.1 + 0.9 * (k/2^e - 1 + 2^-(e+1))),  2^e <= k < 2^(e+1)

which is bitsandbytes' "dynamic" map (Dettmers et al. 2022, arXiv:2110.02861): within one power of
two of k the value is linear in k, so decoding is `slope[e] * k + offset[e]` with the pair chosen by
comparisons, and encoding is the inverse with the decade chosen by comparisons. Bounds between codes
are the midpoints of neighbouring values, so the nearest code is taken.

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
    """8 bits: a sign, an exponent of ten in unary, and a linear fraction in the bits that remain."""
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
    """The value of index k >= 0: 0 for k = 0, 1 for the top index, else linear in its octave."""
    slopes, offsets = [], []
    for e in range(shift, 7 + shift):
        decade = 10.0 ** (e - shift - 6)
        slopes.append(decade * 0.9 / 2**e)
        offsets.append(decade * (0.1 - 0.9 + 0.9 * 2.0 ** -(e + 1)))
    slope, offset = graph.const(slopes[0]), graph.const(offsets[0])
    for e in range(shift + 1, 7 + shift):
        beyond = graph.node("ge", k, graph.const(2**e))
        slope = graph.node("where", beyond, graph.const(slopes[e - shift]), slope)
        offset = graph.node("where", beyond, graph.const(offsets[e - shift]), offset)
    line = graph.node("add", graph.node("mul", slope, k), offset)
    top = graph.node("ge", k, graph.const(2 ** (7 + shift)))
    line = graph.node("where", top, graph.const(1), line)
    if shift:
        return line
    return graph.node("where", graph.node("gt", k, graph.const(0)), line, graph.const(0))


def _encode_signed(graph: Graph, x: Node) -> Node:
    negative = graph.node("lt", x, graph.const(0))
    k = _encode_size(graph, graph.node("abs", x), shift=0)
    low = graph.node("sub", graph.const(127), graph.node("minimum", k, graph.const(127)))
    return graph.node("where", negative, low, graph.node("add", graph.const(127), k))


def _encode_unsigned(graph: Graph, x: Node) -> Node:
    k = _encode_size(graph, x, shift=1)
    return graph.node("maximum", graph.node("sub", k, graph.const(1)), graph.const(0))


def _encode_size(graph: Graph, a: Node, shift: int) -> Node:
    """The index of the value nearest to a in [0, 1].

    In the decade [10^(i-7), 10^(i-6)) sit 2^e values, e = i + shift, in steps of w; the first one's
    lower neighbour is the last of the decade below, 0.05 * w of that decade's ... so the bound
    between them is 0.2 of a step into the decade, in every decade.
    """
    slope, start = graph.const(_slope(0, shift)), graph.const(2.0**shift)
    for i in range(1, 7):
        beyond = graph.node("ge", a, graph.const(10.0 ** (i - 7)))
        slope = graph.node("where", beyond, graph.const(_slope(i, shift)), slope)
        start = graph.node("where", beyond, graph.const(2.0 ** (i + shift)), start)
    ninth = graph.const(1.0 / 9.0)
    q = graph.node("sub", graph.node("mul", slope, a), graph.node("mul", ninth, start))
    inside = graph.node("add", start, graph.node("floor", q))
    below = graph.node("sub", start, graph.const(1))
    k = graph.node("where", graph.node("lt", q, graph.const(0.2)), below, inside)
    e = 6 + shift
    last = 1.0 * (0.1 + 0.9 * ((2 ** (e + 1) - 1) / 2**e - 1 + 2.0 ** -(e + 1)))
    top = graph.node("ge", a, graph.const((1.0 + last) / 2))
    k = graph.node("where", top, graph.const(2 ** (7 + shift)), k)
    first = 10.0**-6 * (0.1 + 0.9 * 2.0 ** -(shift + 1))
    tiny = graph.node("lt", a, graph.const(first / 2))
    return graph.node("where", tiny, graph.const(2.0**shift - 1), _at_least(graph, k, 2.0**shift))


def _at_least(graph: Graph, k: Node, low: float) -> Node:
    return graph.node("maximum", k, graph.const(low))


def _slope(i: int, shift: int) -> float:
    return 10.0 ** (6 - i) * 2.0 ** (i + shift) / 0.9
