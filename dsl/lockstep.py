"""Statements for many tensors at once: each runs for all that reach it before the next one does.

    g = grad / norm(grad, per global)      all gradients are known before any is divided

Tensors that follow different models (a route whose branches have the same modifiers) meet at the
statements that stand at the same place of the text: so `norm(grad, per global)` in a modifier is
the norm over all branches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from .cells import ELEMENT, GLOBAL, Array, Value, carry
from .evaluate import reduce
from .model import Apply, Assign, Guard, Repeat, Reset, Skip, Stmt, When
from .source import Span
from .visit import Visit, Waiting

S = TypeVar("S", When, Repeat)
Body = tuple[Stmt, ...]
Strand = tuple[Sequence[Visit], Body]
"""Tensors that have the same statements before them."""


def run(strands: Sequence[Strand]) -> None:
    """Run the statements of every strand, in lockstep."""
    left = [(visits, list(body)) for visits, body in strands]
    while ahead := [body for _, body in left if body]:
        place = _next_place(ahead)
        here = [(visits, body.pop(0)) for visits, body in left if body and _place(body[0]) == place]
        _statement([(visit, stmt) for visits, stmt in here for visit in visits if not visit.ended])


def _place(stmt: Stmt) -> tuple[type, Span]:
    return type(stmt), stmt.span


def _next_place(ahead: Sequence[Sequence[Stmt]]) -> tuple[type, Span]:
    """The first place that no strand has further ahead."""
    for body in ahead:
        place = _place(body[0])
        if not any(place in map(_place, other[1:]) for other in ahead if _place(other[0]) != place):
            return place
    return _place(ahead[0][0])


# ---------------------------------------------------------------- statements


def _statement(here: Sequence[tuple[Visit, Stmt]]) -> None:
    """One statement, for all tensors that reached it: it is of one kind."""
    for visit, stmt in here:
        if isinstance(stmt, Skip):
            visit.ended = True
    _assign([(visit, stmt) for visit, stmt in here if isinstance(stmt, Assign)])
    _when([(visit, stmt) for visit, stmt in here if isinstance(stmt, When)])
    _repeat([(visit, stmt) for visit, stmt in here if isinstance(stmt, Repeat)])
    _guard([(visit, stmt) for visit, stmt in here if isinstance(stmt, Guard)])
    _reset([(visit, stmt) for visit, stmt in here if isinstance(stmt, Reset)])


def _assign(here: Sequence[tuple[Visit, Assign]]) -> None:
    values = evaluate((visit, partial(visit.value, stmt.value)) for visit, stmt in here)
    for (visit, stmt), value in zip(here, values, strict=True):
        match stmt.kind:
            case "local":
                visit.locals[stmt.name] = value
            case "hyper":
                visit.hypers[stmt.name] = value.data
            case "grad":
                visit.grad = carry(value, ELEMENT, visit.shape)
            case "param":
                visit.param = carry(value, ELEMENT, visit.shape)
                visit.wrote_param = True
            case _:
                visit.write(stmt.name, value)
    _check_agreement(
        [(v, s.name, x) for (v, s), x in zip(here, values, strict=True) if s.kind == "state"]
    )


def _check_agreement(written: Sequence[tuple[Visit, str, Value]]) -> None:
    """What one group, or all tensors, share must come out the same for each of them."""
    for visit, name, value in written:
        keep = visit.keep(visit.model.state(name))
        if keep is not visit.own and not np.array_equal(
            keep.present[name].data, value.data, equal_nan=True
        ):
            raise ValueError(
                f"the state {name} is shared, and {visit.name} gives it another value than the "
                "tensors before it: the hypers and facts that reach it must agree"
            )


def _when(here: Sequence[tuple[Visit, When]]) -> None:
    truths = evaluate((visit, partial(visit.value, stmt.condition)) for visit, stmt in here)
    yes = [pair for pair, truth in zip(here, truths, strict=True) if truth.data]
    no = [pair for pair, truth in zip(here, truths, strict=True) if not truth.data]
    run(_strands(yes, lambda stmt: stmt.then))
    run(_strands(no, lambda stmt: stmt.otherwise))


def _repeat(here: Sequence[tuple[Visit, Repeat]]) -> None:
    counts = evaluate((visit, partial(visit.value, stmt.count)) for visit, stmt in here)
    for k in range(max((int(count.data) for count in counts), default=0)):
        again = [pair for pair, count in zip(here, counts, strict=True) if k < count.data]
        for visit, stmt in again:
            visit.locals[stmt.counter] = Value(GLOBAL, np.asarray(k))
        run(_strands(again, lambda stmt: stmt.body))


def _strands(here: Sequence[tuple[Visit, S]], body: Callable[[S], Body]) -> list[Strand]:
    """The tensors that stand before one and the same statement go on together."""
    together: dict[int, tuple[list[Visit], Body]] = {}
    for visit, stmt in here:
        together.setdefault(id(stmt), ([], body(stmt)))[0].append(visit)
    return list(together.values())


def _guard(here: Sequence[tuple[Visit, Guard]]) -> None:
    holds = evaluate((visit, partial(visit.value, stmt.condition)) for visit, stmt in here)
    for (visit, stmt), held in zip(here, holds, strict=True):
        if not held.data:
            visit.own.blocked = True
            if not stmt.condition.host:
                level = stmt.condition.level.kind
                visit.group.blocked |= level in ("global", "group")
                visit.common.blocked |= level == "global"


def _reset(here: Sequence[tuple[Visit, Reset]]) -> None:
    for name in dict.fromkeys(name for _, stmt in here for name in stmt.states):
        visits = [visit for visit, stmt in here if name in stmt.states and visit.has(name)]
        values = evaluate(
            (visit, partial(visit.initial, visit.model.state(name))) for visit in visits
        )
        for visit, value in zip(visits, values, strict=True):
            visit.write(name, value)


# ---------------------------------------------------------------- values


def evaluate(wanted: Iterable[tuple[Visit, Callable[[], Value]]]) -> list[Value]:
    """One value for each tensor. Where some wait for a reduction over several tensors, it is
    finished for all that wait, and they try again."""
    wanted = list(wanted)
    values: dict[int, Value] = {}
    while len(values) < len(wanted):
        waiting: list[tuple[Visit, Apply]] = []
        for place, (visit, make) in enumerate(wanted):
            if place not in values:
                try:
                    values[place] = make()
                except Waiting as reached:
                    waiting.append((visit, reached.reduction))
        if waiting:
            _reduce_across(waiting)
    for visit, _ in wanted:
        visit.totals.clear()
    return [values[place] for place in range(len(wanted))]


def _reduce_across(waiting: Sequence[tuple[Visit, Apply]]) -> None:
    """Finish the reduction that ends first in the text: an inner one comes before an outer one."""
    spans = [reduction.span for _, reduction in waiting]
    first = min(spans, key=lambda span: (span.end_line, span.end_column, -span.line, -span.column))
    here = [(visit, reduction) for visit, reduction in waiting if reduction.span == first]
    scopes: dict[int, list[tuple[Visit, Apply]]] = {}
    for visit, reduction in here:
        assert reduction.per is not None
        scope = visit.group if reduction.per.kind == "group" else visit.common
        scopes.setdefault(id(scope), []).append((visit, reduction))
    for members in scopes.values():
        total = np.asarray(_total(members))
        for visit, reduction in members:
            visit.totals[reduction] = Value(visit.cells(reduction.level), total)


def _total(members: Sequence[tuple[Visit, Apply]]) -> float:
    """All cells of all tensors reduced to one; what a group has once counts once."""
    operands: dict[int, list[Array]] = {}
    for visit, reduction in members:
        values = visit.operands(reduction)
        owner = visit.group if values[0].cells.kind == "group" else visit
        operands.setdefault(id(owner), [value.data.reshape(-1) for value in values])
    columns = [np.concatenate(column) for column in zip(*operands.values(), strict=True)]
    visit, reduction = members[0]
    return reduce(reduction.op, columns, **visit.options(reduction))
