"""Values that differ between workers: they may not reach the parameter, or a common state.

    gradients local: grad is this worker's own;  all_reduce, all_gather make a value common

A state assigned a local value must be declared `local`, unless a common value replaces it before
the step ends.
"""

from __future__ import annotations

from collections.abc import Iterable

from .context import Context
from .model import Apply, Assign, Expr, Model, Read, Repeat, Stmt, When

_COMMON = ("all_reduce", "all_gather")


def check_locality(c: Context, model: Model) -> None:
    """Follow local values through the step."""
    names = {state.name for state in model.states if state.local}
    if c.local_gradients:
        names.add("grad")
    if not names:
        return
    wrong: dict[str, Assign] = {}
    _follow(model.body, names, wrong)
    declared = {state.name for state in model.states if state.local}
    states = {state.name for state in model.states} - declared
    for name in sorted(names & (states | {"param"})):
        stmt = wrong[name]
        what = "`param`" if name == "param" else f"the common state `{name}`"
        c.error(
            "E413",
            f"a value of this worker alone reaches {what}: workers would drift apart",
            stmt.span,
            "make it common first, with `all_reduce(x, mean)`"
            + ("" if name == "param" else ", or declare the state `local`"),
        )


def _follow(body: Iterable[Stmt], names: set[str], wrong: dict[str, Assign]) -> None:
    for stmt in body:
        match stmt:
            case Assign(name=name, value=value):
                if _is_local(value, names):
                    names.add(name)
                    wrong[name] = stmt
                elif name in wrong:
                    names.discard(name)
            case When(then=then, otherwise=otherwise):
                left, right = set(names), set(names)
                _follow(then, left, wrong)
                _follow(otherwise, right, wrong)
                names |= left | right
                names -= {name for name in names if name not in left and name not in right}
            case Repeat(body=inner):
                _follow(inner, names, wrong)
                _follow(inner, names, wrong)
            case _:
                pass


def _is_local(expr: Expr, names: set[str]) -> bool:
    match expr:
        case Read(name=name):
            return name in names
        case Apply(op=op) if op in _COMMON:
            return False
        case Apply(args=args):
            return any(_is_local(arg, names) for arg in args)
        case _:
            return False
