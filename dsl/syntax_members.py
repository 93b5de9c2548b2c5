"""The tree as written, around the sections: members of an optimizer, and declarations."""

from __future__ import annotations

from dataclasses import dataclass

from .syntax_body import Arg, Assign, Call, Composition, Expr, Granule, Name, Node, Rules, Suite

# ---------------------------------------------------------------- members


@dataclass(frozen=True, slots=True)
class Doc(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Paper(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Family(Node):
    """`family sign`: the shelf that `stepc list` puts it on; means nothing else."""

    name: str


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`arithmetic piecewise_affine`: how the step multiplies."""

    name: str


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
class Route(Node):
    rules: Rules  # values are Compositions


Member = (
    Doc | Paper | Family | Arithmetic | Hyper | State | Quantize | Round | RuleTable | Requires
    | Gradients | Input | Needs | Let | Override | Section | Replace | ReplaceSection | Active
    | Event | View | Route
)  # fmt: skip


# ---------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A parameter of a def or schedule; default None means it must be given."""

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
    """`params` are its hypers, as written in its brackets: `(k = 5 in [1, inf))`."""

    name: str
    params: tuple[Hyper, ...]
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
