"""Sums per column that a sweep over rows begins for a later sweep over columns.

    over rows       load grad          r = ... sum(g*g, per rows);  g*g summed by bands of 64 rows
    over columns    load those sums    c = ... sum(g*g, per cols)

For targets that walk memory as it lies (C): such a sweep over columns must go through a matrix once
for its sums and once for what needs them, and one over rows has just been there. It begins what it
can compute from what it reads anyway. Other targets have a whole column at hand, and ignore this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..dsl.levels import COLS, ELEMENT, ROWS, Level
from ..dsl.model import constant
from ..dsl.source import NOWHERE
from .cut import free_name, short_name
from .ir import REDUCTIONS, Node, Stream, ordered
from .plan import Band, PlanStep, Sweep

BAND_ROWS = 64
_BAND = Level("tiles", (constant(BAND_ROWS, NOWHERE), constant(1, NOWHERE)))
_LEAVES = frozenset({"load", "fresh", "value"})


def begin_columns(steps: Sequence[PlanStep], streams: Sequence[Stream]) -> list[PlanStep]:
    """The steps, with bands where there can be some. `streams`: whose names are taken."""
    begins: dict[int, list[Band]] = {}
    resumes: dict[int, list[Band]] = {}
    taken = {stream.name for stream in streams}
    for late, step in enumerate(steps):
        for total in _first_sums(step):
            fits = (k for k in reversed(range(late)) if _reads(steps[k], total.args[0]))
            early = next(fits, None)
            if early is None:
                continue
            name = free_name(f"column_{short_name(total, total.op)}", taken)
            taken.add(name)
            band = Band(Stream(name, _BAND, "real"), total)
            begins.setdefault(early, []).append(band)
            resumes.setdefault(late, []).append(band)
    return [
        replace(step, begins=tuple(begins.get(k, ())), resumes=tuple(resumes.get(k, ())))
        if isinstance(step, Sweep)
        else step
        for k, step in enumerate(steps)
    ]


def _first_sums(step: PlanStep) -> Iterator[Node]:
    """The sums per column that a sweep takes of elements before any other."""
    if isinstance(step, Sweep) and step.cell == COLS:
        for node in ordered(step.roots()):
            if (
                node.op in REDUCTIONS
                and node.args[0].level == ELEMENT
                and not any(n.op in REDUCTIONS for n in ordered(node.args))
            ):
                yield node


def _reads(step: PlanStep, term: Node) -> bool:
    """Whether a sweep over rows has all that a value is made of."""
    if not isinstance(step, Sweep) or step.cell != ROWS:
        return False
    leaves = {node for node in ordered([term]) if node.op in _LEAVES}
    return leaves <= set(ordered(step.roots()))
