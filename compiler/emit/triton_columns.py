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
from .syntaxes import TRITON
from .triton_cell_parts import Walk, cell_names, indented, open_frame, whole_cell, zones
from .triton_frame import Frame, KernelText, kernel_text
from .triton_partials import open_task, write
from .triton_tile import Geometry, contiguous, lanes

_COLUMNS = 64


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
        row="lines[:, None] + 0 * columns[None, :]",
        column="columns[None, :] + 0 * lines[:, None]",
    )
    square, line = f"[BLOCK // {_COLUMNS}, {_COLUMNS}]", f"[{_COLUMNS}]"
    totals = zones(sweep, square, line)
    frame.names += ["columns", "here", *cell_names(frame.body)]
    walk = Walk(
        name,
        f"One tile of `{name}`; all of it where `end` is None.",
        geometry,
        square,
        (
            (f"for start in range(0, full, BLOCK // {_COLUMNS}):", ("start", "None")),
            (f"for start in range(full, rows, BLOCK // {_COLUMNS}):", ("start", "rows")),
        ),
        "columns",
        ", mask=here",
        "tl.where(here, {0}, {1})",
    )
    inner, tiles = whole_cell(frame, sweep, walk, totals)
    body = [
        *open_task(frame, totals, "16"),
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
