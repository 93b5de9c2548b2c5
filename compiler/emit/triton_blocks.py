"""Sweeps over short cells of a constant length: several of them are one tile.

    cells = cell + tl.arange(0, 8)[:, None]
    index = cells * 32 + lanes[None, :]             8 cells of 32 elements
    m_largest = tl.reduce(..., 1, larger, keep_dims=True)

Values per cell stand in a column and spread over their row by themselves. The tile has 256
elements, for one warp: reductions go through registers and shuffles.
"""

from __future__ import annotations

from ..plan import Plan, Sweep
from .body import sweep_body
from .syntaxes import TRITON
from .triton_cell_parts import cell_barrier, load_cells, open_frame, split, store_cells, zones
from .triton_frame import Frame, KernelText, kernel_text
from .triton_partials import ACROSS, collect, write
from .triton_tile import Geometry, TileWriter, contiguous

_TILE = 256
_SHORTEST = 8


def are_short(sweep: Sweep, length: int) -> bool:
    """Whether several cells of this length are one tile."""
    per_cell = any(partial.value.level == sweep.cell for partial in sweep.partials)
    return _SHORTEST <= length < _TILE and not per_cell


def blocks_kernel(
    plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int, length: int
) -> KernelText:
    """The kernel of a sweep over cells of `length` elements, a power of two."""
    assert sweep.cell is not None
    count = _TILE // length
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=True), values)
    streams = open_frame(frame, sweep, {"numel"})
    totals = zones(sweep, f"[{count}, {length}]", "()")
    geometry = Geometry(
        ("cell", "end"),
        (
            f"lanes = {contiguous(str(length))}",
            f"cells = cell + tl.arange(0, {count})[:, None]",
            f"start = cell * {length}",
            f"index = cells * {length} + lanes[None, :]",
            "inside = None if end is None else index < end",
            f"there = None if end is None else cells * {length} < end",
        ),
        sweep.cell,
        base="start",
        row="index // cols",
        column="index % cols",
        combine=ACROSS,
        count=_TILE,
    )
    writer = TileWriter(frame, geometry)
    writer.open(streams)
    writer.lines += load_cells(frame, "cells", ", mask=there")
    writer.compute(frame.body.cell_lines)
    for walk in frame.body.rounds:
        writer.load(walk.loads)
        writer.compute(walk.lines)
        writer.reduce(walk.reductions)
        writer.compute(walk.cell_lines)
    element, cell = split(sweep)
    writer.store(element)
    writer.lines += cell_barrier(sweep, frame.body.rounds)
    writer.lines += store_cells(frame, cell, "cells", ", mask=there")
    tile = writer.finish(
        f"{name}_cells", f"Some cells of `{name}`; whole ones where `end` is None.", totals
    )
    body = [
        "task = tasks + 3 * tl.program_id(0)",
        "tensor = tl.load(task)",
        "begin = tl.load(task + 1)",
        "end = tl.load(task + 2)",
        *frame.lines,
        *(total.begin() for total in totals),
        f"full = begin + (tl.minimum(end, numel // {length}) - begin) // {count} * {count}",
        f"for cell in range(begin, full, {count}):",
        *collect(tile, totals, ("cell", "None"), 4),
        "if full < end:",
        *collect(tile, totals, ("full", f"tl.minimum(numel, end * {length})"), 4),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, (tile,), block=_TILE)
