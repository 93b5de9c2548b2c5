"""Scales: what the numbers of a block are divided by before they become codes.

    Scale(256)            the largest magnitude of every 256 elements, one float32 each
    Scale(32, "float16")  the same, rounded to float16, which the codes are then relative to
    RankOne()             of a matrix: the lesser of its row's and its column's largest magnitude
    Ends(128, 15)         the least value of a block and a fifteenth of its range

Guards. Where the largest magnitude is not above 1e-33 (or rounds to 0) the scale is 0, and the
block reads back as zeros. Where it is not below 2^126, infinite or NaN, the scale is NaN and the
block reads back as NaN: nothing beyond a block is touched. A float16 scale stops at 65504; what is
larger reads back as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...dsl.levels import COLS, ROWS, Level
from ...dsl.model import constant
from ...dsl.source import NOWHERE
from ..ir import Graph, Node, Stream

# float32 has the largest `top` over the smallest scale, and that scale over `top` with all digits.
SMALLEST, LARGEST = 1e-33, 2.0**126
_LARGEST_HALF = 65504.0
_NAN = float("nan")


class Scaling(Protocol):
    """How a codec's scale is stored, applied and found. `codes` is the name of the state."""

    @property
    def block(self) -> int:
        """How many elements the codes are stored together with."""
        ...

    def streams(self, codes: str) -> tuple[Stream, ...]: ...

    def restore(self, graph: Graph, codes: str, ratio: Node, top: float) -> Node:
        """What a ratio stands for."""
        ...

    def find(
        self, graph: Graph, codes: str, x: Node, top: float
    ) -> tuple[Node, Sequence[tuple[Stream, Node]]]:
        """The ratios of x to its scale, within [-top, top] unless that is a float16, which may lie
        below the largest magnitude; and what to store."""
        ...


def scaled(block: int, rank1: bool) -> Scaling:
    return RankOne(block) if rank1 else Scale(block)


def chunks(block: int) -> Level:
    return Level("chunks", (constant(block, NOWHERE),))


@dataclass(frozen=True, slots=True)
class Scale:
    """One number for every `block` elements."""

    block: int
    dtype: str = "float32"

    def streams(self, codes: str) -> tuple[Stream, ...]:
        return (Stream(f"{codes}_scale", chunks(self.block), self.dtype, 0.0),)

    def restore(self, graph: Graph, codes: str, ratio: Node, top: float) -> Node:
        scale = graph.node("load", attr=f"{codes}_scale", level=chunks(self.block))
        if top != 1:
            scale = graph.node("mul", scale, graph.const(1 / top))
        return graph.node("mul", ratio, scale)

    def find(
        self, graph: Graph, codes: str, x: Node, top: float
    ) -> tuple[Node, Sequence[tuple[Stream, Node]]]:
        (stream,) = self.streams(codes)
        largest = graph.node("max", graph.node("abs", x), level=stream.level)
        largest.label = f"{codes}_largest"
        scale = _kept(graph, largest, self.dtype)
        scale.label = stream.name
        inverse = _inverse(graph, scale, top)
        inverse.label = f"{codes}_per_scale"
        return graph.node("mul", x, inverse), [(stream, scale)]


@dataclass(frozen=True, slots=True)
class RankOne:
    """One number per row and one per column: the scale of an element is the lesser."""

    block: int

    def streams(self, codes: str) -> tuple[Stream, ...]:
        return (
            Stream(f"{codes}_row_scale", ROWS, "float32", 0.0),
            Stream(f"{codes}_col_scale", COLS, "float32", 0.0),
        )

    def restore(self, graph: Graph, codes: str, ratio: Node, top: float) -> Node:
        row, col = self.streams(codes)
        lesser = graph.node(
            "minimum",
            graph.node("load", attr=row.name, level=ROWS),
            graph.node("load", attr=col.name, level=COLS),
        )
        return graph.node("mul", graph.node("mul", ratio, graph.const(1 / top)), lesser)

    def find(
        self, graph: Graph, codes: str, x: Node, top: float
    ) -> tuple[Node, Sequence[tuple[Stream, Node]]]:
        found: list[tuple[Stream, Node]] = []
        for stream in self.streams(codes):
            largest = graph.node("max", graph.node("abs", x), level=stream.level)
            largest.label = stream.name.replace("scale", "largest")
            scale = _kept(graph, largest, "float32")
            scale.label = stream.name
            found.append((stream, scale))
        lesser = graph.node("minimum", found[0][1], found[1][1])
        return graph.node("mul", x, _inverse(graph, lesser, top)), found


@dataclass(frozen=True, slots=True)
class Ends:
    """The least value of every `block` elements, and the distance between two codes."""

    block: int
    steps: int

    def streams(self, codes: str) -> tuple[Stream, ...]:
        level = chunks(self.block)
        return (
            Stream(f"{codes}_least", level, "float32", 0.0),
            Stream(f"{codes}_step", level, "float32", 0.0),
        )

    def restore(self, graph: Graph, codes: str, ratio: Node, top: float) -> Node:
        level = chunks(self.block)
        least = graph.node("load", attr=f"{codes}_least", level=level)
        step = graph.node("load", attr=f"{codes}_step", level=level)
        return graph.node("add", least, graph.node("mul", ratio, step))

    def find(
        self, graph: Graph, codes: str, x: Node, top: float
    ) -> tuple[Node, Sequence[tuple[Stream, Node]]]:
        streams = self.streams(codes)
        least = graph.node("min", x, level=chunks(self.block))
        least.label = streams[0].name
        most = graph.node("max", x, level=chunks(self.block))
        most.label = f"{codes}_most"
        width = graph.node("mul", graph.node("sub", most, least), graph.const(1 / self.steps))
        step = _kept(graph, width, "float32")
        step.label = streams[1].name
        ratio = graph.node("mul", graph.node("sub", x, least), _inverse(graph, step, 1))
        held = graph.node("min_number", ratio, graph.const(self.steps))
        return held, list(zip(streams, (least, step), strict=True))


def _kept(graph: Graph, largest: Node, dtype: str) -> Node:
    """The scale as it is stored: 0 for a block of almost nothing, NaN for one not finite."""
    half = dtype == "float16"
    scale = largest
    if half:
        scale = graph.node("min_number", largest, graph.const(_LARGEST_HALF))
        scale = graph.node("cast", scale, attr="float16")
    else:
        some = graph.node("gt", largest, graph.const(SMALLEST))
        scale = graph.node("where", some, largest, graph.const(0))
    finite = graph.node("lt", largest, graph.const(LARGEST))
    return graph.node("where", finite, scale, graph.const(_NAN))


def _inverse(graph: Graph, scale: Node, top: float) -> Node:
    """top / scale; 0 where the scale is 0 (or NaN)."""
    some = graph.node("gt", scale, graph.const(0))
    inverse = graph.node("mul", graph.const(top), graph.node("inverse", scale))
    return graph.node("where", some, inverse, graph.const(0))
