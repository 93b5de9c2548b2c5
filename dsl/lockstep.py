"""Statements for many tensors at once: each runs for all that reach it before the next one does.

    g = grad / norm(grad, per global)      all gradients are known before any is divided

Tensors that follow different models (a route, with the same modifiers in every branch) meet at the
statements that stand at the same place of the text, so `norm(grad, per global)` in a modifier is
the norm over all branches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .cells import ELEMENT, GLOBAL, Value, carry
from .evaluate import reduce
from .model import Apply, Assign, Expr, Guard, Repeat, Reset, Skip, Stmt, When
from .source import Span
from .visit import Visit, Waiting

Place = tuple[type, Span]


def run(suites: Sequence[tuple[Visit, tuple[Stmt, ...]]]) -> None:
    """Run each tensor's statements, in lockstep."""
    left = [(visit, list(body)) for visit, body in suites]
    while any(body for _, body in left):
        place = _next_place([body for _, body in left if body])
        here = [(visit, body.pop(0)) for visit, body in left if body and _place(body[0]) == place]
        _statement([(visit, stmt) for visit, stmt in here if not visit.ended])


def _place(stmt: Stmt) -> Place:
    return type(stmt), stmt.span


def _next_place(bodies: list[list[Stmt]]) -> Place:
    """The first statement that nobody else still has to come to."""
    distinct = {tuple(map(_place, body)) for body in bodies}
    for first, *_ in distinct:
        if all(first == other[0] or first not in other for other in distinct):
            return first
    return _place(bodies[0][0])


def _statement(here: Sequence[tuple[Visit, Stmt]]) -> None:
    """One statement, for all tensors that reached it."""
    if not here:
        return
    match here[0][1]:
        case Assign():
            _assign([(visit, stmt) for visit, stmt in here if isinstance(stmt, Assign)])
        case When():
            _when([(visit, stmt) for visit, stmt in here if isinstance(stmt, When)])
        case Repeat():
            _repeat([(visit, stmt) for visit, stmt in here if isinstance(stmt, Repeat)])
        case Skip():
            for visit, _ in here:
                visit.ended = True
        case Guard():
            _guard([(visit, stmt) for visit, stmt in here if isinstance(stmt, Guard)])
        case Reset():
            _reset([(visit, stmt) for visit, stmt in here if isinstance(stmt, Reset)])


def _assign(here: list[tuple[Visit, Assign]]) -> None:
    values = evaluate([(visit, stmt.value) for visit, stmt in here])
    shared: dict[str, Value] = {}
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
                visit.assign_state(stmt.name, value)
