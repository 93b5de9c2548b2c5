"""Arithmetic without multipliers: products, quotients and roots as piecewise affine functions.

    grad^2 / sqrt(v)   ->   affine_quotient(affine_product(grad, grad), affine_root(v))

Of a positive number 2^e (1 + f) let L = e + f, which is what its bits say when read as an integer.
The affine product of two numbers has the sum of their L, the quotient the difference, the root the
half; signs are as always. Where the exact result is not in [2^-120, 2^120) in size, it is taken:
zeros and what is not finite stay what they are. So does the paper's code decide, which has 0 and
NaN in their places.

In a chain of such operations a target may look at the last exact result only. Of float32's
subnormal numbers the bits say less than the logarithm; it counts as one between -127 and -126.

Only what has several values per tensor changes: host arithmetic, numbers per tensor, the division
in a mean and matrix products stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .levels import ELEMENT, join
from .model import Apply, Assign, Const, Expr, Guard, Repeat, Section, Stmt, When, constant

ARITHMETICS = ("exact", "piecewise_affine")


def affine_arithmetic(sections: Sequence[Section]) -> tuple[Section, ...]:
    """The sections of a step in this arithmetic."""
    return tuple(replace(section, body=_body(section.body)) for section in sections)


def _body(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    return tuple(map(_statement, body))


def _statement(stmt: Stmt) -> Stmt:
    match stmt:
        case Assign(value=value):
            return replace(stmt, value=_expr(value))
        case Guard(condition=condition):
            return replace(stmt, condition=_expr(condition))
        case When(then=then, otherwise=otherwise):
            return replace(stmt, then=_body(then), otherwise=_body(otherwise))
        case Repeat(body=body):
            return replace(stmt, body=_body(body))
        case _:
            return stmt


def _expr(expr: Expr) -> Expr:
    if expr.host or not isinstance(expr, Apply):
        return expr
    made = replace(expr, args=tuple(map(_expr, expr.args)))
    if made.op in ("norm", "dot", "rms"):
        return _reduction(made)
    return made if made.level.is_coarse else _operation(made)


def _operation(made: Apply) -> Expr:
    match made.op, made.args:
        case "mul", _:
            return replace(made, op="affine_product")
        case "div", _:
            return replace(made, op="affine_quotient")
        case "sqrt", _:
            return replace(made, op="affine_root")
        case "rsqrt", (x,):
            root = replace(made, op="affine_root", args=(x,))
            return replace(made, op="affine_quotient", args=(constant(1, made.span), root))
        case ("square", (x,)) | ("pow", (x, Const(value=2))):
            return _product(made, x, x)
        case "lerp", (a, b, weight):
            one = constant(1, made.span)
            rest = Apply("sub", (one, weight), level=weight.level, host=weight.host, span=made.span)
            parts = _product(made, rest, a), _product(made, weight, b)
            return replace(made, op="add", args=parts)
        case _:
            return made


def _reduction(made: Apply) -> Expr:
    """norm, dot and rms from products; what they add up stays a sum."""
    x, *others = made.args
    if x.level.is_coarse:
        return made
    product = _product(made, x, others[0] if others else x)
    total = replace(made, op="mean" if made.op == "rms" else "sum", args=(product,))
    root = replace(made, op="sqrt", args=(total,), options=(), per=None)
    return total if made.op == "dot" else _operation(root) if not root.level.is_coarse else root


def _product(like: Apply, a: Expr, b: Expr) -> Apply:
    level = join(a.level, b.level) or ELEMENT
    return Apply("affine_product", (a, b), level=level, host=False, span=like.span)
