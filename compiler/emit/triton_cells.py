"""Sweeps over cells: every cell belongs to one task, so what is reduced per cell is finished inside
the pass.

    for cell in range(begin, end):
        first = cell * length                       one row, head or chunk after the other
        last = first + length
        ... a loop over its tiles for the first reduction, then one for the stores

Later rounds load a cell again, from the cache. A cell of a small constant length (a block of a
quantized state) is one tile: loaded once, kept in registers, and with one warp to a cell the
reductions need no shared memory. Columns are strided: see `triton_columns.py`; tiles of a matrix
are in `triton_matrix_tiles.py`.

Totals of the tensor hold registers through all cells. Beside them, what is the same for every cell
is not kept but made anew in each (`disable_licm`): ptxas would spill it.
"""

from __future__ import annotations

from dataclasses import replace

from ...dsl.levels import Level
from ..plan import Finish, Plan, Sweep
from .body import sweep_body
from .rounds import cell_size
from .syntaxes import TRITON
from .triton_blocks import TILE, are_short, blocks_kernel
from .triton_cell_parts import (
    Walk,
    cell_names,
    held_cells,
    indented,
    open_frame,
    whole_cell,
    zones,
)  # fmt: skip
from .triton_columns import columns_kernel
from .triton_frame import Frame, KernelText, kernel_text, size_name
from .triton_matrix_tiles import tiles_kernel
from .triton_partials import collect, open_task, write
from .triton_tile import INSIDE, LINE, Geometry, contiguous

_LARGEST_TILE = 4096


def cell_kernel(
    plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int
) -> KernelText:
    """The kernel of a sweep over cells."""
    assert sweep.cell is not None
    if sweep.cell.kind == "cols":
        return columns_kernel(plan, sweep, name, doc, values, partials)
    if sweep.cell.kind == "tiles":
        return tiles_kernel(plan, sweep, name, doc, values, partials)
    length = tile_length(sweep.cell)
    if length and are_short(sweep, length):
        return blocks_kernel(plan, sweep, name, doc, values, partials, length)
    if length:
        return _small(plan, sweep, name, doc, values, partials)
    return _long(plan, sweep, name, doc, values, partials)


def tile_length(cell: Level) -> int:
    """The cell's length if it is one tile for every tensor, else 0."""
    size = cell_size(cell) or 0
    fits = 0 < size <= _LARGEST_TILE and size & (size - 1) == 0
    return size if fits else 0


def looks_up(step: Sweep | Finish) -> bool:
    """Whether one warp has a whole tile, so that it can hold tables."""
    return isinstance(step, Sweep) and step.cell is not None and 0 < tile_length(step.cell) <= TILE


# ---------------------------------------------------------------- a cell is one tile


def _small(plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int) -> KernelText:
    assert sweep.cell is not None
    length = tile_length(sweep.cell)
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=True), values)
    streams = open_frame(frame, sweep, {"numel"})
    totals = zones(sweep, f"[{length}]", "()")
    geometry = Geometry(
        ("cell", "end"),
        (
            f"lanes = {contiguous(str(length))}",
            f"start = cell * {length}",
            "index = start + lanes",
            INSIDE,
        ),
        sweep.cell,
        base="index - lanes",
    )
    writer = held_cells(frame, sweep, geometry, streams, "cell")
    tile = writer.finish(
        f"{name}_cell", f"One cell of `{name}`; a whole one where `end` is None.", totals
    )
    body = [
        *open_task(frame, totals),
        f"full = tl.minimum(end, numel // {length})",
        "for cell in range(begin, full):",
        *collect(tile, totals, ("cell", "None"), 4),
        "if full < end:",
        *collect(tile, totals, ("full", "numel"), 4),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, (tile,), block=length)


# ---------------------------------------------------------------- a cell is a run of tiles


def _long(plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int) -> KernelText:
    assert sweep.cell is not None
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=False), values)
    length, last = _extent(plan, sweep.cell)
    open_frame(frame, sweep, {name for name in ("cols", "numel") if name in length + last})
    frame.lines.append(f"length = {length}")
    if not length.isdigit():
        frame.lines += ["if ALIGNED:", "    length = tl.multiple_of(length, 16)"]
    totals = zones(sweep, "[BLOCK]", "()")
    frame.names += ["first", "last", *cell_names(frame.body)]
    walk = Walk(
        name,
        f"One tile of a cell of `{name}`; all of it where `end` is None.",
        replace(LINE, level=sweep.cell),
        "[BLOCK]",
        (
            ("for start in range(first, full, BLOCK):", ("start", "None")),
            ("if full < last:", ("full", "last")),
        ),
    )
    inner, tiles = whole_cell(frame, sweep, walk, totals)
    cells = "tl.range(begin, end, disable_licm=True)" if totals else "range(begin, end)"
    body = [
        *open_task(frame, totals),
        f"for cell in {cells}:",
        *indented(
            [
                "first = cell * length",
                f"last = {last}",
                "full = first + (last - first) // BLOCK * BLOCK",
                *inner,
            ]
        ),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, tiles)


def _extent(plan: Plan, cell: Level) -> tuple[str, str]:
    """A cell's length, and where the cell that begins at `first` ends."""
    match cell.kind:
        case "rows":
            return "cols", "first + length"
        case "heads":
            return f"numel // {size_name(plan, cell)}", "first + length"
        case _:
            return size_name(plan, cell), "tl.minimum(first + length, numel)"
