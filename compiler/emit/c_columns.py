"""A sweep over columns, in C. Memory is walked as it lies: a task is a tile of a matrix, as wide as
the matrix where that is not very wide. What is summed per column meets between two loops.

    for (task ...)                                              a round: sums of a tile
        for (row ...) for (i ...) norm_part[j] += ...
    for (task ...)                                              some columns each: their tiles' sums
        for (j ...) { norm[j] = ...; c_at[tile_left + j] = ...; }
    for (task ...) ...                                          the next round

What `c_loops.py` has in a variable per cell is an array over a tile's columns, in memory that lives
as long as the call: sums belong to their tile, values per column to the tile on top. Sums that a
sweep over rows has begun (`c_bands.py`) need no round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...dsl.levels import ROWS, Level
from ..bands import BAND_ROWS
from ..ir import Node, Stream
from ..plan import Partial, Plan, Sweep
from .body import Body, Line, Round, stream_of
from .c_bands import added, begun, over_columns
from .c_loops import Loops, partial_name
from .c_streams import address_lines, constant, load, pointer, tile_at
from .c_sums import START, Sum, indented, vector_loop
from .expressions import definition
from .rounds import CELL
from .syntaxes import C

TILE_ROWS, TILE_COLS = BAND_ROWS, 4096
"""A task's tile: so many rows are added up in REAL."""
_STRIP = 64  # neighbouring columns that one task completes at least


@dataclass(slots=True)
class Columns(Loops):
    """Writes the loops over tasks, one after another. `common`: lines that any may begin with."""

    common: tuple[str, ...]

    @property
    def before(self) -> list[str]:
        """Memory for the arrays."""
        width = f"SMALLER({TILE_COLS}, shapes[{3 + len(self.plan.sizes)} * tasks[3 * task] + 2])"
        return [
            "int64_t *place = malloc((count + 1) * sizeof *place); /* of a task's arrays */",
            "place[0] = 0;",
            "for (int64_t task = 0; task < count; task++)",
            f"    place[task + 1] = place[task] + {self._parts + len(self._arrays)} * {width};",
            "REAL *columns = malloc(place[count] * sizeof *columns);",
        ]

    @property
    def after(self) -> list[str]:
        return ["free(columns);", "free(place);"]

    @property
    def _parts(self) -> int:
        """Sums per column that one round takes, at most."""
        return max((len(walk.reductions) for walk in self.body.rounds), default=0)

    @property
    def _arrays(self) -> list[str]:
        """The names of values per column."""
        cells = [n for n, zone in self.body.zone.items() if zone == CELL and n in self.names]
        return list(dict.fromkeys(self.names[n].removesuffix("[j]") for n in cells))

    def loops(self) -> list[list[str]]:
        """The lines of each loop over tasks: rounds, and the values per column between them."""
        sums = [
            (Sum(f"{band.stream.name}_total", band.total.op, ""), _of_band(band.stream))
            for band in self.sweep.resumes
        ]
        lines = [self._assign(n, self._loaded(n)) for n in self.body.cell_loads]
        lines += self._computed(self.body.cell_lines)
        found: list[list[str] | tuple[list[_Parts], list[str]]] = []
        for walk in self.body.rounds:
            tiles = self._tile(walk)
            if lines and _words(tiles) & set(self._arrays):
                found.append((sums, lines))
                sums, lines = [], []
            found.append(tiles)
            sums += [
                (self.sum(line), self._sums("at", k)) for k, line in enumerate(walk.reductions)
            ]
            lines += [self._assign(li.node, f"(REAL){li.name}_total[j]") for li in walk.reductions]
            lines += self._computed(walk.cell_lines)
            if walk.reductions or walk.cell_lines:
                found.append((sums, lines))
                sums, lines = [], []
        if lines:
            found.append((sums, lines))
        between = [k for k, loop in enumerate(found) if isinstance(loop, tuple)]
        return [
            self._framed(self._some(*loop, last=k == between[-1]))
            if isinstance(loop, tuple)
            else self._framed(loop)
            for k, loop in enumerate(found)
        ]

    # ------------------------------------------------------------ a round

    def _tile(self, walk: Round) -> list[str]:
        """One walk over the rows of a tile."""
        made, whole = [self.sum(line) for line in walk.reductions], self.sums(walk.partials)
        of_row = self._of_row(walk)
        row, inner = (
            [
                *(self.load(node, "i") for node in walk.loads if (node in of_row) == outside),
                *self.lets((li for li in walk.lines if (li.node in of_row) == outside), walk.loads),
            ]
            for outside in (True, False)
        )
        inner = ["const int64_t j = i - start;", *inner]
        inner += [added(s.kind, f"{_part(s)}[j]", s.value) for s in made]
        inner += [self.store(s, "i") for s in walk.stores]
        row = [
            *row,
            "const int64_t start = row * cols + tile_left, end = start + tile_width;",
            *vector_loop(inner, whole, "start", "end", tiled=True),
        ]
        lines = [
            f"REAL *restrict {_part(s)} = {self._sums('task', k)};" for k, s in enumerate(made)
        ]
        lines += [li for s in made for li in begun(s.kind, _part(s), "0", "tile_width")]
        lines += [
            f"const int64_t tile_top = tile / tiles_across * {TILE_ROWS};",
            f"const int64_t tile_bottom = SMALLER(tile_top + {TILE_ROWS}, rows);",
            "for (int64_t row = tile_top; row < tile_bottom; row++) {",
            *indented(row),
            "}",
        ]
        return self._with_totals(walk.partials, lines)

    def _of_row(self, walk: Round) -> set[Node]:
        """What a row has one of, unless an element's value takes over a name of these."""
        nodes = [*walk.loads, *(line.node for line in walk.lines)]
        found = {node for node in nodes if node.level == ROWS}
        return found if all(constant(self.names[n], self.names) for n in found) else set()

    # ------------------------------------------------------------ values per column

    def _some(self, found: Sequence[_Parts], values: list[str], last: bool) -> list[str]:
        """The columns that a task completes. The `last` time, what a column leaves is written."""
        sums = [total for total, _ in found]
        lines = [
            f"const int64_t tiles_down = (rows + {TILE_ROWS - 1}) / {TILE_ROWS};",
            f"const int64_t strips = (tile_width + {_STRIP - 1}) / {_STRIP};",
            "const int64_t down = tile / tiles_across;",
            f"const int64_t first = strips * down / tiles_down * {_STRIP};",
            f"const int64_t stop = strips * (down + 1) / tiles_down * {_STRIP};",
            "const int64_t end = SMALLER(stop, tile_width);",
            *(f"double {s.name}[{TILE_COLS}];" for s in sums),
            *(line for s in sums for line in begun(s.kind, s.name, "first", "end")),
        ]
        if sums:
            add = [Sum(s.name, s.kind, f"{_part(s)}[j]").into(f"{s.name}[j]") for s in sums]
            each = [f"const REAL *{_part(total)} = {where};" for total, where in found]
            lines += [
                "for (int64_t k = 0, at = head; k < tiles_down; k++, at += tiles_across) {",
                *indented([*each, *over_columns("first", "end", add)]),
                "}",
            ]
        left = [self.store(s, _COLUMN) for s in self.cell_stores] if last else []
        lines += over_columns("first", "end", values + left)
        if not last:
            return lines
        partials = [p for p in self.sweep.partials if p.value.level == self.cell]
        lines += over_columns("first", "end", [s.into(s.name) for s in self.cell_sums], simd=False)
        return self._with_totals(partials, lines)

    def _computed(self, lines: Sequence[Line]) -> list[str]:
        return [self._assign(li.node, definition(li.node, self.names, C)) for li in lines]

    def _assign(self, node: Node, value: str) -> str:
        return f"{self.names[node]} = {value};"

    def _loaded(self, node: Node) -> str:
        stream = stream_of(self.plan, node)
        if any(band.stream == stream for band in self.sweep.resumes):
            return f"(REAL){stream.name}_total[j]"
        return load(stream, self.index(stream, _COLUMN))

    # ------------------------------------------------------------ frames

    def _sums(self, task: str, number: int) -> str:
        """Where the sums of a task's tile lie."""
        return f"columns + place[{task}] + {number} * tile_width"

    def _framed(self, lines: list[str]) -> list[str]:
        """A loop's lines after what they need."""
        needed = lines
        arrays = [
            f"REAL *restrict {name} = columns + place[head] + {self._parts + k} * tile_width;"
            for k, name in enumerate(self._arrays)
        ]
        for line in reversed([*self.common, *_TILE, *arrays]):
            name = re.search(r"(\w+) = ", line)
            if name and name[1] in _words(needed):
                needed = [line, *needed]
        task = "const int64_t tensor = tasks[3 * task + 0], tile = tasks[3 * task + 1];"
        return [task, *address_lines(self.plan, needed), *needed]

    def _with_totals(self, partials: Sequence[Partial], lines: list[str]) -> list[str]:
        """Lines between the totals they begin with and what they leave of them."""
        column = self.sweep.partials.index
        return [
            *(f"double {partial_name(p)} = {START[p.kind]};" for p in partials),
            *lines,
            *(f"partials[PARTIALS * task + {column(p)}] = {partial_name(p)};" for p in partials),
        ]

    def index(self, stream: Stream, at: str) -> str:
        if stream.level.kind == "rows":
            return "row"
        if stream.level == self.cell:
            return _COLUMN
        if stream.level.kind == "tiles":
            return tile_at(self.plan, stream.level, "row", f"({_COLUMN})")
        return Loops.index(self, stream, at)


_COLUMN = "tile_left + j"
_Parts = tuple[Sum, str]  # a sum, and where the part of it lies that tile k of the column has
_TILE = [
    f"const int64_t tiles_across = (cols + {TILE_COLS - 1}) / {TILE_COLS};",
    f"const int64_t tile_left = tile % tiles_across * {TILE_COLS};",
    f"const int64_t tile_width = SMALLER({TILE_COLS}, cols - tile_left);",
    "const int64_t head = task - tile + tile % tiles_across; /* the task on top */",
]


def columns(plan: Plan, sweep: Sweep, body: Body, cell: Level, common: Sequence[str]) -> Columns:
    """The writer for a sweep over columns; values per column are named as array elements."""
    names = {
        node: f"{name}[j]" if body.zone[node] == CELL else name for node, name in body.names.items()
    }
    return Columns(plan, sweep, replace(body, names=names), cell, tuple(common))


def _words(lines: Sequence[str]) -> set[str]:
    return set(re.findall(r"\w+", "\n".join(lines)))


def _of_band(stream: Stream) -> str:
    """Where tile k of a column has its part of a sum that a sweep over rows began."""
    return f"{pointer(stream)} + k * cols + tile_left"


def _part(total: Sum) -> str:
    return f"{total.name.removesuffix('_total')}_part"
