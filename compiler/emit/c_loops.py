"""The loops of one task of a sweep, in C: over elements, or over cells of consecutive elements.

    for (int64_t row = begin; row < end; row++) {
        double norm_total = 0; for (...) ...               a round, its lines per cell
        for (...) param_at[i] = ...                        the last round

A tile of a matrix is walked row by row. Loops that sum go over pieces of `TILE` elements in REAL,
whose sums are added in double: a fixed order whatever the number of threads. Columns, which are not
consecutive: `c_columns.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...dsl.levels import Level
from ..ir import CODES, Node, Store, Stream
from ..plan import Partial, Plan, Sweep
from . import c_packed
from .body import Body, Line, Round, stream_of
from .c_bands import added, bands_emptied, bands_of_row
from .c_streams import (
    across,
    constant,
    declared,
    is_rounded,
    length_of,
    load,
    pointer,
    size,
    store,
    tile_at,
)
from .c_sums import START, Sum, indented, vector_loop
from .expressions import expression, is_integer
from .rounds import cell_size
from .syntaxes import C

_COUNTERS = {"rows": "row", "heads": "head", "chunks": "block", "cols": "col", "tiles": "cell"}


@dataclass(slots=True)
class Loops:
    """Writes the lines of one task. `cell`: what the loops walk over, None for bare elements. In a
    flat sweep tasks are ranges of elements, cut at the cells' borders; else they are cells."""

    plan: Plan
    sweep: Sweep
    body: Body
    cell: Level | None

    @property
    def names(self) -> dict[Node, str]:
        return self.body.names

    def lines(self) -> list[str]:
        """All lines after the prologue."""
        if self.cell is None:
            (walk,) = self.body.rounds
            return self._round(walk, "begin", "end")
        return self._cells(self.cell)

    def _cells(self, cell: Level) -> list[str]:
        counter = _COUNTERS[cell.kind]
        start, stop = f"{counter} * length", "start + length"
        if cell.kind == "tiles":
            return self._tiles(cell, counter)
        if self.sweep.cell is not None:
            head = f"for (int64_t {counter} = begin; {counter} < end; {counter}++) {{"
            last = f"SMALLER({stop}, numel)" if cell.kind == "chunks" else stop
            bounds = f"const int64_t first = start, last = {last};"
        else:
            head = f"for (int64_t {counter} = begin / length; {start} < end; {counter}++) {{"
            bounds = f"const int64_t first = LARGER(begin, start), last = SMALLER({stop}, end);"
        lines = [f"const int64_t start = {start};", bounds, *bands_of_row(self.sweep.begins)]
        lines += self._cell(cell, counter)
        return [
            f"const int64_t length = {length_of(self.plan, cell)};",
            *bands_emptied(self.sweep.begins),
            head,
            *indented(lines),
            "}",
        ]

    def _tiles(self, cell: Level, counter: str) -> list[str]:
        """Tiles by their number, row-major; those at the right and bottom edges may be smaller."""
        height, width = (size(self.plan, arg) for arg in cell.args)
        lines = [
            f"const int64_t tile_top = {counter} / tiles_across * {height};",
            f"const int64_t tile_left = {counter} % tiles_across * {width};",
            f"const int64_t tile_bottom = SMALLER(tile_top + {height}, rows);",
            f"const int64_t tile_right = SMALLER(tile_left + {width}, cols);",
            *self._cell(cell, counter),
        ]
        return [
            f"const int64_t tiles_across = {across(self.plan, cell)};",
            f"for (int64_t {counter} = begin; {counter} < end; {counter}++) {{",
            *indented(lines),
            "}",
        ]

    def _cell(self, cell: Level, counter: str) -> list[str]:
        """All lines of one cell, from its loads to its stores."""
        lines = [self.load(node, counter) for node in self.body.cell_loads]
        lines += self.lets(self.body.cell_lines, self.body.cell_loads)
        for walk in self.body.rounds:
            lines += self._round(walk, "first", "last")
        lines += [self.store(s, counter) for s in self.cell_stores]
        return lines + [s.into(s.name) for s in self.cell_sums]

    def _round(self, walk: Round, begin: str, end: str) -> list[str]:
        """One walk over elements from `begin` to `end`, then the cell's lines that follow."""
        back = self._kept_read(walk)
        inner = [self.load(node, "i") for node in walk.loads]
        inner += [f"{c_type(n)} {self.names[n]} = {self.names[n]}_kept[i - start];" for n in back]
        inner += self.lets(walk.lines, [*walk.loads, *back])
        inner += [f"{self.names[n]}_kept[i - start] = {self.names[n]};" for n in walk.kept]
        inner += [self.store(s, "i") for s in walk.stores]
        short = self.cell is not None and cell_size(self.cell) is not None
        sums = [self.sum(line, alone=short) for line in walk.reductions]
        if short:
            lines = [f"REAL {line.name};" for line in walk.reductions]
        else:
            lines = [f"double {li.name}_total = {START[li.node.op]};" for li in walk.reductions]
        sums += self.sums(walk.partials)
        loop = vector_loop(inner, sums, begin, end, tiled=not short)
        lines += _each_row(loop) if self.cell is not None and self.cell.kind == "tiles" else loop
        if not short:
            lines += [f"const REAL {li.name} = (REAL){li.name}_total;" for li in walk.reductions]
        return lines + self.lets(walk.cell_lines, self._cell_values_before(walk))

    def _cell_values_before(self, walk: Round) -> list[Node]:
        """The cell's values that have a line before those that follow a round."""
        if not walk.cell_lines:
            return []
        done = self.body.rounds[: self.body.rounds.index(walk)]
        lines = [*self.body.cell_lines, *(li for other in done for li in other.cell_lines)]
        lines += [li for other in (*done, walk) for li in other.reductions]
        return [*self.body.cell_loads, *(line.node for line in lines)]

    def _kept_read(self, walk: Round) -> list[Node]:
        """Values of earlier rounds that this one reads back."""
        goals = [arg for line in (*walk.lines, *walk.reductions) for arg in line.node.args]
        goals += [left.value for left in (*walk.stores, *walk.partials)]
        read: set[Node] = set()
        while goals:
            node = goals.pop()
            if node not in read:
                read.add(node)
                if node not in self.names:
                    goals.extend(node.args)
        read -= {line.node for line in walk.lines}
        return [n for other in self.body.rounds for n in other.kept if n in read]

    # ------------------------------------------------------------ single statements

    @property
    def cell_stores(self) -> list[Store]:
        """What is stored once per cell."""
        return [s for s in self.sweep.stores if s.stream.level == self.cell]

    @property
    def cell_sums(self) -> list[Sum]:
        """Partial sums over values per cell."""
        return self.sums(p for p in self.sweep.partials if p.value.level == self.cell)

    def sums(self, partials: Iterable[Partial]) -> list[Sum]:
        return [Sum(partial_name(p), p.kind, expression(p.value, self.names, C)) for p in partials]

    def sum(self, line: Line, *, alone: bool = False) -> Sum:
        (arg,) = line.node.args
        name = line.name if alone else f"{line.name}_total"
        of_sizes = line.node.op == "max" and arg.op == "abs"
        return Sum(name, line.node.op, expression(arg, self.names, C), of_sizes, alone)

    def lets(self, lines: Iterable[Line], before: Iterable[Node]) -> list[str]:
        """The lines as statements, where the values of `before` are declared."""
        return declared(lines, self.names, C, "REAL", [self.names[n] for n in before])

    def load(self, node: Node, at: str) -> str:
        name, stream = self.names[node], stream_of(self.plan, node)
        if stream.dtype == "uint4":
            value = c_packed.code(stream, at)
        else:
            value = load(stream, self.index(stream, at), self.array(stream))
        kind = "int" if stream.dtype in CODES else "REAL"
        return f"{constant(name, self.names)}{kind} {name} = {value};"

    def store(self, written: Store, at: str) -> str:
        stream, value = written.stream, expression(written.value, self.names, C)
        for band in self.sweep.begins:
            if band.stream == stream:
                return added(band.total.op, f"{stream.name}[i - start]", value)
        rounded = is_rounded(written.value, stream)
        return store(stream, self.index(stream, at), value, self.array(stream), rounded=rounded)

    def array(self, stream: Stream) -> str:
        """What `index` counts in."""
        return pointer(stream)

    def index(self, stream: Stream, at: str) -> str:
        """Where the value of `stream` for the element (or cell) `at` lies."""
        level, walked = stream.level, self.cell.kind if self.cell else ""
        if level.kind == "element" or level == self.cell:
            return at
        by_row = walked in ("rows", "tiles")
        if level.kind == "cols":
            return "i - start" if by_row else "i % cols"
        if level.kind == "tiles":
            row, col = ("row", "(i - start)") if by_row else ("i / cols", "i % cols")
            return tile_at(self.plan, level, row, col)
        if level.kind == "rows" and by_row:
            return "row"
        length = length_of(self.plan, level)
        return f"i / ({length})" if "/" in length else f"i / {length}"


def partial_name(partial: Partial) -> str:
    return f"{partial.slot.name}_total"


def c_type(node: Node) -> str:
    return "int" if is_integer(node) else "REAL"


def _each_row(loop: Sequence[str]) -> list[str]:
    """A loop from `first` to `last`, over each row of a tile."""
    bounds = "const int64_t first = start + tile_left, last = start + tile_right;"
    lines = ["const int64_t start = row * cols;", bounds, *loop]
    head = "for (int64_t row = tile_top; row < tile_bottom; row++) {"
    return [head, *indented(lines), "}"]
