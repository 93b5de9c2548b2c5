"""What all sweeps over cells have in common: streams with one value per cell, the rounds and the
lines between them, and which totals are collected per element and which per cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir import Store, Stream
from ..plan import Plan, Sweep
from .body import Body, Line, Round, stream_of
from .expressions import expression
from .spelling import fitted
from .syntaxes import TRITON
from .triton_frame import Frame, Tile, address, barrier, size_names
from .triton_partials import NEUTRAL, Total, collect, slot_name
from .triton_tile import Geometry, TileWriter, shape_names


def open_frame(frame: Frame, sweep: Sweep, shape: set[str]) -> list[Stream]:
    """Opens every stream, number and size that a cell sweep needs; the streams that lie finer than
    once per tensor."""
    streams = [*sweep.loads, *(store.stream for store in sweep.stores)]
    fine = list(dict.fromkeys(s for s in streams if not s.level.is_coarse))
    frame.open_streams(streams)
    others = [s for s in fine if s.level != sweep.cell]
    wanted = shape | shape_names(frame.plan, others)
    if sweep.cell is not None:
        wanted.update(size_names(frame.plan, sweep.cell))
    frame.open_shape(wanted)
    frame.open_numbers()
    return fine


def split(sweep: Sweep) -> tuple[list[Store], list[Store]]:
    """The stores per element and those per cell."""
    element = [s for s in sweep.stores if s.stream.level != sweep.cell]
    return element, [s for s in sweep.stores if s.stream.level == sweep.cell]


def load_cells(frame: Frame, cell: str, mask: str = "") -> list[str]:
    """Reads the streams that hold one value per cell."""
    lines: list[str] = []
    for node in frame.body.cell_loads:
        at = f"{address(stream_of(frame.plan, node))} + {cell}"
        lines += fitted(f"{frame.body.names[node]} = tl.load({at}{mask}).to(REAL)", 8)
    return lines


def store_cells(frame: Frame, stores: Sequence[Store], cell: str, mask: str = "") -> list[str]:
    """Writes them."""
    return [
        f"tl.store({address(s.stream)} + {cell}, "
        f"{expression(s.value, frame.body.names, TRITON)}{mask})"
        for s in stores
    ]


def cell_barrier(sweep: Sweep, rounds: Sequence[Round]) -> list[str]:
    """A barrier before the stores per cell, unless a reduction has been one already."""
    if any(walk.reductions for walk in rounds):
        return []
    stored = [store.stream for store in sweep.stores if store.stream.level == sweep.cell]
    return barrier(sweep.loads, stored)


def compute_cells(frame: Frame, lines: Iterable[Line]) -> list[str]:
    """The lines of values per cell."""
    return [text for line in lines for text in frame.statement(line, 8)]


def cell_names(body: Body) -> list[str]:
    """What the lines per cell define."""
    names = [body.names[node] for node in body.cell_loads]
    names += [line.name for line in body.cell_lines]
    for walk in body.rounds:
        names += [line.name for line in (*walk.reductions, *walk.cell_lines)]
    return names


@dataclass(frozen=True, slots=True)
class Walk:
    """How a kernel goes over a cell's elements: `loops` are statements that repeat (or guard) the
    call of a tile function, with its first two arguments; `shape` is that of the tile's lanes.
    `cell` numbers the cell (or cells side by side), `mask` and `taken` leave out those that are
    not there."""

    name: str
    doc: str
    geometry: Geometry
    shape: str
    loops: tuple[tuple[str, tuple[str, str]], ...]
    cell: str = "cell"
    mask: str = ""
    taken: str = "{0}"


def held_cells(
    frame: Frame,
    sweep: Sweep,
    geometry: Geometry,
    streams: Sequence[Stream],
    cell: str,
    mask: str = "",
) -> TileWriter:
    """A tile that holds whole cells, `cell` their number, from loads to stores: every element is
    loaded once."""
    writer = TileWriter(frame, geometry)
    writer.open(streams)
    writer.lines += load_cells(frame, cell, mask)
    writer.compute(frame.body.cell_lines)
    for walk in frame.body.rounds:
        writer.load(walk.loads)
        writer.compute(walk.lines)
        writer.reduce(walk.reductions)
        writer.compute(walk.cell_lines)
    element, per_cell = split(sweep)
    writer.store(element)
    writer.lines += cell_barrier(sweep, frame.body.rounds)
    writer.lines += store_cells(frame, per_cell, cell, mask)
    return writer


def whole_cell(
    frame: Frame, sweep: Sweep, walk: Walk, totals: Sequence[Total]
) -> tuple[list[str], list[Tile]]:
    """All lines of one cell, from its loads to its stores, and the tile function of each round."""
    tiles: list[Tile] = []
    lines = load_cells(frame, walk.cell, walk.mask)
    lines += compute_cells(frame, frame.body.cell_lines)
    _, cell = split(sweep)
    every = frame.body.rounds
    moved = [*sweep.loads, *(store.stream for store in sweep.stores)]
    for k, one in enumerate(every):
        made = [Total(r.name, r.node.op, r.node.args[0], walk.shape) for r in one.reductions]
        swept = {slot_name(partial.slot) for partial in one.partials}
        goals = made + [total for total in totals if total.name in swept]
        writer = TileWriter(frame, walk.geometry)
        writer.open(streams_of(frame.plan, one), moved)
        writer.load(one.loads)
        writer.compute(one.lines)
        writer.store(one.stores)
        title = f"{walk.name}_tile" if len(every) == 1 else f"{walk.name}_round_{k + 1}"
        tile = writer.finish(title, walk.doc, goals)
        tiles.append(tile)
        lines += [total.begin() for total in made]
        for head, bounds in walk.loops:
            lines += [head, *collect(tile, goals, bounds, 4, 8)]
        lines += [f"{total.name} = {total.result()}" for total in made]
        lines += compute_cells(frame, one.cell_lines)
    lines += cell_barrier(sweep, every)
    lines += store_cells(frame, cell, walk.cell, walk.mask)
    for total in totals:
        if total.shape != walk.shape:
            value = expression(total.value, frame.body.names, TRITON)
            lines.append(total.take(walk.taken.format(value, NEUTRAL[total.kind])))
    return lines, tiles


def streams_of(plan: Plan, walk: Round) -> list[Stream]:
    """Everything that one round moves per element."""
    loaded = [stream_of(plan, node) for node in walk.loads]
    return list(dict.fromkeys([*loaded, *(store.stream for store in walk.stores)]))


def zones(sweep: Sweep, per_element: str, per_cell: str) -> list[Total]:
    """The sweep's partials as totals: lanes of one shape for values per element, of another for
    values per cell."""
    return [
        Total(
            slot_name(partial.slot),
            partial.kind,
            partial.value,
            per_cell if partial.value.level == sweep.cell else per_element,
        )
        for partial in sweep.partials
    ]


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
