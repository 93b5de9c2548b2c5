"""A plan's sweeps and finishes as Triton kernels, one launch each for all tensors of a bucket.

    kernel_of(plan, sweep, "adamw", doc, values=0, partials=0)   ->   KernelText

A flat sweep walks over its task's full tiles unmasked, then does the tail masked. Sweeps over cells
are in `triton_cells.py`, what stands between sweeps in `triton_finish.py`. Partial results go to a
fixed slot per task and are combined in order, so a step gives the same bits on every run.
"""

from __future__ import annotations

from dataclasses import replace

from ..plan import Finish, Plan, Sweep
from .alive import most_alive
from .body import sweep_body
from .spelled import for_one_warp, spelled_out
from .syntaxes import TRITON
from .triton_cells import cell_kernel, looks_up
from .triton_finish import finish_kernel
from .triton_frame import Frame, KernelText, kernel_text
from .triton_partials import collect, open_task, totals_of, write
from .triton_tile import LINE, TileWriter, shape_names


def kernel_of(
    plan: Plan, step: Sweep | Finish, name: str, doc: str, *, values: int, partials: int
) -> KernelText:
    """The kernel of one step. `values` and `partials` are the row lengths of those tables."""
    step = for_one_warp(plan, step) if looks_up(step) else spelled_out(plan, step)
    match step:
        case Finish():
            return finish_kernel(plan, step, name, doc, values, partials)
        case Sweep(cell=None):
            made = _flat(plan, step, name, doc, values, partials)
        case Sweep():
            made = cell_kernel(plan, step, name, doc, values, partials)
    return made if made.block else replace(made, alive=most_alive(plan, step))


def _flat(plan: Plan, sweep: Sweep, name: str, doc: str, values: int, partials: int) -> KernelText:
    frame = Frame(plan, sweep_body(plan, sweep, TRITON), values)
    streams = [*sweep.loads, *(store.stream for store in sweep.stores)]
    frame.open_streams(streams)
    frame.open_shape(shape_names(plan, streams))
    frame.open_numbers()
    (walk,) = frame.body.rounds
    totals = totals_of(sweep.partials, "[BLOCK]")
    frame.names.append("begin")  # 2^32 is a whole number of tasks
    writer = TileWriter(frame, replace(LINE, base="begin"))
    writer.open([s for s in streams if not s.level.is_coarse])
    writer.load(walk.loads)
    writer.compute(walk.lines)
    writer.store(sweep.stores)
    tile = writer.finish(
        f"{name}_tile", f"One tile of `{name}`; all of it where `end` is None.", totals
    )
    body = [
        *open_task(frame, totals, "BLOCK"),
        "full = begin + (end - begin) // BLOCK * BLOCK",
        "for start in range(begin, full, BLOCK):",
        *collect(tile, totals, ("start", "None"), 4),
        "if full < end:",
        *collect(tile, totals, ("full", "end"), 4),
        *write(totals, partials),
    ]
    return kernel_text(name, doc, body, (tile,))
