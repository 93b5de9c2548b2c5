"""The dynamic maps of 8 and 4 bits: a sign, an exponent of ten in unary, a linear fraction.

    index k holds 10^(e - d + 1) * (0.1 + 0.9 * (k / n - 1 + 1 / 2n)),   n = 2^e <= k < 2n

for d = 7 or 3 decades (Dettmers et al. 2022, arXiv:2110.02861; bitsandbytes' tables); unsigned maps
have twice as many fractions, n = 2^(e+1). Index 0 is 0 and the last one is 1. Signed codes are
127 +- k (7 +- k), unsigned ones k - 1.

Within a decade the value is linear in k, and the lines grow steeper from one to the next. So
decoding takes the greatest line, encoding the least of their inverses, and neither branches.
The first index of a decade begins early: half-way, in value, from the index before, whose steps
are smaller. That is at 0.2 of a step instead of 0, in every decade.
"""

from __future__ import annotations

from functools import partial

from ..ir import Graph, Node
from .codec import Codec, at_least, at_most, code_number, line, nearest_code
from .scales import Scale

_EARLY = 0.2  # where, in steps from a decade's begin, its first index begins


def dynamic8(block: int = 256, signed: bool = True) -> Codec:
    """8 bits, seven decades."""
    return _dynamic("dynamic8", "uint8", 7, block, signed)


def dynamic4(block: int = 128, signed: bool = True, pairs: bool = False) -> Codec:
    """4 bits, three decades."""
    return _dynamic("dynamic4", "uint4", 3, block, signed, 1 if pairs else block // 2)


def _dynamic(
    name: str, dtype: str, decades: int, block: int, signed: bool, plane: int = 0
) -> Codec:
    decode = _decode_signed if signed else _decode_unsigned
    encode = _encode_signed if signed else _encode_unsigned
    zero = 2**decades - 1 if signed else 0
    return Codec(
        name, dtype, Scale(block), partial(decode, decades), partial(encode, decades), zero,
        plane=plane,
    )  # fmt: skip


# ---------------------------------------------------------------- decoding


def _decode_signed(decades: int, graph: Graph, code: Node) -> Node:
    k = code_number(graph, code, 2**decades - 1)
    size = graph.node("abs", k)
    first = _mean(decades, False, 1)
    greatest = line(graph, first, size, 0)  # also 0 at 0
    for slope, offset in _lines(decades, False)[1:]:
        greatest = graph.node("max_number", line(graph, slope, size, offset), greatest)
    return graph.node("copysign", at_most(graph, greatest, 1), k)


def _decode_unsigned(decades: int, graph: Graph, code: Node) -> Node:
    number = code_number(graph, code)
    greatest = graph.const(0)
    for slope, offset in _lines(decades, True):
        own = line(graph, slope, number, slope + offset)  # index: one more than the code
        greatest = graph.node("max_number", own, greatest)
    return at_most(graph, greatest, 1)


# ---------------------------------------------------------------- encoding


def _encode_signed(decades: int, graph: Graph, x: Node) -> Node:
    place = _place(decades, False, graph, graph.node("abs", x), x)
    half = graph.node("sub", place, graph.const(0.5))
    signed = graph.node("copysign", half, x)
    return nearest_code(graph, signed, 2**decades - 1)


def _encode_unsigned(decades: int, graph: Graph, x: Node) -> Node:
    size = at_least(graph, x, 0)
    place = _place(decades, True, graph, size, size)
    return nearest_code(graph, graph.node("sub", place, graph.const(1.5)))


def _place(decades: int, unsigned: bool, graph: Graph, a: Node, x: Node) -> Node:
    """A number whose floor is the index nearest to a; the last index only where x > 0, for -1 has
    no code."""
    least: Node | None = None
    for slope, offset in _inverses(decades, unsigned):
        own = line(graph, slope, a, offset)
        least = own if least is None else graph.node("min_number", own, least)
    assert least is not None
    begin = graph.node("binade", least)  # the decade's first index
    slow = 1 / (1 - _EARLY)
    steep = graph.node(
        "add", line(graph, slow, least, 0), line(graph, 1 - slow, begin, -_EARLY * slow)
    )
    place = graph.node("min_number", least, steep)
    top = 2 ** (decades + unsigned)
    border = (1 + _mean(decades, unsigned, top - 1)) / 2
    rise = 2.5 * _inverses(decades, unsigned)[-1][0]  # steeper than the last decade
    last = line(graph, rise, x, top - rise * border)
    return graph.node("max_number", at_most(graph, place, top - 0.125), last)


# ---------------------------------------------------------------- the lines


def _lines(decades: int, unsigned: bool) -> list[tuple[float, float]]:
    """Slope and offset of the value in k, decade by decade."""
    found: list[tuple[float, float]] = []
    for e in range(decades):
        n, size = 2 ** (e + unsigned), 10.0 ** (e - decades + 1)
        found.append((size * 0.9 / n, size * (0.45 / n - 0.8)))
    return found


def _inverses(decades: int, unsigned: bool) -> list[tuple[float, float]]:
    """Slope and offset of the place in a: from n to 2n within a decade. The first decade's line
    goes through the border between 0 and the least value instead."""
    n = 2**unsigned
    border = _mean(decades, unsigned, n) / 2
    later = (_mean(decades, unsigned, n) + _mean(decades, unsigned, n + 1)) / 2
    end = later if unsigned else 10.0 ** (1 - decades)
    slope = (1 - _EARLY) / (end - border)
    found = [(slope, n + 1 - slope * end)]
    for e in range(1, decades):
        n, size = 2 ** (e + unsigned), 10.0 ** (e - decades + 1)
        found.append((n / (0.9 * size), n * 8 / 9))
    return found


def _mean(decades: int, unsigned: bool, k: int) -> float:
    """The value of an index but the first and the last."""
    slope, offset = _lines(decades, unsigned)[k.bit_length() - 1 - unsigned]
    return slope * k + offset
