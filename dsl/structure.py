"""Which hypers decide what runs, and what type that gives them.

    repeat steps: ...             ->  `steps = 5` is an int, and structural
    when weight_decay > 0: ...    ->  `weight_decay = 0` stays a real: it is arithmetic elsewhere

A number written as an integer is an int only if it counts something (`repeat`, `every`, a shape,
`%`), or is compared and nothing else. Also drops lets and roles that no statement reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .assume import unfold
from .context import Context
from .model import (
    Apply,
    Assign,
    Const,
    Expr,
    Guard,
    Hyper,
    Model,
    Read,
    Repeat,
    Section,
    Stmt,
    When,
    walk,
)


def steps(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """All statements, however deep."""
    for stmt in body:
        yield stmt
        match stmt:
            case When(then=then, otherwise=otherwise):
                yield from steps(then)
                yield from steps(otherwise)
            case Repeat(body=inner):
                yield from steps(inner)
            case _:
                pass


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions directly in a statement."""
    match stmt:
        case Assign(value=value):
            return (value,)
        case When(condition=condition) | Guard(condition=condition):
            return (condition,)
        case Repeat(count=count):
            return (count,)
        case _:
            return ()


def finish_hypers(c: Context, model: Model) -> tuple[Hyper, ...]:
    """The hypers with their final types, and which are structural."""
    host = _host_locals(model)
    moduli = [
        part.args[1]
        for stmt in steps(model.body)
        for expr in expressions(stmt)
        for part in walk(expr)
        if isinstance(part, Apply) and part.op == "mod"
    ]
    counted = _hypers_in(c, [*c.counts, *moduli], host)
    compared = _hypers_in(c, c.conditions, host)
    elsewhere = {
        part.name
        for stmt in steps(model.body)
        if isinstance(stmt, Assign)
        for part in _values(stmt.value)
        if isinstance(part, Read) and part.kind == "hyper"
    }
    return tuple(_finished(hyper, counted, compared, elsewhere) for hyper in model.hypers)


def _finished(hyper: Hyper, counted: set[str], compared: set[str], elsewhere: set[str]) -> Hyper:
    name, kind = hyper.name, hyper.type
    if kind == "int" or (kind == "real" and hyper.default is None):
        only_compared = kind == "int" and name in compared and name not in elsewhere
        kind = "int" if name in counted or only_compared else "real"
    structural = kind in ("int", "bool", "choice") and name in counted | compared
    return replace(hyper, type=kind, structural=structural)


def _host_locals(model: Model) -> dict[str, list[Expr]]:
    found: dict[str, list[Expr]] = {}
    for stmt in steps(model.body):
        if isinstance(stmt, Assign) and stmt.kind == "local" and stmt.value.host:
            found.setdefault(stmt.name, []).append(stmt.value)
    return found


def _hypers_in(c: Context, exprs: Iterable[Expr], host: dict[str, list[Expr]]) -> set[str]:
    """The hypers that host expressions depend on, through lets and host locals."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [unfold(c, expr) for expr in exprs]
    while waiting:
        for part in walk(waiting.pop()):
            if isinstance(part, Read) and part.kind == "hyper":
                found.add(part.name)
            elif isinstance(part, Read) and part.kind == "local" and part.name not in seen:
                seen.add(part.name)
                waiting += host.get(part.name, ())
    return found


def _values(expr: Expr) -> Iterator[Expr]:
    """Like `walk`, without the conditions of selects and the operands of comparisons."""
    yield expr
    if isinstance(expr, Apply):
        for arg in expr.args[1:] if expr.op == "select" else expr.args:
            yield from _values(arg)


def keep_used_lets(c: Context, model: Model) -> tuple[Section, ...]:
    """The sections without the lets that only shapes read."""
    used: set[str] = set()
    for stmt in reversed(list(steps(model.body))):
        if isinstance(stmt, Assign) and stmt.name in c.lets and stmt.name not in used:
            continue
        for expr in expressions(stmt):
            used |= {part.name for part in walk(expr) if isinstance(part, Read)}
    for view in model.views:
        values = view.value if isinstance(view.value, tuple) else ()
        exprs = [expr for stmt in steps(values) for expr in expressions(stmt)]
        exprs += [] if isinstance(view.value, tuple) else [view.value]
        used |= {part.name for expr in exprs for part in walk(expr) if isinstance(part, Read)}
    kept: list[Section] = []
    for section in model.sections:
        if section.title != "hyper":
            kept.append(section)
            continue
        body = tuple(
            stmt
            for stmt in section.body
            if not (isinstance(stmt, Assign) and stmt.name in c.lets and stmt.name not in used)
        )
        kept += [replace(section, body=body)] if body else []
    return tuple(kept)


def everywhere(model: Model) -> Iterator[Expr]:
    """Every expression of a model but those of its branches."""
    for stmt in steps(model.body):
        yield from expressions(stmt)
    for hyper in model.hypers:
        if isinstance(hyper.default, tuple):
            yield from hyper.default
        elif hyper.default is not None:
            yield hyper.default
    for state in model.states:
        yield state.initial
        for condition, level in state.shapes:
            yield from level.args if condition is None else (condition, *level.args)
        yield from () if state.condition is None else (state.condition,)
    for storage in model.storage:
        yield from () if storage.condition is None else (storage.condition,)
    for partition in model.partitions:
        for condition, level in partition.rules:
            yield from level.args if condition is None else (condition, *level.args)
    for requirement in model.requires:
        yield requirement.condition
    for branch in model.route:
        yield from () if branch.condition is None else (branch.condition,)


def reads_role(model: Model) -> bool:
    """Whether the fact `role` is read, here or in a branch that has no roles of its own."""
    own = any(
        isinstance(part, Read) and (part.kind, part.name) == ("fact", "role")
        for expr in everywhere(model)
        for part in walk(expr)
    )
    return own or any(reads_role(branch.model) for branch in model.route if not branch.model.roles)


__all__ = ["Const", "everywhere", "expressions", "finish_hypers", "keep_used_lets", "steps"]
