"""What a plan's kernels share: the columns of the pointer, scalar, shape and value tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..dsl.levels import TENSOR, Level
from ..dsl.model import Const, Expr
from .ir import Node, Program, Stream, ordered
from .plan import Finish, MatrixStep, PlanStep, Slot, Sweep
from .scalars import scalar_names


def step_roots(step: PlanStep) -> list[Node]:
    """The values a step computes."""
    match step:
        case Sweep():
            return step.roots()
        case Finish():
            return [n for _, n in step.values] + [s.value for s in step.stores]
        case MatrixStep():
            return [s.value for s in step.stores]


def temporaries(program: Program, steps: Sequence[PlanStep]) -> tuple[Stream, ...]:
    """The program's streams that some step touches or that exist as states, then temporaries."""
    found = dict.fromkeys(program.streams)
    for step in steps:
        begun = step.begins if isinstance(step, Sweep) else ()
        for stream in (*step.loads, *(s.stream for s in (*step.stores, *begun))):
            found[stream] = None
    return tuple(found)


def operands(steps: Sequence[PlanStep]) -> tuple[tuple[str, Expr], ...]:
    """Every host operand, once, in order of first use, with its name."""
    found: dict[Expr, None] = {}
    for node in _nodes(steps):
        if node.op == "operand":
            assert isinstance(node.attr, Expr)
            found[node.attr] = None
    return scalar_names(tuple(found))


def used_sizes(program: Program, steps: Sequence[PlanStep]) -> tuple[Expr, ...]:
    """Host integers that levels need (heads(n), matrix(rows, rows)), constants left out."""
    levels: dict[Level, None] = {s.level: None for s in program.streams}
    for step in steps:
        if isinstance(step, Sweep) and step.cell is not None:
            levels[step.cell] = None
    for node in _nodes(steps):
        levels[node.level] = None
    found: dict[Expr, None] = {}
    for level in levels:
        for arg in level.args:
            if not isinstance(arg, Const):
                found[arg] = None
    return tuple(found)


def values(steps: Sequence[PlanStep]) -> tuple[Slot, ...]:
    """The slots per tensor, in the order they are filled."""
    return tuple(slot for slot in _slots(steps) if slot.level == TENSOR)


def totals(steps: Sequence[PlanStep]) -> tuple[Slot, ...]:
    """The slots per group and for all tensors, in the order they are filled."""
    return tuple(slot for slot in _slots(steps) if slot.level != TENSOR)


def _slots(steps: Sequence[PlanStep]) -> dict[Slot, None]:
    found: dict[Slot, None] = {}
    for step in steps:
        if isinstance(step, Finish):
            for slot in (
                *(slot for slot, _ in step.completes),
                *(slot for slot, _, _ in step.gathers),
                *(slot for slot, _ in step.values),
            ):
                found[slot] = None
    return found


def _nodes(steps: Sequence[PlanStep]) -> Iterator[Node]:
    for step in steps:
        yield from ordered(step_roots(step))
