"""A sweep over columns, in C: strips of neighbouring columns, walked row by row.

    for (int64_t strip = begin; strip < end; strip += 256) {
        double norm_total[256];
        for (block ...) {                                           a round: blocks of rows
            REAL norm_part[256];
            for (row ...) for (j ...) norm_part[j] += ...
            for (j ...) norm_total[j] += norm_part[j];
        }

What `c_loops.py` has in a variable per cell is here an array over the strip's columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...dsl.levels import Level
from ..ir import Node, Stream
from ..plan import Plan, Sweep
from .body import Body, Line, Round, stream_of
from .c_loops import Loops, c_type
from .c_streams import load, tile_at
from .c_sums import START, Sum, indented
from .expressions import definition
from .rounds import CELL
from .syntaxes import C

STRIP = 256
BLOCK = 64  # rows whose sums are in REAL; those of all blocks are added in double
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
        ends = [self.store(s, _COLUMN) for s in self.cell_stores]
        sums = [s.into(s.name) for s in self.cell_sums]
        lines += _over_strip(ends) + _over_strip(sums, simd=False)
        head = f"for (int64_t strip = begin; strip < end; strip += {STRIP}) {{"
        return [head, *indented(lines), "}"]

    def _arrays(self) -> list[str]:
        """One array for each name of a value per column."""
        cells = [n for n, zone in self.body.zone.items() if zone == CELL and n in self.names]
        names = {n: self.names[n].removesuffix("[j]") for n in cells}
        return list(dict.fromkeys(f"{c_type(n)} {name}[{STRIP}];" for n, name in names.items()))

    def _strip_round(self, walk: Round) -> list[str]:
        """One walk over the rows, a block of them at a time, whose sums are in REAL."""
        made = [self.sum(line) for line in walk.reductions]
        whole = self.sums(walk.partials)
        inner = ["const int64_t i = row * cols + strip + j;"]
        inner += [self.load(node, "i") for node in walk.loads]
        inner += self.lets(walk.lines, walk.loads)
        inner += [_added(s) for s in (*made, *whole)]
        inner += [self.store(s, "i") for s in walk.stores]
        lines = [f"double {s.name}[{STRIP}];" for s in made]
        lines += _over_arrays([f"{s.name}[j] = {START[s.kind]};" for s in made])
        lines += _by_blocks(inner, made, whole)
        after = [self._assign(li.node, f"(REAL){li.name}_total[j]") for li in walk.reductions]
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


def _by_blocks(inner: Sequence[str], made: Sequence[Sum], whole: Sequence[Sum]) -> list[str]:
    """The rows, with `inner` for each element; without sums in one go. `made` are sums per column,
    `whole` those over everything."""
    if not made and not whole:
        return ["for (int64_t row = 0; row < rows; row++) {", *indented(_over_strip(inner)), "}"]
    sums = [*made, *whole]
    lines = [
        f"const int64_t below = SMALLER(block + {BLOCK}, rows);",
        *(f"REAL {_part(s)}[{STRIP}];" for s in sums),
        *_over_arrays([f"{_part(s)}[j] = {START[s.kind]};" for s in sums]),
        "for (int64_t row = block; row < below; row++) {",
        *indented(_over_strip(inner)),
        "}",
        *_over_arrays([_joined(s, f"{s.name}[j]") for s in made]),
        *_over_strip([_joined(s, s.name) for s in whole], simd=False),
    ]
    return [f"for (int64_t block = 0; block < rows; block += {BLOCK}) {{", *indented(lines), "}"]


def _part(total: Sum) -> str:
    return f"{total.name.removesuffix('_total')}_part"


def _added(total: Sum) -> str:
    """The statement that adds an element to its column's part, in REAL."""
    part = f"{_part(total)}[j]"
    if total.kind == "sum":
        return f"{part} += {total.value};"
    return f"{part} = {'MAXIMUM' if total.kind == 'max' else 'MINIMUM'}({part}, {total.value});"


def _joined(total: Sum, target: str) -> str:
    return Sum(total.name, total.kind, f"{_part(total)}[j]").into(target)


def _over_arrays(lines: Sequence[str]) -> list[str]:
    """A loop over whole arrays: so many of their elements that compilers know what to do."""
    loop = [f"for (int64_t j = 0; j < {STRIP}; j++) {{", *indented(lines), "}"]
    return loop if lines else []


def _over_strip(lines: Sequence[str], simd: bool = True) -> list[str]:
    if not lines:
        return []
    loop = ["for (int64_t j = 0; j < strip_width; j++) {", *indented(lines), "}"]
    return ["#pragma omp simd", *loop] if simd else loop
