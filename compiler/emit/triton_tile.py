"""The device function that does one tile of a sweep: load, compute, store, return partial results.

    def adamw_tile(start, end, param_at, grad_at, m_at, v_at, beta1, ...):
        LANES: tl.constexpr = 4
        lanes = tl.max_contiguous(tl.multiple_of(tl.arange(0, BLOCK), LANES), LANES)
        index = start + lanes
        inside = None if end is None else index < end
        param = tl.load(param_at + index, mask=inside).to(REAL)
        ...
        tl.store(param_at + index, param, mask=inside)

A full tile is called with `end` None: then nothing is masked and every access is a vector. Hence
the arithmetic is written once and compiled twice. What the tile needs from outside are its
arguments, by the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...dsl.levels import ELEMENT, Level
from ..ir import CODES, Node, Store, Stream
from ..plan import Plan
from .body import Line, stream_of
from .expressions import expression
from .layout import WIDTH
from .spelling import commented, fitted, kept, spell
from .syntaxes import TRITON
from .triton_frame import (
    CONSTANTS,
    Frame,
    Tile,
    address,
    function,
    size_name,
    size_names,
    used,
)  # fmt: skip
from .triton_partials import COMBINE, NEUTRAL, Total

INSIDE = "inside = None if end is None else index < end"


def contiguous(length: str) -> str:
    """`length` neighbours. Without the hints, streams of unlike widths would be laid out each in
    its own way, and values would go through shared memory from one layout to the other."""
    return f"tl.max_contiguous(tl.multiple_of(tl.arange(0, {length}), LANES), LANES)"


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a tile's lanes lie in the tensor. `takes` are the function's first arguments, `opening`
    defines `index` (each lane's element) and `inside`; `cell` is what a value per cell of `level`
    looks like among elements. `base` is an index with each lane's upper 32 bits. `row` and `column`
    are each lane's, of the index's shape; without them they are worked out from `start`. `combine`
    reduces a cell's lanes; `count` is how many lanes there are, where that is more than a cell.
    `plane`: elements that lie so far apart are side by side; `first` is the first one's index."""

    takes: tuple[str, str]
    opening: tuple[str, ...]
    level: Level | None = None
    cell: str = "{0}"
    base: str = "index"
    row: str = ""
    column: str = ""
    combine: Mapping[str, str] = field(default_factory=lambda: COMBINE)
    count: int = 0
    plane: int = 0


LINE = Geometry(
    ("start", "end"), (f"lanes = {contiguous('BLOCK')}", "index = start + lanes", INSIDE)
)


@dataclass(slots=True)
class TileWriter:
    """Writes the lines of one tile function."""

    frame: Frame
    geometry: Geometry
    lines: list[str] = field(default_factory=list[str])
    names: dict[Node, str] = field(default_factory=dict[Node, str])

    def open(self, streams: Sequence[Stream], swept: Sequence[Stream] = ()) -> None:
        """The lanes and their places; `streams` is everything the tile loads and stores, `swept`
        what all tiles of the sweep do: they share one layout."""
        geometry = self.geometry
        if any("LANES" in line for line in geometry.opening):
            self.lines.append(lanes(swept or streams))
        self.lines += geometry.opening
        if self.frame.body.needs_index:
            self.lines.append(f"base = {geometry.base}")
        fine = [s.level for s in streams if s.level != geometry.level]
        self.lines += _places(self.frame.plan, geometry, fine)
        self.names = {
            node: geometry.cell.format(name) if node.level == geometry.level else name
            for node, name in self.frame.body.names.items()
        }

    def load(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            stream = stream_of(self.frame.plan, node)
            if stream.dtype == "uint4" and self.geometry.plane:
                where = f"{address(stream)} + bytes_at, begun"
                self.lines += fitted(f"{self.names[node]} = load_halves({where})")
                continue
            if stream.dtype == "uint4":
                where = f"{address(stream)}, index, inside, {stream.plane}"
                self.lines += fitted(f"{self.names[node]} = load_packed({where})")
                continue
            number = "" if stream.dtype in CODES else ".to(REAL)"
            if self.geometry.plane and stream.level == ELEMENT:
                value = f"load_planes({address(stream)}, first, end, {self.geometry.plane})"
            else:
                value = f"tl.load({_element_at(self.frame.plan, stream)}, mask=inside)"
            self.lines += fitted(f"{self.names[node]} = {value}{number}")

    def compute(self, lines: Iterable[Line]) -> None:
        for line in lines:
            code = spell(line.name, line.node, self.names, TRITON)
            self.lines += commented(code, line.where)

    def masked(self, results: Sequence[tuple[str, str, Node]]) -> None:
        """(name, kind of reduction, value): the values, neutral where the tile leaves the cell."""
        for name, _, node in results:
            self.lines += self._value(name, node)
            if node.op == "spread":  # one number, or one per cell: now one for each element
                self.lines.append(f"{name} = tl.where(index >= 0, {name}, 0.0)")
        if results:
            self.lines.append("if end is not None:")
        for name, kind, _ in results:
            self.lines.append(f"    {name} = tl.where(inside, {name}, {NEUTRAL[kind]})")

    def reduce(self, lines: Iterable[Line]) -> None:
        """Reductions over the lanes of this one tile."""
        wanted, combine = list(lines), self.geometry.combine
        self.masked([(f"{line.name}_lanes", line.node.op, line.node.args[0]) for line in wanted])
        for line in wanted:
            self.lines.append(f"{line.name} = {combine[line.node.op].format(f'{line.name}_lanes')}")

    def store(self, stores: Iterable[Store]) -> None:
        for store in stores:
            value = expression(store.value, self.names, TRITON)
            if store.stream.dtype == "uint4" and self.geometry.plane:
                where = f"{address(store.stream)} + bytes_at, begun, inside"
                self.lines += fitted(f"store_halves({where}, {value})")
                continue
            if store.stream.dtype == "uint4":
                block, plane = store.stream.block, store.stream.plane
                sizes = f"{self.geometry.count or block}, {block}, {plane}"
                where = f"{address(store.stream)}, start, end, inside"
                self.lines += fitted(f"store_packed({where}, {value}, {sizes})")
                continue
            at = _element_at(self.frame.plan, store.stream)
            name, width = store.stream.name, WIDTH - 40 - len(at)
            before, value = kept(name, store.value, self.names, TRITON, width)
            self.lines += before
            if self.geometry.plane and store.stream.level == ELEMENT:
                where = f"{address(store.stream)}, first, end, {value}, {self.geometry.plane}"
                self.lines += fitted(f"store_planes({where})")
            else:
                self.lines += fitted(f"tl.store({at}, {value}, mask=inside)")

    def _value(self, name: str, node: Node) -> list[str]:
        """`name = ` a value, which may have a name of its own."""
        if node in self.names or not node.args:
            return [f"{name} = {expression(node, self.names, TRITON)}"]
        return spell(name, node, self.names, TRITON)

    def finish(self, name: str, doc: str, totals: Sequence[Total]) -> Tile:
        """The function, returning what it contributes to `totals`."""
        lanewise = [total for total in totals if total.shape != "()"]
        self.masked([(total.part, total.kind, total.value) for total in lanewise])
        parts = [
            total.part if total in lanewise else expression(total.value, self.names, TRITON)
            for total in totals
        ]
        if parts:
            self.lines.append(f"return {', '.join(parts)}")
        if sum("start" in line for line in self.lines) == 1:  # defined, and nothing asks for it
            self.lines = [line for line in self.lines if not line.startswith("start = ")]
        text = "\n".join(self.lines)
        outside = used(text, self.frame.names) + used(text, CONSTANTS)
        takes = [*self.geometry.takes, *outside]
        return Tile(name, function(name, takes, doc, self.lines), outside)


def lanes(streams: Iterable[Stream]) -> str:
    """How many neighbours a thread takes: as many as fill 16 bytes of the widest stream. All
    streams then agree, and no value has to cross threads between its load and its store."""
    swept = {stream.dtype for stream in streams if stream.level.kind == "element"}
    if swept & {"real", "float32"}:
        return "LANES: tl.constexpr = 4"
    if {"param", "grad"} <= swept:
        return "LANES: tl.constexpr = 8 if PARAM == GRAD else 4"
    return "LANES: tl.constexpr = 8"


# ---------------------------------------------------------------- streams of other levels


def shape_names(plan: Plan, streams: Iterable[Stream]) -> set[str]:
    """What of the shape table it takes to find such a stream's value for an element."""
    names: set[str] = set()
    for stream in streams:
        if stream.level.kind in ("rows", "cols", "tiles"):
            names.add("cols")
        if stream.level.kind == "heads":
            names.add("numel")
        names.update(size_names(plan, stream.level))
    return names


def _element_at(plan: Plan, stream: Stream) -> str:
    """Where a stream's values for the elements of a tile lie."""
    match stream.level.kind:
        case "element":
            place = "index"
        case "rows":
            place = "row"
        case "cols":
            place = "column"
        case "heads" | "chunks" | "tiles":
            place = _cell_name(plan, stream.level)
        case kind:
            raise NotImplementedError(f"{kind} among elements")
    return f"{address(stream)} + {place}"


def _cell_name(plan: Plan, level: Level) -> str:
    return "_".join((level.kind, *size_names(plan, level)))


def _places(plan: Plan, geometry: Geometry, levels: Iterable[Level]) -> list[str]:
    """Lines for the row, column, head, chunk or tile of every element. Only the start of a line of
    elements is divided in 64 bits; within it 32 suffice."""
    lines: list[str] = []
    distinct = list(dict.fromkeys(levels))
    kinds = {level.kind for level in distinct}
    if not geometry.row and kinds & {"rows", "cols", "tiles"}:
        lines += ["width = cols.to(tl.int32)", "place = (start % cols).to(tl.int32) + lanes"]
    if kinds & {"rows", "tiles"}:
        lines.append(f"row = {geometry.row or 'start // cols + place // width'}")
    if kinds & {"cols", "tiles"}:
        lines.append(f"column = {geometry.column or 'place % width'}")
    for level in distinct:
        name = _cell_name(plan, level)
        if level.kind == "tiles":
            height, width = size_names(plan, level)
            inside = f"row // {height} * tl.cdiv(cols, {width}) + column // {width}"
            lines.append(f"{name} = {inside}")
        elif level.kind in ("heads", "chunks"):
            size = size_name(plan, level)
            lines += (
                _numbered(name, level, size)
                if not geometry.row
                else [
                    f"{name} = index // {f'(numel // {size})' if level.kind == 'heads' else size}"
                ]
            )
    return lines


def _numbered(name: str, level: Level, size: str) -> list[str]:
    """Lines for the number of every element's head or chunk, in a line of elements."""
    if size.isdigit() and level.kind == "chunks":
        return [f"{name} = start // {size} + (start % {size} + lanes) // {size}"]
    length = f"{level.kind}_length"
    return [
        f"{length} = numel // {size}" if level.kind == "heads" else f"{length} = {size}",
        f"place = (start % {length}).to(tl.int32) + lanes",
        f"{name} = start // {length} + place // {length}.to(tl.int32)",
    ]
