"""A sweep over columns: cells whose elements lie `cols` apart.

    for group in range(begin, end, 64):             64 columns side by side
        columns = group + lanes
        full = rows // ROWS * ROWS                  0 where the group sticks out of the matrix
        for start in range(0, full, ROWS): ...      tiles of ROWS x 64 elements

Neighbouring threads take neighbouring columns, so memory is read along its rows. A value per column
is a vector of 64.
"""

from __future__ import annotations

from ..plan import Plan, Sweep
from .body import sweep_body
from .expressions import expression
from .syntaxes import TRITON
from .triton_cell_parts import (
    cell_barrier,
    cell_names,
    compute_cells,
    indented,
    load_cells,
    open_frame,
    split,
    store_cells,
    streams_of,
    zones,
)  # fmt: skip
from .triton_frame import Frame, KernelText, Tile, kernel_text
from .triton_partials import NEUTRAL, Total, collect, write
from .triton_tile import Geometry, TileWriter, contiguous, lanes

_COLUMNS = 64
_MASK = ", mask=here"


def columns_kernel(
    plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int
) -> KernelText:
    """The kernel of a sweep over the columns of matrices."""
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=False), values)
    streams = open_frame(frame, sweep, {"rows", "cols"})
    frame.lines += ["if ALIGNED:", "    cols = tl.multiple_of(cols, 16)"]
    geometry = Geometry(
        ("start", "end"),
        (
            f"lines = start + tl.arange(0, BLOCK // {_COLUMNS})",
            "index = lines[:, None] * cols + columns[None, :]",
            "inside = None if end is None else (lines[:, None] < end) & here[None, :]",
        ),
        sweep.cell,
        "{0}[None, :]",
    )
    element, cell = split(sweep)
    square, line = f"[BLOCK // {_COLUMNS}, {_COLUMNS}]", f"[{_COLUMNS}]"
    totals = zones(sweep, square, line)
    swept = [total for total in totals if total.shape == square]
    frame.names += ["columns", "here", *cell_names(frame.body)]
    inner = load_cells(frame, "columns", _MASK)
    inner += compute_cells(frame, frame.body.cell_lines)
    tiles: list[Tile] = []
    rounds = frame.body.rounds
    for k, walk in enumerate(rounds):
        ends = k == len(rounds) - 1
        made = [Total(r.name, r.node.op, r.node.args[0], square) for r in walk.reductions]
        goals, written = made + (swept if ends else []), element if ends else []
        writer = TileWriter(frame, geometry)
        writer.open(streams_of(plan, walk, written))
        writer.load(walk.loads)
        writer.compute(walk.lines)
        writer.store(written)
        title = f"{name}_tile" if len(rounds) == 1 else f"{name}_round_{k + 1}"
        tile = writer.finish(title, f"One tile of `{name}`; all of it where `end` is None.", goals)
        tiles.append(tile)
        inner += [total.begin() for total in made]
        inner.append(f"for start in range(0, full, BLOCK // {_COLUMNS}):")
        inner += collect(tile, goals, ("start", "None"), 4, 8)
        inner.append(f"for start in range(full, rows, BLOCK // {_COLUMNS}):")
        inner += collect(tile, goals, ("start", "rows"), 4, 8)
        inner += [f"{total.name} = {total.result()}" for total in made]
        inner += compute_cells(frame, walk.cell_lines)
    inner += cell_barrier(sweep, rounds)
    inner += store_cells(frame, cell, "columns", _MASK)
    for total in totals:
        if total.shape == line:
            value = expression(total.value, frame.body.names, TRITON)
            inner.append(total.take(f"tl.where(here, {value}, {NEUTRAL[total.kind]})"))
    body = [
        "task = tasks + 3 * tl.program_id(0)",
        "tensor = tl.load(task)",
        "begin = tl.multiple_of(tl.load(task + 1), 16)",
        "end = tl.load(task + 2)",
        *frame.lines,
        *(total.begin() for total in totals),
        lanes(streams),
        f"for group in range(begin, end, {_COLUMNS}):",
        *indented(
            [
                f"columns = group + {contiguous(str(_COLUMNS))}",
                "here = columns < end",
                f"whole = tl.where(group + {_COLUMNS} <= end, rows, 0)",
                f"full = whole // (BLOCK // {_COLUMNS}) * (BLOCK // {_COLUMNS})",
                *inner,
            ]
        ),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, tiles)
