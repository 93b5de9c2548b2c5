"""Sweeps over short cells of a constant length: several of them are one tile.

    rows = tl.arange(0, 8)[:, None]
    index = start + (rows * 32 + lanes[None, :])    8 cells of 32 elements
    m_largest = tl.reduce(..., 1, larger, keep_dims=True)

Values per cell stand in a column and spread over their row by themselves. The tile has 256
elements, for one warp: reductions go through registers and shuffles. Where a byte holds the codes
of two elements, half a cell apart, a third axis has these two, and nothing crosses threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...dsl.levels import Level
from ..ir import Stream
from ..plan import Plan, Sweep
from .body import sweep_body
from .syntaxes import TRITON
from .triton_cell_parts import held_cells, open_frame, zones
from .triton_frame import Frame, KernelText, kernel_text
from .triton_partials import ACROSS, ALONG, collect, open_task, write
from .triton_tile import Geometry, contiguous

TILE = 256
_SHORTEST = 8


def are_short(sweep: Sweep, length: int) -> bool:
    """Whether several cells of this length are one tile."""
    per_cell = any(partial.value.level == sweep.cell for partial in sweep.partials)
    return _SHORTEST <= length < TILE and not per_cell


def _rows(cell: Level, length: int) -> tuple[Geometry, str]:
    """A tile with a row for each cell, and its shape."""
    count = TILE // length
    opening = (
        f"lanes = {contiguous(str(length))}",
        f"rows = tl.arange(0, {count})[:, None]",
        "cells = cell + rows",
        f"start = cell * {length}",
        f"index = start + (rows * {length} + lanes[None, :])",
        "inside = None if end is None else index < end",
        f"there = None if end is None else cells * {length} < end",
    )
    return Geometry(
        ("cell", "end"), opening, cell,
        base="start", row="index // cols", column="index % cols", combine=ACROSS, count=TILE,
    ), f"[{count}, {length}]"  # fmt: skip


def _are_packed(streams: Sequence[Stream], length: int) -> bool:
    """Whether bytes hold two codes each, of an element in a cell's first half and one in its
    second."""
    planes = {stream.plane for stream in streams if stream.dtype == "uint4"}
    return planes == {length // 2}


def _planes(cell: Level, length: int) -> tuple[Geometry, str]:
    """The same with both elements of a byte beside each other, in one thread."""
    count, plane = TILE // length, length // 2
    opening = (
        f"lanes = {contiguous(str(plane))}",
        f"rows = tl.arange(0, {count})[:, None]",
        f"start = cell * {length}",
        f"first = start + (rows * {length} + lanes[None, :])",
        f"index = tl.join(first, first + {plane})",
        "inside = None if end is None else index < end",
        f"bytes_at = start // 2 + (rows * {plane} + lanes[None, :])",
        f"begun = None if end is None else start + rows * {length} < end",
        "cells = cell + rows[:, :, None]",
        f"there = None if end is None else cells * {length} < end",
    )
    return Geometry(
        ("cell", "end"), opening, cell,
        base="start", row="index // cols", column="index % cols", combine=ALONG, count=TILE,
        plane=plane,
    ), f"[{count}, {plane}, 2]"  # fmt: skip


def blocks_kernel(
    plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int, length: int
) -> KernelText:
    """The kernel of a sweep over cells of `length` elements, a power of two."""
    assert sweep.cell is not None
    count = TILE // length
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=True), values)
    streams = open_frame(frame, sweep, {"numel"})
    geometry, shape = (_planes if _are_packed(streams, length) else _rows)(sweep.cell, length)
    totals = zones(sweep, shape, "()")
    writer = held_cells(frame, sweep, geometry, streams, "cells", ", mask=there")
    tile = writer.finish(
        f"{name}_cells", f"Some cells of `{name}`; whole ones where `end` is None.", totals
    )
    body = [
        *open_task(frame, totals),
        f"full = begin + (tl.minimum(end, numel // {length}) - begin) // {count} * {count}",
        f"for cell in range(begin, full, {count}):",
        *collect(tile, totals, ("cell", "None"), 4),
        "if full < end:",
        *collect(tile, totals, ("full", f"tl.minimum(numel, end * {length})"), 4),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, (tile,), block=TILE)
