"""The three stretches of a step, and in which of them a state begins.

    hyper     hyper rules and lets
    grad      the `grad:` sections
    update    everything after them

A state begins before the stretch that first needs it: so `state m: like param = grad` begins with
the gradient that `update:` sees, unless a `grad:` section reads `m` already.
"""

from __future__ import annotations

from collections.abc import Iterator

from .diagnostics import Diagnostic, SpecError
from .factorise import ONE, SEVERAL
from .model import (
    Assign,
    Expr,
    Guard,
    Model,
    Read,
    Repeat,
    Reset,
    State,
    Stmt,
    Unsupported,
    When,
    walk,
)

STAGES = ("hyper", "grad", "update")
_RUN_ANYWAY = ("E507", "E522", "E524")  # views (no part of a step), places, `stored`
_FACTORISATIONS = (*SEVERAL, *ONE)


def statements(model: Model, stage: str) -> tuple[Stmt, ...]:
    """The statements of one stretch, in order."""
    return tuple(
        stmt
        for section in model.sections
        if stage == (section.title if section.title in STAGES else "update")
        for stmt in section.body
    )


def stage_of(model: Model, state: State) -> str:
    """The stretch before which a state gets its initial value."""
    for stage in ("hyper", "grad"):
        if state.name in _states_named(statements(model, stage)):
            return stage
    return "update"


def _states_named(body: tuple[Stmt, ...]) -> set[str]:
    """The states that statements read, assign or reset."""
    named: set[str] = set()
    for stmt in body:
        for expr in _expressions(stmt):
            named |= {
                part.name for part in walk(expr) if isinstance(part, Read) and part.kind == "state"
            }
        match stmt:
            case Assign(kind="state", name=name):
                named.add(name)
            case When(then=then, otherwise=otherwise):
                named |= _states_named(then) | _states_named(otherwise)
            case Repeat(body=inner):
                named |= _states_named(inner)
            case Reset(states=states):
                named |= set(states)
            case _:
                pass
    return named


def _expressions(stmt: Stmt) -> Iterator[Expr]:
    match stmt:
        case Assign(value=expr) | When(condition=expr) | Guard(condition=expr) | Repeat(count=expr):
            yield expr
        case _:
            pass


def refuse(model: Model) -> None:
    """Raise SpecError if the model, or one it routes to, holds what the interpreter cannot run."""
    found = [
        one
        for one in _unsupported(model)
        if one.code not in _RUN_ANYWAY and one.what not in _FACTORISATIONS
    ]
    if found:
        raise SpecError(
            *(
                Diagnostic(
                    one.code, f"{one.what}: understood, the interpreter cannot run it", one.span
                )
                for one in dict.fromkeys(found)
            )
        )


def _unsupported(model: Model) -> Iterator[Unsupported]:
    yield from model.unsupported
    for branch in model.route:
        yield from _unsupported(branch.model)
