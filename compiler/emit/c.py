"""The CPU target: one C function (with OpenMP) for each sweep and finish of a plan.

    void adamw(int64_t count, const int64_t *tasks, const int64_t *pointers, const double *scalars)

A function takes the tables it uses, in the order of `TABLES`. Sweeps compute in REAL (float, or
double beside a double parameter), finishes in double. One text serves all dtypes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...dsl.levels import ROWS, Level
from ..bands import BAND_ROWS
from ..plan import Finish, Plan, Sweep
from .body import Body, stream_of, sweep_body
from .c_bands import by_bands
from .c_blocks import Blocks
from .c_columns import TILE_COLS, TILE_ROWS, columns
from .c_finish import finish_lines
from .c_loops import Loops, partial_name
from .c_prelude import prelude
from .c_streams import address_lines, constant, declare_pointer, declared, load, slot_at
from .c_sums import START
from .expressions import expression
from .render import render
from .rounds import cell_size
from .spelled import for_blocks
from .syntaxes import C

TABLES = {
    "tasks": "const int64_t *tasks", "pointers": "const int64_t *pointers",
    "shapes": "const int64_t *shapes", "scalars": "const double *scalars",
    "values": "double *values", "totals": "double *totals", "partials": "double *partials",
    "spans": "const int64_t *spans",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CFunction:
    """One function as text, and the tables it takes (after `count`), in order. A task of a sweep
    has a `multiple` of so many cells, or elements, until its tensor ends; over columns it is a
    `tile` of rows and columns."""

    name: str
    tables: tuple[str, ...]
    text: str
    multiple: int = 1
    tile: tuple[int, ...] = ()


def c_function(plan: Plan, step: Sweep | Finish, name: str) -> CFunction:
    """The function of one step."""
    if isinstance(step, Sweep):
        parts = _sweep(plan, for_blocks(plan, by_bands(plan, step)))
        made = _function("c_sweep", name, _sweep_title(step), "const ", **parts)
        if step.cell is not None and step.cell.kind == "cols":
            return replace(made, tile=(TILE_ROWS, TILE_COLS))
        return replace(made, multiple=_multiple(step))
    return _function("c_finish", name, _finish_title(step), "", lines=finish_lines(plan, step))


def c_module(functions: Sequence[CFunction], title: str, *, values: int, partials: int) -> str:
    """The C text of a module: `values` and `partials` are the widths of those tables."""
    texts = [function.text for function in functions]
    together = "\n".join(texts)
    widths = {"VALUES": values, "PARTIALS": partials}
    constants = [f"#define {word} {width}" for word, width in widths.items() if word in together]
    return render(
        "c_module", title=title, constants=constants, prelude=prelude(together), functions=texts
    )


def _function(template: str, name: str, title: str, values: str, **parts: list[Any]) -> CFunction:
    """`parts`: the template's lines. `values`: `const ` where those tables are only read."""
    words = set(re.findall(r"\w+", str(parts)))
    tables = tuple(table for table in TABLES if table in words)
    args = ", ".join(
        ["int64_t count"]
        + [(values if t in ("values", "totals") else "") + TABLES[t] for t in tables]
    )
    text = render(template, title=title, signature=f"void {name}({args})", **parts)
    return CFunction(name, tables, text.rstrip("\n"))


def _finish_title(finish: Finish) -> str:
    done = ", ".join(slot.name for slot, _ in finish.completes)
    made = ", ".join([*(s.name for s, _, _ in finish.gathers), *(s.name for s, _ in finish.values)])
    parts = [f"completes {done}" if done else "", f"computes {made}" if made else ""]
    parts += [f"writes {', '.join(s.stream.name for s in finish.stores)}" if finish.stores else ""]
    return f"Per {finish.level.kind}: {'; '.join(part for part in parts if part)}"


def _sweep_title(sweep: Sweep) -> str:
    over = f" over {sweep.cell.kind}" if sweep.cell else ""
    reads = ", ".join(s.name for s in sweep.loads) or "nothing"
    writes = ", ".join(s.stream.name for s in sweep.stores) or "nothing"
    sums = ", ".join(p.slot.name for p in sweep.partials)
    return f"One pass{over}: reads {reads}; writes {writes}" + (f"; sums {sums}" if sums else "")


def _sweep(plan: Plan, sweep: Sweep) -> dict[str, list[Any]]:
    """The loops over tasks, each its lines, and what is done once before and after them."""
    cell = sweep.cell or _segments(sweep)
    body = sweep_body(plan, sweep, C, cell=cell, early=True)
    written = {store.stream for store in sweep.stores}
    moved = dict.fromkeys([*sweep.loads, *(s.stream for s in sweep.stores)])
    lines = [declare_pointer(plan, stream, stream in written) for stream in moved]
    limits = _limits(body)
    lines += [*limits, *_leaves(plan, body)]
    scope = [body.names[n] for n in (*body.operands, *body.values, *body.loads)]
    lines += declared(body.prologue, body.names, C, "REAL", scope)
    if cell is not None and cell.kind == "cols":
        by_columns = columns(plan, sweep, body, cell, lines)
        return {
            "before": by_columns.before, "loops": by_columns.loops(), "after": by_columns.after
        }  # fmt: skip
    loops = _loops(plan, sweep, body, cell)
    lines += _tasks(sweep, loops)
    names = ("tensor", "begin", "end")
    task = ", ".join(f"{name} = tasks[3 * task + {k}]" for k, name in enumerate(names))
    lines = [f"const int64_t {task};", *address_lines(plan, lines), *lines]
    tables = loops.prepared() if isinstance(loops, Blocks) else []
    return {"before": [*limits, *tables] if tables else [], "loops": [lines], "after": []}


def _multiple(sweep: Sweep) -> int:
    """Cells of which a task has only whole groups: bands of rows, blocks of a flat sweep."""
    if sweep.begins:
        return BAND_ROWS
    blocks = None if sweep.cell else _segments(sweep)
    return (blocks and cell_size(blocks)) or 1


def _loops(plan: Plan, sweep: Sweep, body: Body, cell: Level | None) -> Loops:
    if cell is not None and cell_size(cell) is not None:
        return Blocks(plan, sweep, body, cell)
    return Loops(plan, sweep, body, cell)


def _tasks(sweep: Sweep, loops: Loops) -> list[str]:
    """The loops of a task, between the totals they begin with and what they leave of them."""
    return [
        *(f"double {partial_name(p)} = {START[p.kind]};" for p in sweep.partials),
        *loops.lines(),
        *(
            f"partials[PARTIALS * task + {column}] = {partial_name(p)};"
            for column, p in enumerate(sweep.partials)
        ),
    ]


def _segments(sweep: Sweep) -> Level | None:
    """Cells to walk over in a flat sweep, so that what is read per row is read once per row."""
    levels = {s.level for s in sweep.loads if s.level.is_cells}
    if any(level.kind in ("rows", "cols", "tiles") for level in levels):
        return ROWS
    return next(iter(sorted(levels, key=lambda level: level.kind)), None)


def _limits(body: Body) -> list[str]:
    """Constants that something is held above or below, each with a name of its own."""
    found = dict.fromkeys(
        arg
        for node in body.zone
        if node.op in ("max_number", "min_number", "maximum", "minimum")
        for arg in node.args
        if arg.op == "const"
    )
    taken = set(body.names.values())
    for node in found:
        shown = re.sub(r"\W", "_", expression(node, {}, C).replace("-", "minus_").strip("R()"))
        body.names[node] = next(
            name for k in range(99) if (name := f"limit_{shown}{'_' * k}") not in taken
        )
        taken.add(body.names[node])
    return [f"const REAL {body.names[n]} = HIDDEN({expression(n, {}, C)});" for n in found]


def _leaves(plan: Plan, body: Body) -> list[str]:
    """Numbers that live once per tensor: host operands, slots, coarse states."""
    names = body.names
    columns = {expr: column for column, (_, expr) in enumerate(plan.scalars)}
    lines: list[str] = []
    for node in body.operands:
        kind = "uint32_t" if node in body.keys else "REAL"
        column = columns[node.attr]  # type: ignore[index]
        fixed = constant(names[node], names)
        lines.append(f"{fixed}{kind} {names[node]} = ({kind})numbers[{column}];")
    lines += [
        f"{constant(names[n], names)}REAL {names[n]} = (REAL){slot_at(plan, n.attr)};"
        for n in body.values
    ]
    lines += [
        f"{constant(names[n], names)}REAL {names[n]} = {load(stream_of(plan, n), '0')};"
        for n in body.loads
    ]
    return lines
