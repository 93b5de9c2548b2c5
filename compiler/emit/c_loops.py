"""The loops of one task of a sweep, in C: over elements, or over cells of consecutive elements.

    for (int64_t row = begin; row < end; row++) {
        double norm_total = 0; for (...) ...               a round, its lines per cell
        for (...) param_at[i] = ...                        the last round

A tile of a matrix is walked row by row. Loops that sum go over pieces of `TILE` elements in REAL,
whose sums are added in double: a fixed order whatever the number of threads. Columns, which are not
consecutive: `c_strips.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...dsl.levels import Level
from ..ir import CODES, Node, Store, Stream
from ..plan import Partial, Plan, Sweep
from . import c_packed
from .body import Body, Line, Round, cell_size, stream_of
from .c_streams import across, constant, declared, length_of, load, size, store, tile_at
from .expressions import expression, is_integer
from .rounds import CELL, ELEMENT
from .syntaxes import C

TILE = 1024
START = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}
_COUNTERS = {"rows": "row", "heads": "head", "chunks": "block", "cols": "col", "tiles": "cell"}


@dataclass(frozen=True, slots=True)
class Sum:
    """Something combined over a loop, into the double `name`."""

    name: str
    kind: str
    value: str

    def into(self, target: str) -> str:
        """The statement that adds one more to `target`, in double."""
        if self.kind == "sum":
            return f"{target} += {self.value};"
        combine = "maximum" if self.kind == "max" else "minimum"
        return f"{target} = {combine}({target}, {self.value});"


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
        lines = [f"const int64_t start = {start};", bounds, *self._cell(cell, counter)]
        return [
            f"const int64_t length = {length_of(self.plan, cell)};",
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
            lines += [f"{c_type(n)} {self.names[n]}_kept[{cell_size(cell)}];" for n in walk.kept]
        stored = [s.stream for s in self.sweep.stores]
        before, after = c_packed.opened(self.sweep.loads, stored, cell)
        lines += before
        for walk in self.body.rounds:
            lines += self._round(walk, "first", "last")
        lines += after
        lines += [self.store(s, counter) for s in self.stores(CELL)]
        return lines + [s.into(s.name) for s in self.partials(CELL)]

    def _round(self, walk: Round, begin: str, end: str) -> list[str]:
        """One walk over elements from `begin` to `end`, then the cell's lines that follow."""
        back = self._kept_read(walk)
        inner = [self.load(node, "i") for node in walk.loads]
        inner += [f"{c_type(n)} {self.names[n]} = {self.names[n]}_kept[i - start];" for n in back]
        inner += self.lets(walk.lines, [*walk.loads, *back])
        inner += [f"{self.names[n]}_kept[i - start] = {self.names[n]};" for n in walk.kept]
        sums = [self.sum(line) for line in walk.reductions]
        if walk is self.body.rounds[-1]:
            inner += [self.store(s, "i") for s in self.stores(ELEMENT)]
            sums += self.partials(ELEMENT)
        lines = [f"double {line.name}_total = {START[line.node.op]};" for line in walk.reductions]
        short = self.cell is not None and cell_size(self.cell) is not None
        loop = _walk(inner, sums, begin, end, tiled=not short)
        lines += _each_row(loop) if self.cell is not None and self.cell.kind == "tiles" else loop
        lines += [f"const REAL {line.name} = (REAL){line.name}_total;" for line in walk.reductions]
        return lines + self.lets(walk.cell_lines, self._cell_values_before(walk))

    def _cell_values_before(self, walk: Round) -> list[Node]:
        """The cell's values that have a line before those that follow a round."""
        done = self.body.rounds[: self.body.rounds.index(walk)]
        lines = [*self.body.cell_lines, *(li for other in done for li in other.cell_lines)]
        lines += [li for other in (*done, walk) for li in other.reductions]
        return [*self.body.cell_loads, *(line.node for line in lines)]

    def _kept_read(self, walk: Round) -> list[Node]:
        """Values of earlier rounds that this one reads back."""
        goals = [arg for line in (*walk.lines, *walk.reductions) for arg in line.node.args]
        if walk is self.body.rounds[-1]:
            goals += [s.value for s in self.stores(ELEMENT)]
            goals += [p.value for p in self.partials_in(ELEMENT)]
        read: set[Node] = set()
        while goals:
            node = goals.pop()
            if node not in read:
                read.add(node)
                if node not in self.names:
                    goals.extend(node.args)
        earlier = self.body.rounds[: self.body.rounds.index(walk)]
        return [n for other in earlier for n in other.kept if n in read]

    # ------------------------------------------------------------ single statements

    def zone_of(self, level: Level) -> int:
        return CELL if level == self.cell else ELEMENT

    def stores(self, zone: int) -> list[Store]:
        return [s for s in self.sweep.stores if self.zone_of(s.stream.level) == zone]

    def partials_in(self, zone: int) -> list[Partial]:
        return [p for p in self.sweep.partials if self.zone_of(p.value.level) == zone]

    def partials(self, zone: int) -> list[Sum]:
        return [
            Sum(partial_name(p), p.kind, expression(p.value, self.names, C))
            for p in self.partials_in(zone)
        ]

    def sum(self, line: Line) -> Sum:
        value = expression(line.node.args[0], self.names, C)
        return Sum(f"{line.name}_total", line.node.op, value)

    def lets(self, lines: Iterable[Line], before: Iterable[Node]) -> list[str]:
        """The lines as statements, where the values of `before` are declared."""
        return declared(lines, self.names, C, "REAL", [self.names[n] for n in before])

    def load(self, node: Node, at: str) -> str:
        name, stream = self.names[node], stream_of(self.plan, node)
        if stream.dtype == "uint4":
            value = c_packed.code(stream, self.cell, at)
        else:
            value = load(stream, self.index(stream, at))
        kind = "int" if stream.dtype in CODES else "REAL"
        return f"{constant(name, self.names)}{kind} {name} = {value};"

    def store(self, written: Store, at: str) -> str:
        value = expression(written.value, self.names, C)
        if written.stream.dtype == "uint4":
            return c_packed.written(written.stream, at, value)
        return store(written.stream, self.index(written.stream, at), value)

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


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _each_row(loop: Sequence[str]) -> list[str]:
    """A loop from `first` to `last`, over each row of a tile."""
    bounds = "const int64_t first = start + tile_left, last = start + tile_right;"
    lines = ["const int64_t start = row * cols;", bounds, *loop]
    head = "for (int64_t row = tile_top; row < tile_bottom; row++) {"
    return [head, *indented(lines), "}"]


def _walk(
    inner: Sequence[str], sums: Sequence[Sum], begin: str, end: str, tiled: bool
) -> list[str]:
    """A vector loop over elements; with sums, over tiles whose sums are added in double."""
    if not sums:
        loop = [f"for (int64_t i = {begin}; i < {end}; i++) {{", *indented(inner), "}"]
        return ["#pragma omp simd", *loop]
    start, stop = ("tile", "stop") if tiled else (begin, end)
    parts = [_Part(s, s.name.removesuffix("_total")) for s in sums]
    lines = [
        *(line for part in parts for line in part.declared),
        f"#pragma omp simd{''.join(part.clause for part in parts)}",
        f"for (int64_t i = {start}; i < {stop}; i++) {{",
        *indented([*inner, *(line for part in parts for line in part.added)]),
        "}",
        *(part.joined for part in parts),
    ]
    if not tiled:
        return ["{", *indented(lines), "}"]
    head = f"for (int64_t tile = {begin}; tile < {end}; tile += {TILE}) {{"
    return [head, *indented([f"const int64_t stop = SMALLER(tile + {TILE}, {end});", *lines]), "}"]


@dataclass(frozen=True, slots=True)
class _Part:
    """A sum inside a vector loop, in REAL. A maximum is taken of the numbers, and whether there was
    a NaN is remembered beside it: vector instructions know no maximum that keeps NaN."""

    sum: Sum
    name: str

    @property
    def declared(self) -> list[str]:
        part = f"REAL {self.name}_part = {START[self.sum.kind]};"
        return [part] if self.sum.kind == "sum" else [part, f"int {self.name}_lost = 0;"]

    @property
    def clause(self) -> str:
        if self.sum.kind == "sum":
            return f" reduction(+ : {self.name}_part)"
        return f" reduction({self.sum.kind} : {self.name}_part) reduction(| : {self.name}_lost)"

    @property
    def added(self) -> list[str]:
        if self.sum.kind == "sum":
            return [f"{self.name}_part += {self.sum.value};"]
        choose = {"max": "MAX_NUMBER", "min": "MIN_NUMBER"}[self.sum.kind]
        return [
            f"const REAL {self.name}_next = {self.sum.value};",
            f"{self.name}_part = {choose}({self.name}_next, {self.name}_part);",
            f"{self.name}_lost |= {self.name}_next != {self.name}_next;",
        ]

    @property
    def joined(self) -> str:
        part = f"{self.name}_part"
        if self.sum.kind != "sum":
            part = f"{self.name}_lost ? NAN : {part}"
        return Sum(self.sum.name, self.sum.kind, part).into(self.sum.name)
