"""Defaults of hypers: what they are worth, and whether they may be.

hyper beta3 = sqrt(beta2)   is worth sqrt(0.999) by default
hyper beta = 1 in [0, 1)    is outside its interval
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .context import Context, number
from .describe import expression as show
from .fold import Scalar, Unknown, evaluate
from .model import Expr, Hyper, Read, walk


def defaults(hyper: Hyper) -> Iterator[tuple[str, Expr]]:
    """Each name a hyper is read by, with its default."""
    if hyper.default is None:
        return
    if isinstance(hyper.default, tuple):
        yield from zip(hyper.items, hyper.default, strict=False)
    else:
        yield hyper.name, hyper.default


def check_circles(c: Context, hypers: Sequence[Hyper]) -> None:
    reads = {
        name: {part.name for part in walk(value) if isinstance(part, Read)}
        for hyper in hypers
        for name, value in defaults(hyper)
    }
    for hyper in hypers:
        for name, _ in defaults(hyper):
            seen: set[str] = set()
            waiting = list(reads[name])
            while waiting:
                other = waiting.pop()
                if other not in seen:
                    seen.add(other)
                    waiting += reads.get(other, ())
            if name in seen:
                c.error(
                    "E420",
                    f"the default of `{name}` depends on itself",
                    hyper.span,
                    "give one of them a number",
                )


def value_of_default(hypers: Sequence[Hyper], depth: int = 32) -> Callable[[Read], Scalar | None]:
    """A function from a Read of a hyper to the value it has by default."""
    known = {name: value for hyper in hypers for name, value in defaults(hyper)}

    def value_of(read: Read) -> Scalar | None:
        if read.kind != "hyper" or read.name not in known or depth == 0:
            return None
        try:
            return evaluate(known[read.name], value_of_default(hypers, depth - 1))
        except Unknown:
            return None

    return value_of


def check_bounds(c: Context, hyper: Hyper, hypers: Sequence[Hyper]) -> None:
    if hyper.bounds is None:
        return
    listed = hyper.default if hyper.type == "list" else None
    pairs = (
        [(hyper.name, value) for value in listed]
        if isinstance(listed, tuple)
        else list(defaults(hyper))
    )
    for name, default in pairs:
        try:
            value = evaluate(default, value_of_default(hypers))
        except Unknown:
            continue
        if isinstance(value, str) or value not in hyper.bounds:
            c.error(
                "E411",
                f"the default of `{name}` is {show(number(value, default.span))}, "
                f"outside {hyper.bounds}",
                default.span,
                "change the default or the interval",
                *([("declared here", hyper.span)] if default.span.line != hyper.span.line else []),
            )
