"""Indexing: `betas[k]` of a list hyper, `buffer[slot]` of slots, `x[:, order]` of matrices.

Compiled are list hypers and slots; the others are understood and noted.
"""

from __future__ import annotations

from collections.abc import Callable

from . import syntax as s
from .context import Context, is_poison, poison
from .infer import as_matrix
from .levels import COLS, GLOBAL, ROWS, TENSOR, Level
from .model import Apply, Expr, Read
from .source import Span

Elaborate = Callable[[Context, s.Expr], Expr]


def index(c: Context, node: s.Index, expression: Elaborate) -> Expr:
    """`value[items]`"""
    value = expression(c, node.value)
    items = tuple(_item(c, item, expression) for item in node.items)
    if is_poison(value) or any(map(is_poison, items)):
        return poison(node.span)
    if isinstance(value, Read) and value.kind == "hyper":
        return _from_list(c, value, items, node.span)
    if value.level.kind != "slots" or len(items) != 1 or isinstance(node.items[0], s.Slice):
        c.not_compiled("E522", "index", node.span)
    level = _level(value.level, node, items)
    host = value.host and all(item.host for item in items)
    return Apply("index", (value, *items), level=level, host=host, span=node.span)


def _from_list(c: Context, value: Read, items: tuple[Expr, ...], span: Span) -> Expr:
    hyper = c.hypers.get(value.name)
    if hyper is None or hyper.type != "list" or len(items) != 1:
        return c.error("E317", f"`{value.name}` is not a list: it has no items", span)
    if not items[0].host:
        return c.error("E304", "the index into a list hyper needs a host value", items[0].span)
    return Apply("index", (value, items[0]), level=items[0].level, host=True, span=span)


def _item(c: Context, item: s.Expr | s.Slice, expression: Elaborate) -> Expr:
    if not isinstance(item, s.Slice):
        return expression(c, item)
    bounds = tuple(expression(c, bound) for bound in (item.start, item.stop) if bound is not None)
    op = "all" if not bounds else "slice"
    return Apply(op, bounds, level=GLOBAL, host=True, span=item.span)


def _level(level: Level, node: s.Index, items: tuple[Expr, ...]) -> Level:
    if level.kind == "slots" and level.of is not None:
        return level.of
    if level.kind == "vector":
        return items[0].level if items[0].level.kind == "vector" else TENSOR
    sizes = as_matrix(level, node.span)
    if sizes is None or len(items) != 2:
        return level
    down, across = (_kept(size, item) for size, item in zip(sizes, items, strict=True))
    if down is None and across is None:
        return TENSOR
    if down is not None and across is not None:
        return Level("matrix", (down, across))
    size = down or across
    whole = level.kind == "element" and size in sizes
    if size is None or not whole:
        return Level("vector", () if size is None else (size,))
    return COLS if down is None else ROWS


def _kept(size: Expr, item: Expr) -> Expr | None:
    """The size of an axis after indexing; None when one position is taken."""
    if isinstance(item, Apply) and item.op == "all":
        return size
    if isinstance(item, Apply) and item.op == "slice":
        if len(item.args) == 1:
            return item.args[0]
        return Apply("sub", (item.args[1], item.args[0]), level=TENSOR, host=True, span=item.span)
    return item.level.args[0] if item.level.kind == "vector" else None
