"""The levels of matrix products, factorisations and index lists.

    grad @ grad.T     -> matrix(rows, rows)
    e, Q = eigh(that) -> vector(rows), matrix(rows, rows)

Under `@` the parameter, its gradient and what is `like` them are matrix(rows, cols). A product
on what may be a vector is an error, unless `requires`, `route` or `when` excludes that.
"""

from __future__ import annotations

from collections.abc import Sequence

from .assume import excludes_vectors, settle_size
from .context import UNKNOWN, Context, is_poison
from .describe import each, expression
from .infer import agree, as_matrix
from .levels import ELEMENT, TENSOR, Level
from .model import Apply, Expr
from .source import Span


def matmul(c: Context, left: Expr, right: Expr, span: Span) -> Expr:
    """`left @ right`"""
    check_vectors(c, (left, right), span)
    level = _product(c, left, right, span)
    return Apply("matmul", (left, right), level=level, host=False, span=span)


def _product(c: Context, left: Expr, right: Expr, span: Span) -> Level:
    if is_poison(left) or is_poison(right):
        return UNKNOWN
    if left.level.kind == "identity":
        return right.level
    if right.level.kind == "identity":
        return left.level
    a, b = _sizes(left.level, span, row=True), _sizes(right.level, span, row=False)
    if a is None or b is None:
        wrong = left if a is None else right
        c.error(
            "E307",
            f"`@` multiplies matrices, and `{expression(wrong)}` has one value {each(wrong.level)}",
            span,
            "for scalars and elements write `*`",
        )
        return UNKNOWN
    if agree(c, a[1], b[0]) is False:
        c.error(
            "E307",
            f"`@` of {expression(a[0])} x {expression(a[1])} "
            f"and {expression(b[0])} x {expression(b[1])}: the inner sizes differ",
            span,
            "transpose one with `.T`",
        )
        return UNKNOWN
    if left.level.kind == "vector":
        return Level("vector", (settle_size(c, b[1]),))
    if right.level.kind == "vector":
        return Level("vector", (settle_size(c, a[0]),))
    if left.level.kind == right.level.kind and left.level.kind in ("diagonal", "triangular"):
        return left.level
    return Level("matrix", (settle_size(c, a[0]), settle_size(c, b[1])))


def _sizes(level: Level, span: Span, row: bool) -> tuple[Expr, Expr] | None:
    if level.kind == "vector":
        return level.args[0], level.args[0]
    return as_matrix(level, span)


def transpose(c: Context, value: Expr, span: Span) -> Expr:
    """`value.T`"""
    level = value.level
    if not is_poison(value):
        check_vectors(c, (value,), span)
        sizes = as_matrix(level, span)
        if sizes is None:
            return c.error(
                "E307",
                f"`.T` transposes a matrix, and `{expression(value)}` has one value {each(level)}",
                span,
            )
        if level.kind in ("element", "matrix"):
            level = Level("matrix", (sizes[1], sizes[0]))
    return Apply("transpose", (value,), level=level, host=False, span=span)


def check_vectors(c: Context, values: Sequence[Expr], span: Span) -> None:
    """The parameter as a matrix, where nothing says that it is one."""
    if any(value.level == ELEMENT for value in values) and not excludes_vectors(c):
        if c.vectors_said:
            return
        c.vectors_said = True
        c.error(
            "E308",
            "a matrix operation on the parameter, which may be a vector",
            c.call_span or span,
            "add `requires ndim >= 2`, or put this under `when ndim >= 2:`",
        )


def results(c: Context, name: str, args: Sequence[Expr], span: Span) -> tuple[Level, ...]:
    """The levels of what a matrix function gives, one for each of its results."""
    value = args[0]
    if is_poison(value):
        return (UNKNOWN,) * 3
    if name in ("dct", "idct"):
        return (value.level,)
    if name == "diagonal" and value.level.kind == "vector":
        return (Level("matrix", (value.level.args[0], value.level.args[0])),)
    sizes = as_matrix(value.level, span)
    if sizes is None:
        c.error(
            "E307",
            f"`{name}` works on a matrix, and `{expression(value)}` has one value "
            f"{each(value.level)}",
            span,
        )
        return (UNKNOWN,) * 3
    check_vectors(c, (value,), span)
    a, b = sizes
    if name in ("trace", "diagonal", "inverse", "inverse_root", "eigh") and agree(c, a, b) is False:
        c.error(
            "E307",
            f"`{name}` works on a square matrix, and this is {expression(a)} x {expression(b)}",
            span,
        )
    least = Apply("minimum", (a, b), level=TENSOR, host=True, span=span)
    short = a if agree(c, a, b) else least
    match name:
        case "trace":
            return (TENSOR,)
        case "diagonal":
            return (Level("vector", (a,)),)
        case "triu":
            return (value.level,)
        case "eigh":
            return Level("vector", (a,)), Level("matrix", (a, a))
        case "qr":
            return Level("matrix", (a, short)), Level("matrix", (short, b))
        case "svd":
            return (
                Level("matrix", (a, short)),
                Level("vector", (short,)),
                Level("matrix", (b, short)),
            )
        case "solve":
            return (args[1].level,)
        case _:
            return (value.level,)
