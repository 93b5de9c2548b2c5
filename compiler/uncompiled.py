"""Levels that the language knows and the emitters do not: refused before any pass sees them.

    direction = grad / norm(grad, per axis(2))      E525, at the reduction
    state d: diagonal(rows)                         E526, at the state

Operations that are not compiled are refused where the trace meets them (`operations.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..dsl.describe import phrase
from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import Level
from ..dsl.model import Model
from ..dsl.source import Span
from .ir import REDUCTIONS, Program, ordered

_COMPILED = frozenset(
    {"global", "group", "tensor", "rows", "cols", "heads", "chunks", "tiles", "element", "matrix"}
)


def refuse_levels(program: Program, model: Model) -> None:
    """Raise SpecError for every place in a program whose level no emitter knows."""
    found = dict.fromkeys(
        _diagnostic(level, span)
        for level, span in _levels(program, model)
        if level.kind not in _COMPILED
    )
    if found:
        raise SpecError(*found)


def _levels(program: Program, model: Model) -> Iterator[tuple[Level, Span | None]]:
    """Every level of a path with the place in the spec that asks for it: states first."""
    for stream in program.streams:
        if stream.name not in ("param", "grad"):
            yield stream.level, model.state(stream.name).span
    for node in ordered(program.roots):
        if node.op in REDUCTIONS:
            yield node.level, node.span


def _diagnostic(level: Level, span: Span | None) -> Diagnostic:
    code = "E525" if level.kind == "axis" else "E526"
    what = f"a value {phrase(level)}" if level.is_cells else f"the shape {phrase(level)}"
    return Diagnostic(
        code,
        f"{what}: understood, not compiled yet",
        span,
        "the naive interpreter may still run it",
    )
