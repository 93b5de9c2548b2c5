"""A codec that rounds small values to zero, under a square root that something is divided by.

    quantize v: dynamic8 ... direction = m / sqrt(v)     a small v reads back as 0: W402

With an `eps` beside the root the step stays finite: then it is a note that `inspect` shows.
"""

from __future__ import annotations

from .codecs import CODECS
from .context import Context
from .model import Apply, Assign, Const, Expr, Model, Read
from .structure import steps


def check_zero_codes(c: Context, model: Model) -> tuple[str, ...]:
    """Warn of every quantized state that an unguarded division takes the root of; the notes."""
    coarse = {line.state: line for line in model.storage if CODECS[line.codec].zero}
    if not coarse:
        return ()
    notes: dict[str, None] = {}
    values = {
        stmt.name: stmt.value
        for stmt in steps(model.body)
        if isinstance(stmt, Assign) and stmt.kind == "local"
    }
    for stmt in steps(model.body):
        if not isinstance(stmt, Assign):
            continue
        for state, guarded in sorted(_divided(stmt.value, values, 0)):
            line = coarse.get(state) or coarse.get("all")
            exact = any(known.name == state and known.exact for known in model.states)
            if line is None or exact:
                continue
            if guarded:
                text = (
                    f"`{line.codec}` stores small values of `{state}` as 0; an eps guards its root"
                )
                notes[text] = None
                continue
            c.report.warn(
                "W402",
                f"`{line.codec}` stores small values of `{state}` as 0, "
                "and this divides by its root",
                stmt.span,
                "add an eps: `... / (sqrt(v) + eps)`, or take a codec without a zero code",
                ("quantized here", line.span),
            )
    return tuple(notes)


Found = set[tuple[str, bool]]
"""(state, whether something is added to it or its root)"""


def _divided(expr: Expr, values: dict[str, Expr], depth: int) -> Found:
    """The states under a root in a denominator."""
    if not isinstance(expr, Apply) or depth > 64:
        return set()
    found: Found = set()
    for arg in expr.args:
        found |= _divided(arg, values, depth + 1)
    match expr:
        case Apply(op="div", args=(_, below)):
            found |= _root(below, values, False, 0)
        case Apply(op="rsqrt", args=(inside,)):
            found |= _inside(inside, values, False)
        case Apply(op="pow", args=(inside, Const(value=float() as power))) if power < 0:
            found |= _inside(inside, values, False)
        case _:
            pass
    return found


def _root(expr: Expr, values: dict[str, Expr], guarded: bool, depth: int) -> Found:
    if depth > 64:
        return set()
    match expr:
        case Read(kind="local", name=name) if name in values:
            return _root(values[name], values, guarded, depth + 1)
        case Apply(op="sqrt", args=(inside,)):
            return _inside(inside, values, guarded)
        case Apply(op="mul" | "div" | "add" | "maximum" as op, args=(left, right)):
            guarded = guarded or op in ("add", "maximum")
            return _root(left, values, guarded, depth + 1) | _root(
                right, values, guarded, depth + 1
            )
        case _:
            return set()


def _inside(expr: Expr, values: dict[str, Expr], guarded: bool) -> Found:
    """Of what stands under the root: the same, with or without something added there."""
    match expr:
        case Apply(op="add" | "maximum", args=(left, right)):
            states = _states(left, values, 0) | _states(right, values, 0)
            return {(state, True) for state in states}
        case _:
            return {(state, guarded) for state in _states(expr, values, 0)}


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
