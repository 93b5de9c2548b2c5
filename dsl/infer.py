"""How many of a value there are: the levels of operations, and the complaints about them.

    element + rows          -> element
    mean(element, per rows) -> rows
    matrix(rows, r) * rows  -> matrix(rows, r)

The order of levels is in levels.py; matrix products and factorisations are in matrices.py. Sizes
are compared after the choices in them are settled by what is known at that point (assume.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from .assume import settle, settle_size
from .context import UNKNOWN, Context, is_poison
from .describe import each, phrase
from .levels import COLS, ELEMENT, GLOBAL, ROWS, TENSOR, Level, join, refines
from .model import Apply, Const, Expr, Read
from .source import Span


def fact(name: str, span: Span) -> Read:
    return Read("fact", name, level=TENSOR, host=True, span=span)


def agree(c: Context, left: Expr, right: Expr) -> bool | None:
    """Whether two sizes are equal: True, False, or None where that shows at run time only."""
    left, right = settle_size(c, left), settle_size(c, right)
    if left == right:
        return True
    if isinstance(left, Const) and isinstance(right, Const):
        return left.value == right.value
    plain = all(isinstance(size, Read) and size.kind == "fact" for size in (left, right))
    return False if plain else None


def as_matrix(level: Level, span: Span) -> tuple[Expr, Expr] | None:
    """The two sizes a value has under `@`; None when it is no matrix."""
    match level:
        case Level(kind="element"):
            return fact("rows", span), fact("cols", span)
        case Level(kind="matrix", args=(a, b)):
            return a, b
        case Level(kind="triangular" | "diagonal" | "identity", args=(n,)):
            return n, n
        case _:
            return None


def _is_whole(c: Context, level: Level, span: Span, surely: bool = False) -> bool:
    """Whether a level is, or (unless `surely`) may be, one value per element of the parameter."""
    sizes = as_matrix(level, span)
    if sizes is None:
        return False
    agreed = agree(c, sizes[0], fact("rows", span)), agree(c, sizes[1], fact("cols", span))
    return all(agreed) if surely else False not in agreed


def _has_axis(c: Context, level: Level, cells: Level, span: Span) -> bool:
    """Whether exactly one axis of a shape is the axis that `cells` (rows, cols) runs over."""
    if cells not in (ROWS, COLS):
        return False
    wanted = fact(cells.kind, span)
    sizes = as_matrix(level, span) or level.args
    return sum(agree(c, size, wanted) is True for size in sizes) == 1


def join_two(c: Context, left: Level, right: Level, span: Span) -> Level | None:
    """The level of a value computed from one of each; None where there is none."""
    left, right = settle(c, left), settle(c, right)
    if UNKNOWN in (left, right):
        return UNKNOWN
    if left == right or right.is_coarse or (left.kind == "slots" and left.of == right):
        return left if not left.is_coarse else join(left, right)
    if left.is_coarse or (right.kind == "slots" and right.of == left):
        return right
    if not left.is_shaped and not right.is_shaped:
        return join(left, right)
    if not left.is_shaped:
        left, right = right, left
    return _join_shaped(c, left, right, span)


def _join_shaped(c: Context, left: Level, right: Level, span: Span) -> Level | None:
    """`left` has a shape of its own."""
    if not right.is_shaped:
        if _has_axis(c, left, right, span) and not _is_whole(c, left, span, surely=True):
            return left
        return ELEMENT if _is_whole(c, left, span) else None
    if left.kind == right.kind and len(left.args) == len(right.args):
        agreed = [agree(c, a, b) for a, b in zip(left.args, right.args, strict=True)]
        return None if False in agreed else left
    if left.kind == "vector":
        left, right = right, left
    sizes = as_matrix(left, span)
    if sizes is None:
        return None
    if right.kind == "vector":
        axes = [agree(c, size, right.args[0]) is not False for size in sizes]
        return left if any(axes) else None
    others = as_matrix(right, span)
    if others is None or False in (agree(c, a, b) for a, b in zip(sizes, others, strict=True)):
        return None
    return Level("matrix", sizes)


def joined(c: Context, args: Sequence[Expr], span: Span) -> Level:
    """The level of arithmetic on `args`; reports where shapes do not go together."""
    level = GLOBAL
    for arg in args:
        both = join_two(c, level, arg.level, span)
        if both is None:
            c.error(
                "E301",
                f"a value {each(level)} and one {each(arg.level)} do not go together",
                span,
                "shapes must be equal, or one value must belong to an axis of the other",
            )
            return UNKNOWN
        level = both
    return level


def apply(c: Context, op: str, args: Sequence[Expr], span: Span) -> Expr:
    """An elementwise operation."""
    level = joined(c, args, span)
    host = all(arg.host for arg in args)
    return Apply(op, tuple(args), level=level, host=host, span=span)


def is_finer(c: Context, level: Level, per: Level, span: Span) -> bool:
    """Whether a value at `level` has several cells in one of `per`."""
    if level.kind == "slots" and level.of is not None:
        return level.of == per or refines(level.of, per)
    if level.is_shaped and not per.is_coarse:
        return per in (ROWS, COLS) or _is_whole(c, level, span)
    return level != per and refines(level, per)


def reduce(
    c: Context,
    op: str,
    args: Sequence[Expr],
    per: Level,
    span: Span,
    options: tuple[tuple[str, Expr], ...] = (),
) -> Expr:
    """A reduction of cells finer than `per` to one value for each."""
    level = joined(c, args, span)
    host = all(arg.host for arg in args)
    if UNKNOWN in (level, per) or any(map(is_poison, args)):
        return Apply(op, tuple(args), options, per, level=per, host=False, span=span)
    if not is_finer(c, level, per, span):
        c.error(
            "E302",
            f"`{op}(..., {phrase(per)})` of what has one value {each(level)}: nothing to reduce",
            span,
            "a reduction needs a finer value than its `per`"
            + ("; leave it out" if level == per else ""),
        )
    result = per
    if level.is_shaped and per in (ROWS, COLS):
        result = _side(c, level, per, span)
    return Apply(op, tuple(args), options, per, level=result, host=host, span=span)


def _side(c: Context, level: Level, per: Level, span: Span) -> Level:
    """One value for each row (column) of a matrix: at rows (cols) if it is the parameter's."""
    sizes = as_matrix(level, span)
    if sizes is None:
        return per
    size = settle_size(c, sizes[0] if per == ROWS else sizes[1])
    for same in (ROWS, COLS):
        if size == fact(same.kind, span):
            return same
    return Level("vector", (size,))


def fits(c: Context, value: Level, into: Level, span: Span) -> bool:
    """Whether a value of one level may be kept at another: its own or a finer one."""
    value, into = settle(c, value), settle(c, into)
    if UNKNOWN in (value, into) or value == into or refines(into, value):
        return True
    if into.kind in ("none", "identity"):
        return False
    if value.is_shaped or into.is_shaped:
        both = join_two(c, into, value, span)
        if both is None:
            return False
        if both == into or both.kind == into.kind:
            return True
        sides = as_matrix(both, span), as_matrix(into, span)
        return into.kind != "vector" and None not in sides
    return False
