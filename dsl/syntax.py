"""The tree as written: one frozen node per construct of grammar.lark, each with its span.

Nodes compare by what they say, not by where they stand (`span` is left out of equality), so
`parse(print(tree)) == tree`. Nothing is understood here: names are strings, shapes are syntax.
"""

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


# ---------------------------------------------------------------- members


@dataclass(frozen=True, slots=True)
class Doc(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Paper(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Interval(Node):
    """`[low, high)`; a closed end includes its bound."""

    low: Expr
    high: Expr
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True, slots=True)
class HyperTuple(Node):
    """`(beta1 = 0.9, beta2 = 0.999)`: passed as a tuple, named inside the spec."""

    items: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """`one_of(approximate, exact)`; the first is the default."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Required(Node):
    """`required`: no default, the constructor must be given a value."""


@dataclass(frozen=True, slots=True)
class Hyper(Node):
    name: str
    default: Expr | HyperTuple | Choice | Required  # `list(a, b)` is a Call
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class LikeShape(Node):
    name: str  # `like param`


@dataclass(frozen=True, slots=True)
class PerShape(Node):
    granule: Granule  # `per rows`


@dataclass(frozen=True, slots=True)
class NamedShape(Node):
    """`matrix(rows, rows)`, `none`, `identity(n)`, `vector(n)`, `diagonal(n)`, `triangular(n)`."""

    name: str
    args: tuple[Expr | Granule, ...] = ()  # a Granule for an argument written `per ...`


@dataclass(frozen=True, slots=True)
class SlotsShape(Node):
    count: Expr  # `slots(k) of SHAPE`
    of: Shape


@dataclass(frozen=True, slots=True)
class ShapeChoice(Node):
    """`SHAPE if condition else SHAPE`"""

    then: Shape
    condition: Expr
    otherwise: Shape


Shape = LikeShape | PerShape | NamedShape | SlotsShape | ShapeChoice


@dataclass(frozen=True, slots=True)
class State(Node):
    """`state NAME: SHAPE {, attribute} [= initial] [when condition]`

    attributes: local, exact, host, a dtype; `transient` takes the condition as its own.
    """

    name: str
    shape: Shape
    attributes: tuple[str, ...] = ()
    initial: Expr | None = None
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Codec(Node):
    """`dynamic8(block = 256)`, `none`, `stochastic`, `master(bits = 16)`"""

    name: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantize(Node):
    target: str  # a state's name or `all`
    codec: Codec
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Round(Node):
    target: str
    how: Codec


@dataclass(frozen=True, slots=True)
class RuleTable(Node):
    """`roles:`, `partition NAME:`, `layout:`, `grouping NAME:`, `schedule NAME(args):`"""

    kind: str
    name: str  # empty for roles and layout
    params: tuple[Parameter, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Requires(Node):
    condition: Expr
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Gradients(Node):
    mode: str  # local, none


@dataclass(frozen=True, slots=True)
class Input(Node):
    name: str
    shape: Shape
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Needs(Node):
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Let(Node):
    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Override(Node):
    """`weight_decay = <rules>` or `lr *= <expr or rules>`: a hyper, per tensor."""

    name: str
    op: str
    value: Expr | Rules


@dataclass(frozen=True, slots=True)
class Section(Node):
    """`grad: update: direction: decay: param: after:` (and `inactive:`)."""

    name: str
    body: Suite


@dataclass(frozen=True, slots=True)
class Replace(Node):
    """`replace v = expr`: the one statement of the parent that assigns `v`."""

    assign: Assign


@dataclass(frozen=True, slots=True)
class ReplaceSection(Node):
    """`replace decay: ...`"""

    section: Section


@dataclass(frozen=True, slots=True)
class Active(Node):
    name: str  # `active tensor: sample(...)`
    call: Call


@dataclass(frozen=True, slots=True)
class Event(Node):
    """`on capture(x, s) every period: ...`"""

    name: str
    params: tuple[str, ...]
    every: Expr | None
    body: Suite


@dataclass(frozen=True, slots=True)
class View(Node):
    name: str
    value: Expr | Suite


@dataclass(frozen=True, slots=True)
class Applied(Node):
    """One term of a composition: `AdamW(betas = (0.95, 0.99))`, `Cautious`."""

    name: str
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True, slots=True)
class Composition(Node):
    """`AdamW + Cautious + Lookahead(k = 5)`: a base and modifiers, left to right."""

    terms: tuple[Applied, ...]


@dataclass(frozen=True, slots=True)
class Route(Node):
    rules: Rules  # values are Compositions


Member = (
    Doc | Paper | Hyper | State | Quantize | Round | RuleTable | Requires | Gradients | Input
    | Needs | Let | Override | Section | Replace | ReplaceSection | Active | Event | View | Route
)  # fmt: skip


# ---------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A parameter of a def, modifier or schedule; default None means it must be given."""

    name: str
    default: Expr | HyperTuple | Choice | None = None


@dataclass(frozen=True, slots=True)
class Import(Node):
    names: tuple[Name, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Optimizer(Node):
    name: str
    extends: Composition | None
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Modifier(Node):
    name: str
    params: tuple[Parameter, ...]
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition(Node):
    name: str
    params: tuple[Parameter, ...]
    body: Suite = ()


Declaration = Import | Optimizer | Modifier | Definition | RuleTable


@dataclass(frozen=True, slots=True)
class File(Node):
    doc: str
    declarations: tuple[Declaration, ...]
