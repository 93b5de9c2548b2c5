"""Program to plan: the fewest passes over memory, and in each the fewest bytes.

    sweep   load param grad m v   store m v    reduce sum(param^2), sum(u^2) per tensor
    finish  ratio per tensor
    sweep   load param m v        store param

A plan is a sequence of sweeps, each walking over elements or over the cells of one level (rows,
heads, chunks). A reduction per tensor or coarser ends a sweep; one per cell is finished inside a
sweep over such cells. Sequences are tried from the shortest on; among those of the shortest length
that can compute everything, and for every choice of writing a state early (a later sweep can then
read it back) or late (recomputed from what it was) and of beginning a sum early or late, the plan
that moves the fewest bytes is taken.

A value needed again in a later sweep is recomputed from what is in memory, or read back if it was
stored exactly. `sweeps.py` builds one sequence; this file searches.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import TypeVar

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import Level
from .cut import CannotSchedule
from .ir import REDUCTIONS, Program, Tree, leaves, ordered
from .plan import Plan, Sweep, bytes_per_element
from .region import matrix_region
from .sequence import Sequence, is_busy
from .stages import stages
from .sweeps import build

_T = TypeVar("_T")

_MOST_STORES = 6  # states whose time of writing is tried both ways
_MOST_SUMS = 3  # sums likewise


def schedule(program: Program) -> Plan:
    """The cheapest plan of one path."""
    choices = [None, *_cell_levels(program)]
    least = 1 + _barriers(program)
    begun: list[tuple[Level | None, ...]] = [()]
    while begun := [
        longer for cells in begun for c in choices if is_busy(program, longer := (*cells, c))
    ]:
        if len(begun[0]) >= least:
            plans = [plan for cells in begun for plan in _plans(program, cells)]
            if plans:
                return min(plans, key=_cost)
    raise SpecError(
        Diagnostic(
            "E516",
            f"no order of passes was found for `{program.name}`",
            program.stores[0].value.span if program.stores else None,
            "a sum over all tensors cannot stand between matrix operations; keep a value in a "
            "local before its state is assigned again",
        )
    )


def schedule_all(tree: Tree) -> tuple[Plan, ...]:
    """A plan for every leaf, in the leaves' order, with the same columns of totals."""
    plans = [schedule(program) for program in leaves(tree)]
    totals = tuple(dict.fromkeys(slot for plan in plans for slot in plan.totals))
    return tuple(replace(plan, totals=totals) if plan.totals else plan for plan in plans)


def _barriers(program: Program) -> int:
    """How many passes must end before the last one can begin, at least."""
    if matrix_region(program.roots):
        return 0
    stage = stages(program.roots)
    swept = [stage[s.value] for s in program.stores if not s.stream.level.is_coarse]
    ended = [stage[n] - 1 for n in stage if n.op in REDUCTIONS and stage[n] > 0]
    return max([*swept, *ended], default=0)


def _cell_levels(program: Program) -> list[Level]:
    """The cell levels that reductions or stores of this program need a sweep over."""
    found: dict[Level, None] = {}
    for node in ordered(program.roots):
        if node.op in REDUCTIONS and node.level.is_cells:
            found[node.level] = None
        elif node.op in REDUCTIONS and node.args[0].level.is_cells:
            found[node.args[0].level] = None
    for store in program.stores:
        if store.stream.walk.is_cells:
            found[store.stream.walk] = None
    return list(found)


def _plans(program: Program, cells: tuple[Level | None, ...]) -> list[Plan]:
    at_once = Sequence.of(program, cells)
    if at_once is None:
        return []
    plans: list[Plan] = []
    movable = list(at_once.movable_sums().items())[:_MOST_SUMS]
    for late in reversed(_subsets(movable)):
        sequence = Sequence.of(program, cells, dict(late))
        if sequence is None:
            continue
        for early in _subsets(sequence.movable_stores()[:_MOST_STORES]):
            with suppress(CannotSchedule):
                plans.append(build(sequence, frozenset(early)))
    return plans


def _subsets(items: list[_T]) -> list[list[_T]]:
    """All of them, from all to none."""
    choices = product((True, False), repeat=len(items))
    return [[item for item, yes in zip(items, chosen, strict=True) if yes] for chosen in choices]


def traffic(sweep: Sweep, param: str = "float32") -> float:
    """Bytes per parameter that a sweep moves."""
    moved = [*sweep.loads, *(store.stream for store in sweep.stores)]
    return sum(bytes_per_element(stream, param) for stream in moved)


def _cost(plan: Plan) -> tuple[float, int, int, int]:
    """Bytes first, then launches, then streams touched, then sums per column not begun by rows."""
    touched = sum(len(s.loads) + len(s.stores) for s in plan.sweeps)
    begun = sum(len(s.begins) for s in plan.sweeps)
    return sum(map(traffic, plan.sweeps)), len(plan.steps), touched, -begun
