"""What all sweeps over cells have in common: streams with one value per cell, the lines between two
rounds, and which totals are collected per element and which per cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir import Store, Stream
from ..plan import Plan, Sweep
from .body import Body, Line, Round, stream_of
from .expressions import expression
from .spelling import fitted
from .syntaxes import TRITON
from .triton_frame import Frame, address, barrier, size_name
from .triton_partials import Total, slot_name
from .triton_tile import shape_names


def open_frame(frame: Frame, sweep: Sweep, shape: set[str]) -> list[Stream]:
    """Opens every stream, number and size that a cell sweep needs; the streams that lie finer than
    once per tensor."""
    streams = [*sweep.loads, *(store.stream for store in sweep.stores)]
    fine = list(dict.fromkeys(s for s in streams if not s.level.is_coarse))
    frame.open_streams(streams)
    others = [s for s in fine if s.level != sweep.cell]
    wanted = shape | shape_names(frame.plan, others)
    if sweep.cell is not None and sweep.cell.args:
        wanted.add(size_name(frame.plan, sweep.cell))
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


def streams_of(plan: Plan, walk: Round, stores: Sequence[Store]) -> list[Stream]:
    """Everything that one round moves per element."""
    loaded = [stream_of(plan, node) for node in walk.loads]
    return list(dict.fromkeys([*loaded, *(store.stream for store in stores)]))


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
