"""What follows `per`: a plain level, one with sizes, a partition or a grouping.

per heads(num_heads)   ->  Level heads with the hyper as its size
per hessian_blocks     ->  Level partition, whose rules states.py works out
"""

from __future__ import annotations

from collections.abc import Callable

from . import syntax as s
from .context import UNKNOWN, Context, is_poison
from .levels import Level
from .model import Const, Expr
from .suggest import nearest
from .words import LEVEL_ARGUMENTS, PLAIN_LEVELS

Elaborate = Callable[[Context, s.Expr], Expr]


def granule(c: Context, node: s.Granule, expression: Elaborate) -> Level:
    """The level that follows `per`."""
    name = node.name
    if name in PLAIN_LEVELS:
        if node.args:
            c.error("E208", f"the level `{name}` takes no arguments", node.span)
        return Level(name)
    if name in LEVEL_ARGUMENTS:
        wanted = LEVEL_ARGUMENTS[name]
        if len(node.args) != wanted:
            c.error(
                "E208",
                f"the level `{name}` takes {wanted} argument{'s' * (wanted > 1)}",
                node.span,
            )
            return UNKNOWN
        args = tuple(expression(c, arg) for arg in node.args)
        for arg in args:
            if not arg.host and not is_poison(arg):
                c.error("E304", "the size of a level needs a host value", arg.span)
            elif isinstance(arg, Const) and not is_poison(arg) and not _is_size(arg, name):
                least = 0 if name == "axis" else 1
                said = f"what stands in `{name}(...)` is a whole number from {least} on"
                c.error("E318", said, arg.span)
        c.counts += args
        return Level(name, args)
    table = c.tables.get(name)
    if table is None:
        found = c.library.find(name, node.span.source)
        table = found if isinstance(found, s.RuleTable) else None
    if table is not None and table.kind in ("partition", "grouping"):
        c.tables[name] = table
        if table.kind == "grouping":
            c.not_compiled("E523", f"grouping {name}", node.span)
            return Level("layers", name=name)
        c.written[name] = True
        return Level("partition", name=name)
    known = [*PLAIN_LEVELS, *LEVEL_ARGUMENTS, *c.tables]
    c.error("E211", f"`{name}` is not a level", node.span, nearest(name, known))
    return UNKNOWN


def _is_size(size: Const, level: str) -> bool:
    """Whether a number can be the size of a level's cells, or the number of an axis."""
    least = 0 if level == "axis" else 1
    return type(size.value) is int and least <= size.value < 2**31
