"""A sweep over columns, in C: strips of neighbouring columns, walked row by row.

    for (int64_t strip = begin; strip < end; strip += 256) {
        double norm_total[256];
        for (row ...) for (j ...) norm_total[j] += ...     a round

What `c_loops.py` has in a variable per cell is here an array over the strip's columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...dsl.levels import Level
from ..ir import Node, Stream
from ..plan import Plan, Sweep
from .body import Body, Line, Round, stream_of
from .c_loops import START, Loops, c_type, indented
from .c_streams import load, tile_at
from .expressions import definition
from .rounds import CELL, ELEMENT
from .syntaxes import C

STRIP = 256
_COLUMN = "strip + j"


@dataclass(slots=True)
class Strips(Loops):
    """Writes the lines of one task, a range of columns."""

    def lines(self) -> list[str]:
        lines = [f"const int64_t strip_width = SMALLER({STRIP}, end - strip);", *self._arrays()]
        first = [self._assign(n, self._loaded(n)) for n in self.body.cell_loads]
        lines += _over_strip(first + self._computed(self.body.cell_lines))
        for walk in self.body.rounds:
            lines += self._strip_round(walk)
        ends = [self.store(s, _COLUMN) for s in self.stores(CELL)]
        sums = [s.into(s.name) for s in self.partials(CELL)]
        lines += _over_strip(ends) + _over_strip(sums, simd=False)
        head = f"for (int64_t strip = begin; strip < end; strip += {STRIP}) {{"
        return [head, *indented(lines), "}"]

    def _arrays(self) -> list[str]:
        """One array for each name of a value per column."""
        cells = [n for n, zone in self.body.zone.items() if zone == CELL and n in self.names]
        names = {n: self.names[n].removesuffix("[j]") for n in cells}
        return list(dict.fromkeys(f"{c_type(n)} {name}[{STRIP}];" for n, name in names.items()))

    def _strip_round(self, walk: Round) -> list[str]:
        sums = {line: self.sum(line) for line in walk.reductions}
        inner = ["const int64_t i = row * cols + strip + j;"]
        inner += [self.load(node, "i") for node in walk.loads]
        inner += self.lets(walk.lines, walk.loads)
        inner += [s.into(f"{s.name}[j]") for s in sums.values()]
        last = walk is self.body.rounds[-1]
        partials = self.partials(ELEMENT) if last else []
        if last:
            inner += [self.store(s, "i") for s in self.stores(ELEMENT)]
            inner += [s.into(s.name) for s in partials]
        lines = [f"double {s.name}[{STRIP}];" for s in sums.values()]
        lines += _over_strip([f"{s.name}[j] = {START[s.kind]};" for s in sums.values()])
        columns = _over_strip(inner, simd=not partials)
        lines += ["for (int64_t row = 0; row < rows; row++) {", *indented(columns), "}"]
        after = [self._assign(line.node, f"(REAL){s.name}[j]") for line, s in sums.items()]
        return lines + _over_strip(after + self._computed(walk.cell_lines))

    def _computed(self, lines: Sequence[Line]) -> list[str]:
        return [self._assign(li.node, definition(li.node, self.names, C)) for li in lines]

    def _assign(self, node: Node, value: str) -> str:
        return f"{self.names[node]} = {value};"

    def _loaded(self, node: Node) -> str:
        stream = stream_of(self.plan, node)
        return load(stream, self.index(stream, _COLUMN))

    def index(self, stream: Stream, at: str) -> str:
        if stream.level.kind == "rows":
            return "row"
        if stream.level == self.cell:
            return _COLUMN
        if stream.level.kind == "tiles":
            return tile_at(self.plan, stream.level, "row", f"({_COLUMN})")
        return Loops.index(self, stream, at)


def strips(plan: Plan, sweep: Sweep, body: Body, cell: Level) -> Strips:
    """The writer for a sweep over columns; values per column are named as array elements."""
    names = {
        node: f"{name}[j]" if body.zone[node] == CELL else name for node, name in body.names.items()
    }
    return Strips(plan, sweep, replace(body, names=names), cell)


def _over_strip(lines: Sequence[str], simd: bool = True) -> list[str]:
    if not lines:
        return []
    loop = ["for (int64_t j = 0; j < strip_width; j++) {", *indented(lines), "}"]
    return ["#pragma omp simd", *loop] if simd else loop
