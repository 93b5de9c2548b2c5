"""`quantile`, `argmin` and `argmax`: what they need beyond other reductions.

    quantile(abs(grad), 0.9, per rows)     the fraction is a host value between 0 and 1

They need all values of a cell at once. Compiled are those per row, per column and per tensor; the
interpreter knows the others too.
"""

from __future__ import annotations

from .context import Context, is_poison
from .describe import each, expression, phrase
from .infer import fact
from .levels import COLS, ELEMENT, ROWS, TENSOR, Level
from .model import Apply, Const, Expr
from .source import Span

ORDER_STATISTICS = ("quantile", "argmin", "argmax")


def check(c: Context, reduction: Expr) -> Expr:
    """The reduction itself, or what stands for a wrong one."""
    if not isinstance(reduction, Apply) or any(map(is_poison, reduction.args)):
        return reduction
    x, *fraction = reduction.args
    for q in fraction:
        if not q.host:
            return c.error(
                "E304",
                f"the fraction of a quantile needs a host value, and `{expression(q)}` is data",
                q.span,
            )
        if isinstance(q, Const) and not (isinstance(q.value, int | float) and 0 <= q.value <= 1):
            return c.error(
                "E319",
                f"the fraction of a quantile is a number from 0 to 1, not {expression(q)}",
                q.span,
                "0.5 is the median, 1 the largest value",
            )
    assert reduction.per is not None
    if reduction.op != "quantile" and x.level.kind == "slots" and x.level.of == reduction.per:
        return reduction  # one of k states
    if reduction.per not in (TENSOR, ROWS, COLS):
        c.not_compiled("E522", f"`{reduction.op}` {phrase(reduction.per)}", reduction.span)
    elif not _is_compiled(x.level, reduction.per, reduction.span):
        what = f"`{reduction.op}` of values {each(x.level)}"
        c.not_compiled("E522", what, reduction.span)
    return reduction


def _is_compiled(level: Level, per: Level, span: Span) -> bool:
    """Whether a value is one per element, row or column, or a matrix that is taken as a whole."""
    if level.kind == "matrix":
        return per == TENSOR or level.args == (fact("rows", span), fact("cols", span))
    return level in (ELEMENT, ROWS, COLS)
