"""Collectives and sparse operations: their arguments may be words (`mean`, a wire's codec).

all_reduce(grad, mean)    gather(a, i)    all_gather(i, x, wire = (int12, bf16))
"""

from __future__ import annotations

from collections.abc import Callable

from . import syntax as s
from .context import Context, is_poison, number, poison
from .functions import COMBINATIONS, Function
from .granules import granule
from .levels import ELEMENT, TENSOR, Level
from .model import Apply, Expr, Read
from .names import unknown
from .words import DTYPE_NAMES, DTYPES

Elaborate = Callable[[Context, s.Expr], Expr]


def exchange(c: Context, node: s.Call, function: Function, expression: Elaborate) -> Expr:
    """Collectives and index operations: words for how to combine and for the wire."""

    def worded(value: s.Expr) -> Expr:
        match value:
            case s.Name(id=name, span=span) if name in COMBINATIONS or name not in c.frame.names:
                if c.frame.prefix + name in c.flow.locals or name in ("param", "grad"):
                    return expression(c, value)
                if name in COMBINATIONS or name in DTYPE_NAMES or name in DTYPES:
                    return number(name, span)
                return unknown(c, value) if function.kind == "sparse" else number(name, span)
            case s.Tuple(items=items, span=span):
                words = tuple(worded(item) for item in items)
                return Apply("tuple", words, level=TENSOR, host=True, span=span)
            case _:
                return expression(c, value)

    args: list[Expr] = []
    for position, arg in enumerate(arg for arg in node.args if not arg.name):
        first = position == 0 or function.name in ("scatter", "gather", "all_gather")
        args.append(expression(c, arg.value) if first else worded(arg.value))
    options = tuple((arg.name, worded(arg.value)) for arg in node.args if arg.name)
    if any(is_poison(arg) for arg in args):
        return poison(node.span)
    per = None if node.per is None else granule(c, node.per, expression)
    level = _exchanged_level(function.name, args, per)
    if function.name == "all_gather" and len(args) > 1:
        level = Level("tuple")
    return Apply(function.name, tuple(args), options, per, level=level, host=False, span=node.span)


def _exchanged_level(name: str, args: list[Expr], per: Level | None) -> Level:
    match name:
        case "topk":
            return Level("top", (args[1],), of=per)
        case "gather":
            return args[1].level
        case "scatter" | "unflat":
            return ELEMENT
        case "flat":
            numel = Read("fact", "numel", level=TENSOR, host=True, span=args[0].span)
            size = Apply("padded", (numel,), level=TENSOR, host=True, span=args[0].span)
            return Level("vector", (size,))
        case _:
            return args[0].level
