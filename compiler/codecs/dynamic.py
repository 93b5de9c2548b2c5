"""The dynamic maps of 8 and 4 bits: a sign, an exponent of ten in unary, a linear fraction.

    index k holds 10^(e - d + 1) * (0.1 + 0.9 * (k / n - 1 + 1 / 2n)),   n = 2^e <= k < 2n

for d = 7 or 3 decades (Dettmers et al. 2022, arXiv:2110.02861; bitsandbytes' tables); unsigned maps
have twice as many fractions, n = 2^(e+1). Index 0 is 0 and the last one is 1. Signed codes are
127 +- k (7 +- k), unsigned ones k - 1.

A map is one node. A Triton tile of one warp looks it up (runtime/codes.py); `plain` spells it out
for all else. Within a decade the value is linear in k, and the lines grow steeper from one to the
next. So decoding takes the greatest line, encoding the least of their inverses, and neither
branches. The first index of a decade begins early: half-way, in value, from the index before, whose
steps are smaller. That is at 0.2 of a step instead of 0, in every decade. Where indices are few,
lines through the borders between them say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from ..ir import Graph, Node
from .codec import Codec, Map, at_least, at_most, code_number, line, nearest_code
from .scales import Scale

_MANY = 4  # decades from which on tables pay, and lines through all borders are too many
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
    decode = _map("dynamic_value", decades, signed)
    encode = partial(_encode_signed if signed else _encode_unsigned, decades)
    if decades >= _MANY:
        encode = _map("dynamic_code", decades, signed)
    zero = 2**decades - 1 if signed else 0
    return Codec(name, dtype, Scale(block), decode, encode, zero, plane=plane)


def _map(op: str, decades: int, signed: bool) -> Map:
    return lambda graph, x: graph.node(op, x, attr=(decades, signed))


def plain(graph: Graph, node: Node) -> Node:
    """A map as arithmetic; any other node as it is."""
    match node.op, node.attr:
        case "dynamic_value", (int(decades), True):
            return _decode_signed(decades, graph, *node.args)
        case "dynamic_value", (int(decades), False):
            return _decode_unsigned(decades, graph, *node.args)
        case "dynamic_code", (int(decades), True):
            return _encode_signed(decades, graph, *node.args)
        case "dynamic_code", (int(decades), False):
            return _encode_unsigned(decades, graph, *node.args)
        case _:
            return node


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
    a = at_most(graph, graph.node("abs", x), _last_border(decades, False))  # -1 has no code
    size = _place(decades, False, graph, a, x)
    return nearest_code(graph, graph.node("copysign", size, x), 2**decades - 1)


def _encode_unsigned(decades: int, graph: Graph, x: Node) -> Node:
    a = at_least(graph, x, 0)
    return nearest_code(graph, _place(decades, True, graph, a, a))


@dataclass(frozen=True, slots=True)
class Places:
    """Where numbers lie among the indices of a map: the least of `lines` (slope and offset), but
    from `border` on the last one, on a line that begins there. `less`: what is taken off."""

    lines: tuple[tuple[float, float], ...]
    border: float
    rise: float
    top: float
    less: float


def places_of(decades: int, unsigned: bool) -> Places:
    """The lines through the places of a map, decade by decade."""
    lines, border = _inverses(decades, unsigned), _last_border(decades, unsigned)
    rise = 2.5 * lines[-1][0]  # steeper than the last decade
    top = 2 ** (decades + unsigned) - rise * border
    return Places(tuple(lines), border, rise, top, 0.5 + unsigned)


def _place(decades: int, unsigned: bool, graph: Graph, a: Node, x: Node) -> Node:
    """What rounds to the index nearest to a (less one without signs); the last one where x > 0."""
    places = places_of(decades, unsigned)
    rise, top, less = places.rise, places.top, places.less
    if decades < _MANY:
        place = _least(graph, a, _chords(decades, unsigned, less))
        return graph.node("max_number", place, line(graph, rise, x, top - less))
    least = _least(graph, a, places.lines)
    begin = graph.node("binade", least)  # the decade's first index
    slow = 1 / (1 - _EARLY)
    steep = graph.node(
        "add", line(graph, slow, least, 0), line(graph, 1 - slow, begin, -_EARLY * slow)
    )
    place = graph.node("min_number", least, steep)
    place = graph.node("max_number", place, line(graph, rise, x, top))
    return graph.node("sub", place, graph.const(less))


def _least(graph: Graph, a: Node, lines: Iterable[tuple[float, float]]) -> Node:
    first, *others = (line(graph, slope, a, offset) for slope, offset in lines)
    for other in others:
        first = graph.node("min_number", other, first)
    return first


def _last_border(decades: int, unsigned: bool) -> float:
    """What lies half-way between the last index but one and 1."""
    return (1 + _mean(decades, unsigned, 2 ** (decades + unsigned) - 1)) / 2


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


def _chords(decades: int, unsigned: bool, less: float) -> list[tuple[float, float]]:
    """Slope and offset of lines that together go through every border but the last, where the index
    changes: they are convex, and in each decade all but two or three lie on one line."""
    means = [_mean(decades, unsigned, k) for k in range(2**unsigned, 2 ** (decades + unsigned))]
    halves = [(a + b) / 2 for a, b in pairwise([0.0, *means])]
    borders = [(border, k - less) for k, border in enumerate(halves, 2**unsigned)]
    found: list[tuple[float, float]] = []
    while len(borders) > 1:
        (a, k), (b, _), *others = borders
        slope = 1 / (b - a)
        found.append((slope, k - slope * a))
        borders = [(c, j) for c, j in others if abs(j - k - slope * (c - a)) > 1e-6]
    return found


def _mean(decades: int, unsigned: bool, k: int) -> float:
    """The value of an index but the first and the last."""
    slope, offset = _lines(decades, unsigned)[k.bit_length() - 1 - unsigned]
    return slope * k + offset
