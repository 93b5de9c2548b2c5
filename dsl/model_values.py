"""The values of a model: constants, names, operations; each with its level and its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .levels import GLOBAL, Level
from .source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    level: Level
    host: bool  # computed on the host, in float64
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Const(Value):
    """A number, a boolean, or a word (a choice, a role)."""

    value: int | float | bool | str


@dataclass(frozen=True, slots=True)
class Read(Value):
    """The present value of a name.

    kind: hyper, fact, state, local, input, or the two that every rule has, `param` and `grad`
    (then `name` says the same). Names are unique in a model: a modifier's own locals and states
    are called `Lookahead.slow`, those of an inlined def `newton_schulz.1.x`.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Apply(Value):
    """An operation.

    arithmetic   neg add sub mul div mod pow, eq ne lt le gt ge, and or not
    choice       select(c, a, b)  host condition, lazy, from `a if c else b` and rule lists
                 where(c, a, b)   elementwise, eager
    elementary   sqrt rsqrt exp log abs sign sign_bit maximum minimum clamp floor ceil tanh sigmoid
                 softplus atan2 lerp cast sin cos ... by the names of the language
    reductions   sum mean max min norm rms std dot count ... with `per` = the level of the result
    matrices     matmul transpose trace diagonal triu ...
    words        match(name, "pattern"), member(x, a, b, c)
    tuples       tuple(...), item(x, Const k)
    `options` are the named arguments (`unbiased = true`), each a value.
    """

    op: str
    args: tuple[Expr, ...]
    options: tuple[tuple[str, Expr], ...] = ()
    per: Level | None = None


Expr = Const | Read | Apply


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and everything below it, parents first; the sizes of `per` too."""
    yield expr
    if isinstance(expr, Apply):
        for arg in (*expr.args, *(expr.per.args if expr.per else ())):
            yield from walk(arg)
        for _, option in expr.options:
            yield from walk(option)


def constant(value: int | float | bool | str, span: Span) -> Const:
    return Const(value, level=GLOBAL, host=True, span=span)
