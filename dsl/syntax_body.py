"""The tree as written, within a section: expressions, compositions, rule lists, statements."""

from __future__ import annotations

from dataclasses import dataclass, field

from .source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    span: Span = field(compare=False, repr=False)


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: int | float  # `inf` is a float


@dataclass(frozen=True, slots=True)
class String(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    id: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    op: str  # - not
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    op: str  # + - * / @ % ^ == != < <= > >= and or in "not in" ~
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """`then if condition else otherwise`"""

    then: Expr
    condition: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Granule(Node):
    """What follows `per`: `rows`, `heads(n)`, a partition's name."""

    name: str
    args: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Arg(Node):
    """One argument of a call; `name` is empty for a positional one."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    function: str
    args: tuple[Arg, ...] = ()
    per: Granule | None = None


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`:`, `:r`, `a:b` inside an index."""

    start: Expr | None = None
    stop: Expr | None = None


@dataclass(frozen=True, slots=True)
class Index(Node):
    value: Expr
    items: tuple[Expr | Slice, ...]


@dataclass(frozen=True, slots=True)
class Transpose(Node):
    value: Expr


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    items: tuple[Expr, ...]


Expr = Number | String | Name | Unary | Binary | Ternary | Call | Index | Transpose | Tuple


# ---------------------------------------------------------------- compositions


@dataclass(frozen=True, slots=True)
class Applied(Node):
    """One term of a composition: `AdamW(betas = (0.95, 0.99))`, `Cautious`."""

    name: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True, slots=True)
class Composition(Node):
    """`AdamW + Cautious + Lookahead(k = 5)`: a base and modifiers, left to right."""

    terms: tuple[Applied, ...]


# ---------------------------------------------------------------- rule lists


@dataclass(frozen=True, slots=True)
class Rule(Node):
    """`condition -> value`; the last line's `else` has condition None.

    In a partition the value is a granule written as a name or a call; in a route it is a
    `Composition`; elsewhere an expression.
    """

    condition: Expr | None
    value: Expr | Composition


@dataclass(frozen=True, slots=True)
class Rules(Node):
    rules: tuple[Rule, ...]


# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`a, b = value`, `a += value`, or `a = <rule list>`; `op` is one of = += -= *= /="""

    targets: tuple[Name | Index, ...]
    op: str
    value: Expr | Rules


@dataclass(frozen=True, slots=True)
class When(Node):
    """`when c: ... otherwise when d: ... otherwise: ...`"""

    branches: tuple[tuple[Expr, Suite], ...]
    otherwise: Suite | None


@dataclass(frozen=True, slots=True)
class First(Node):
    body: Suite
    otherwise: Suite | None


@dataclass(frozen=True, slots=True)
class Every(Node):
    period: Expr
    body: Suite
    otherwise: Suite | None


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    count: Expr
    counter: str  # empty when there is no `as k`
    body: Suite


@dataclass(frozen=True, slots=True)
class Skip(Node):
    pass


@dataclass(frozen=True, slots=True)
class Reset(Node):
    states: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Guard(Node):
    condition: Expr


@dataclass(frozen=True, slots=True)
class Return(Node):
    values: tuple[Expr, ...]


Statement = Assign | When | First | Every | Repeat | Skip | Reset | Guard | Return
Suite = tuple[Statement, ...]
