"""A codec that rounds small values to zero, under a square root that something is divided by.

    quantize v: dynamic8 ... direction = m / sqrt(v)     a small v reads back as 0: W402

With an `eps` beside the root the step stays finite, and nothing is said.
"""

from __future__ import annotations

from .codecs import CODECS
from .context import Context
from .model import Apply, Assign, Const, Expr, Model, Read
from .structure import steps


def check_zero_codes(c: Context, model: Model) -> None:
    """Warn of every quantized state that an unguarded division takes the root of."""
    coarse = {line.state: line for line in model.storage if CODECS[line.codec].zero}
    if not coarse:
        return
    values = {
        stmt.name: stmt.value
        for stmt in steps(model.body)
        if isinstance(stmt, Assign) and stmt.kind == "local"
    }
    for stmt in steps(model.body):
        if not isinstance(stmt, Assign):
            continue
        for state in sorted(_unguarded(stmt.value, values, 0)):
            line = coarse.get(state) or coarse.get("all")
            exact = any(known.name == state and known.exact for known in model.states)
            if line is None or exact:
                continue
            c.report.warn(
                "W402",
                f"`{line.codec}` stores small values of `{state}` as 0, and this divides by its root",
                stmt.span,
                "add an eps: `... / (sqrt(v) + eps)`, or take a codec without a zero code",
                ("quantized here", line.span),
            )


def _unguarded(expr: Expr, values: dict[str, Expr], depth: int) -> set[str]:
    """The states under a root in a denominator that has nothing added."""
    if not isinstance(expr, Apply) or depth > 64:
        return set()
    found: set[str] = set()
    for arg in expr.args:
        found |= _unguarded(arg, values, depth + 1)
    match expr:
        case Apply(op="div", args=(_, below)):
            found |= _root(below, values, 0)
        case Apply(op="rsqrt", args=(inside,)):
            found |= _states(inside, values, 0)
        case Apply(op="pow", args=(inside, Const(value=float() as power))) if power < 0:
            found |= _states(inside, values, 0)
        case _:
            pass
    return found


def _root(expr: Expr, values: dict[str, Expr], depth: int) -> set[str]:
    if depth > 64:
        return set()
    match expr:
        case Read(kind="local", name=name) if name in values:
            return _root(values[name], values, depth + 1)
        case Apply(op="sqrt", args=(inside,)):
            return _states(inside, values, 0)
        case Apply(op="mul" | "div", args=(left, right)):
            return _root(left, values, depth + 1) | _root(right, values, depth + 1)
        case _:
            return set()


def _states(expr: Expr, values: dict[str, Expr], depth: int) -> set[str]:
    """The states whose zero would make the expression zero."""
    if depth > 64:
        return set()
    match expr:
        case Read(kind="state", name=name):
            return {name}
        case Read(kind="local", name=name) if name in values:
            return _states(values[name], values, depth + 1)
        case Apply(op="mul" | "div" | "pow", args=(left, *_)):
            return _states(left, values, depth + 1)
        case _:
            return set()
