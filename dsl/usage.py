"""What is declared and never used.

A hyper or a state that nothing reads is an error where it is declared for this optimizer, and a
warning where a parent declared it and `replace` or a new section left it over. A state that only
its own update reads costs memory for nothing: a warning; not one that `after:` assigns, for that
is kept to be read from outside (an average of the parameters).
"""

from __future__ import annotations

from .compose import Composed
from .context import Context
from .model import Assign, Model, Read, Reset, walk
from .structure import expressions, steps


def check_usage(c: Context, composed: Composed, model: Model) -> None:
    _hypers(c, composed, model)
    _states(c, composed, model)
    _lets(c)


def _is_own(composed: Composed, origin: str) -> bool:
    """Whether what `origin` declared was meant for just this optimizer."""
    return origin == composed.lineage[-1] or origin in {part.node.name for part in composed.parts}


def _hypers(c: Context, composed: Composed, model: Model) -> None:
    for hyper in model.hypers:
        for name in hyper.items or (hyper.name,):
            if ("hyper", name) in c.used:
                continue
            if _is_own(composed, hyper.origin):
                c.error("E214", f"the hyper `{name}` is never used", hyper.span, "remove it")
            else:
                c.report.warn(
                    "W403",
                    f"`{model.name}` has the hyper `{name}` of `{hyper.origin}` and never uses it",
                    hyper.span,
                    "declare a rule of its own, without it",
                )


def _states(c: Context, composed: Composed, model: Model) -> None:
    reading: dict[str, set[str]] = {state.name: set() for state in model.states}
    assigned: set[str] = set()
    for stmt in steps(model.body):
        target = ""
        if isinstance(stmt, Assign):
            target = stmt.name
            assigned.add(target)
        elif isinstance(stmt, Reset):
            assigned |= set(stmt.states)
        for expr in expressions(stmt):
            for part in walk(expr):
                if isinstance(part, Read) and part.kind == "state":
                    reading.setdefault(part.name, set()).add(target)
    outside = c.read_outside | {
        stmt.name
        for section in model.sections
        if section.title == "after"
        for stmt in steps(section.body)
        if isinstance(stmt, Assign)
    }
    for state in model.states:
        if ("state", state.name) not in c.used and state.name not in assigned | outside:
            if _is_own(composed, state.origin):
                c.error("E215", f"the state `{state.name}` is never used", state.span, "remove it")
            else:
                c.report.warn(
                    "W403",
                    f"`{model.name}` has the state `{state.name}` of `{state.origin}` "
                    "and never uses it",
                    state.span,
                    "declare a rule of its own, without it",
                )
        elif reading[state.name] <= {state.name} and state.name not in outside:
            c.report.warn(
                "W401",
                f"the state `{state.name}` is read by its own update only",
                state.span,
                "remove it, or show it with `view`",
            )


def _lets(c: Context) -> None:
    for name, declared in c.declared_lets.items():
        if ("let", name) not in c.used:
            c.report.warn("W404", f"`{name}` is never used", declared.node.span, "remove it")
