"""A sweep over tiles: rectangles of a matrix, smaller at its right and bottom edges.

    for cell in range(begin, end):
        tile_top = cell // tiles_across * 128
        tile_left = cell % tiles_across * 128
        for start in range(0, last, BLOCK): ...     the tile's elements, row by row

All is masked. The tile's elements are counted along its rows, so neighbouring threads take
neighbouring elements wherever a tile is wide. A small tile of constant size is one such block.
"""

from __future__ import annotations

from ..plan import Plan, Sweep
from .body import sweep_body
from .syntaxes import TRITON
from .triton_cell_parts import Walk, cell_names, indented, open_frame, whole_cell, zones
from .triton_frame import Frame, KernelText, kernel_text, size_names
from .triton_partials import open_task, write
from .triton_tile import Geometry, contiguous

_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 1024  # of threads' runs of lanes; of registers
_ROW = "tile_top + place // tile_width"
_COLUMN = "tile_left + place % tile_width"


def tiles_kernel(
    plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int
) -> KernelText:
    """The kernel of a sweep over the tiles of matrices."""
    assert sweep.cell is not None
    height, width = size_names(plan, sweep.cell)
    frame = Frame(plan, sweep_body(plan, sweep, TRITON, keep=False), values)
    open_frame(frame, sweep, {"rows", "cols"})
    frame.names += ["tile_top", "tile_left", "tile_width", *cell_names(frame.body)]
    totals = zones(sweep, "[BLOCK]", "()")
    geometry = Geometry(
        ("start", "end"),
        (
            f"place = start + {contiguous('BLOCK')}",
            f"index = ({_ROW}) * cols + {_COLUMN}",
            "inside = place < end",
        ),
        sweep.cell,
        row=_ROW,
        column=_COLUMN,
    )
    walk = Walk(
        name,
        f"Some elements of a tile of `{name}`.",
        geometry,
        "[BLOCK]",
        (("for start in range(0, last, BLOCK):", ("start", "last")),),
    )
    inner, tiles = whole_cell(frame, sweep, walk, totals)
    body = [
        *open_task(frame, totals),
        f"tiles_across = tl.cdiv(cols, {width})",
        "for cell in range(begin, end):",
        *indented(
            [
                f"tile_top = cell // tiles_across * {height}",
                f"tile_left = cell % tiles_across * {width}",
                f"tile_width = tl.minimum(cols - tile_left, {width})",
                f"last = tl.minimum(rows - tile_top, {height}) * tile_width",
                *inner,
            ]
        ),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, tiles, block=_block(height, width))


def _block(height: str, width: str) -> int:
    """The number of lanes that hold a whole tile, if it is small for every tensor, else 0."""
    size = int(height) * int(width) if height.isdigit() and width.isdigit() else 0
    if not 0 < size <= _LARGEST_BLOCK:
        return 0
    return max(_SMALLEST_BLOCK, 1 << (size - 1).bit_length())
