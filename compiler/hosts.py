"""Host expressions: substituting names, folding constants, reading what they depend on.

A host value is computed once per step in float64: it is kept as a `model.Expr` over hypers, facts,
host states and host locals, and printed as Python in the generated class.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..dsl.levels import GLOBAL, TENSOR, Level
from ..dsl.model import Apply, Const, Expr, Read, constant, walk

_UNIFORM_FACTS = frozenset("t first grad_scale lr_scale base_lr worker workers width depth".split())


def _binade(x: float) -> float:
    """The greatest power of two not above x > 0."""
    return math.ldexp(0.5, math.frexp(x)[1])


_FOLD: dict[str, Callable[..., Any]] = {
    "neg": operator.neg,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "mod": operator.mod,
    "pow": operator.pow,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "not": operator.not_,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "abs": abs,
    "binade": _binade,
    "floor": math.floor,
    "ceil": math.ceil,
    "maximum": max,
    "minimum": min,
}


def apply(op: str, *args: Expr) -> Expr:
    """A host operation on host values, folded if all are constants."""
    level = TENSOR if any(arg.level == TENSOR for arg in args) else GLOBAL
    return fold(Apply(op, args, level=level, host=True, span=args[0].span))


def substitute(expr: Expr, lookup: Callable[[Read], Expr | None]) -> Expr:
    """`expr` with every name replaced by what `lookup` gives (None: kept), folded on the way."""
    match expr:
        case Const():
            return expr
        case Read():
            found = lookup(expr)
            return replace(expr, level=_level_of_read(expr)) if found is None else found
        case Apply():
            args = tuple(substitute(arg, lookup) for arg in expr.args)
            options = tuple((name, substitute(value, lookup)) for name, value in expr.options)
            level = TENSOR if any(arg.level == TENSOR for arg in args) else GLOBAL
            return fold(replace(expr, args=args, options=options, level=level))


def _level_of_read(read: Read) -> Level:
    if read.kind == "fact" and read.name not in _UNIFORM_FACTS:
        return TENSOR
    return GLOBAL if read.kind in ("fact", "hyper") else read.level


def fold(expr: Expr) -> Expr:
    """One step of constant folding at the top of `expr`, whose arguments are folded already."""
    if not isinstance(expr, Apply):
        return expr
    args = expr.args
    match expr.op, args:
        case "and", (Const(value=a), b):
            return b if a else args[0]
        case "and", (a, Const(value=b)):
            return a if b else args[1]
        case "or", (Const(value=a), b):
            return args[0] if a else b
        case "or", (a, Const(value=b)):
            return args[1] if b else a
        case "select", (Const(value=c), a, b):
            return a if c else b
        case "select", (_, a, b) if a == b:
            return a
        case "member", (Const(value=x), *words) if all(isinstance(w, Const) for w in words):
            return constant(any(x == w.value for w in words if isinstance(w, Const)), expr.span)
        case _:
            pass
    if expr.op in _FOLD and all(isinstance(arg, Const) for arg in args):
        try:
            value = _FOLD[expr.op](*(arg.value for arg in args if isinstance(arg, Const)))
        except (ArithmeticError, ValueError, TypeError):
            return expr  # 0/0, a word in arithmetic: let it be said at run time
        if not isinstance(value, complex):
            return constant(value, expr.span)
    return _identity(expr)


def _is(expr: Expr, number: float) -> bool:
    if not isinstance(expr, Const) or isinstance(expr.value, bool | str):
        return False
    return expr.value == number


def _identity(expr: Apply) -> Expr:
    """Identities that are exact in float64: x*1, x/1, x+0, x-0, x^1, 1-(1-x)."""
    match expr.op, expr.args:
        case "mul", (a, b):
            return b if _is(a, 1) else a if _is(b, 1) else expr
        case "div" | "pow", (a, b) if _is(b, 1):
            return a
        case "add", (a, b):
            return b if _is(a, 0) else a if _is(b, 0) else expr
        case "sub", (a, b) if _is(b, 0):
            return a
        case "sub", (one, Apply(op="sub", args=(other, x))) if _is(one, 1) and _is(other, 1):
            return x
        case _:
            return expr


def reads(expr: Expr) -> list[Read]:
    """Every name that `expr` reads, in order, once."""
    found: dict[Read, None] = {}
    for part in walk(expr):
        if isinstance(part, Read):
            found[part] = None
    return list(found)


def needed_lets(
    roots: list[Expr], lets: tuple[tuple[str, Expr], ...], done: frozenset[str] = frozenset()
) -> list[tuple[str, Expr]]:
    """Those host locals, in order, that the values of `roots` need and that are not `done`."""
    known: Mapping[str, Expr] = dict(lets)
    wanted: set[str] = set()
    stack = list(roots)
    while stack:
        for read in reads(stack.pop()):
            if read.kind == "local" and read.name in known and read.name not in wanted:
                wanted.add(read.name)
                stack.append(known[read.name])
    return [(name, value) for name, value in lets if name in wanted and name not in done]
