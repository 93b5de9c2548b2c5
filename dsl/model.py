"""The model: a spec as understood. Names are resolved, `extends`, modifiers and `def`s are gone,
the order of a step is spelled out, and every value knows its level and its place.

The naive interpreter runs it; the compiler lowers it. Neither sees syntax.

How a step reads (`Model.sections`, in order of execution): hyper rules, the modifiers' and the
rule's `grad:`, `update:`, `direction:`, `decay:`, then the ending `param = param - lr * direction`,
`param:`, `after:`. `-=` and friends are spelled out; `first:` is `When(Read("fact", "first"))`,
`every k:` is `When(t % k == 0)`; rule lists are nested `select`s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .diagnostics import Diagnostic
from .levels import Level
from .model_values import Apply, Const, Expr, Read, Value, constant, walk
from .source import Span

__all__ = [
    "Apply",
    "Assign",
    "Bounds",
    "Branch",
    "Const",
    "Expr",
    "Guard",
    "Hyper",
    "Model",
    "Partition",
    "Read",
    "Repeat",
    "Requirement",
    "Reset",
    "Rounding",
    "Section",
    "Skip",
    "State",
    "Step",
    "Stmt",
    "Storage",
    "Unsupported",
    "Value",
    "View",
    "When",
    "constant",
    "walk",
]

# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Assign(Step):
    """kind: local, state, param, grad, or hyper (a hyper rule: for the rest of this step)."""

    kind: str
    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class When(Step):
    """A host condition: it chooses which kernel runs."""

    condition: Expr
    then: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat(Step):
    """`count` is a host value; `counter` is a local counting from 0 (empty if unused)."""

    count: Expr
    counter: str
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Skip(Step):
    """End this call for the tensor; it does not count as a step."""


@dataclass(frozen=True, slots=True)
class Guard(Step):
    """Where false, nothing of the condition's scope (a tensor, or all) is written this call."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Reset(Step):
    """Put states back to their declared initial values."""

    states: tuple[str, ...]


Stmt = Assign | When | Repeat | Skip | Guard | Reset


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the step: `title` as in the language (or `hyper`, `ending`), `origin` the
    optimizer or modifier that wrote it."""

    title: str
    origin: str
    body: tuple[Stmt, ...]


# ---------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True)
class Bounds:
    low: float
    high: float
    low_closed: bool
    high_closed: bool

    def __contains__(self, x: float) -> bool:
        above = x >= self.low if self.low_closed else x > self.low
        below = x <= self.high if self.high_closed else x < self.high
        return above and below

    def __str__(self) -> str:
        left, right = "[" if self.low_closed else "(", "]" if self.high_closed else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True, slots=True)
class Hyper:
    """A constructor argument.

    type: real, int, bool, choice, list, tuple. A tuple (`betas`) has `items`, the names by which
    the spec reads its parts; `default` is then a tuple of their defaults. A default may read other
    hypers (it is then computed at construction); None means required. `structural`: an int, bool
    or choice that decides shapes, `when` or `repeat`.
    """

    name: str
    type: str
    default: Expr | tuple[Expr, ...] | None
    bounds: Bounds | None = None
    items: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    origin: str = ""
    structural: bool = False
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class State:
    """A state of a tensor (of the group, of the optimizer).

    `shapes`: (condition, level) alternatives, first match wins, last condition None. A level of
    kind `none` stores nothing, `identity` is the identity matrix and stores nothing.
    `initial` may read hypers, facts, `param` (before anything has written it) and `grad` (as
    `update:` sees it). `condition`: the state exists only where it holds (None: always).
    """

    name: str
    shapes: tuple[tuple[Expr | None, Level], ...]
    initial: Expr
    condition: Expr | None = None
    dtype: str = ""  # empty: float32, or float64 beside a float64 parameter
    exact: bool = False
    host: bool = False
    local: bool = False
    transient: bool = False
    origin: str = ""
    span: Span = field(compare=False, repr=False, kw_only=True)

    @property
    def level(self) -> Level:
        """The first alternative's level: what names and levels are checked against."""
        return self.shapes[0][1]


@dataclass(frozen=True, slots=True)
class Storage:
    """`quantize STATE: codec(options) when condition`; state `all` is every state like the
    parameter, neither exact nor on the host. Later lines win. Codec `none` stores plainly."""

    state: str
    codec: str
    options: tuple[tuple[str, Expr], ...] = ()
    condition: Expr | None = None
    span: Span = field(compare=False, repr=False, kw_only=True)

    def names(self, state: State) -> bool:
        """Whether the line is about the state, where its condition holds."""
        if self.state != "all":
            return self.state == state.name
        return state.level.kind == "element" and not (state.exact or state.host)


@dataclass(frozen=True, slots=True)
class Rounding:
    """`round param: nearest | stochastic | kahan | master(bits = 16)`"""

    how: str = "nearest"
    options: tuple[tuple[str, Expr], ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def bits(self) -> int:
        """How much `master` keeps beside the parameter: 8 or 16 bits of a remainder, or 32."""
        given = {name: value.value for name, value in self.options if isinstance(value, Const)}
        return int(given.get("bits", 32))


@dataclass(frozen=True, slots=True)
class Partition:
    """A named level chosen per tensor: (condition, level) rules, the last condition None."""

    name: str
    rules: tuple[tuple[Expr | None, Level], ...]


@dataclass(frozen=True, slots=True)
class Requirement:
    condition: Expr
    advice: str
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of a route: tensors for which `condition` holds (None: else) follow `model`.
    `bindings` set hypers of that model from the routing optimizer's own hypers."""

    condition: Expr | None
    model: Model
    bindings: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    name: str
    value: Expr | tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Understood, not yet compiled: `code` is an E5xx diagnostic, `what` its subject."""

    code: str
    what: str
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    doc: str
    paper: str
    lineage: tuple[str, ...]  # the composition, base first: ("AdamW", "Cautious")
    hypers: tuple[Hyper, ...] = ()
    states: tuple[State, ...] = ()
    storage: tuple[Storage, ...] = ()
    rounding: Rounding = Rounding()
    partitions: tuple[Partition, ...] = ()
    roles: tuple[tuple[Expr | None, str], ...] = ()  # (condition, role); empty: all roles are ""
    layout: tuple[tuple[Expr | None, str, tuple[Expr, ...]], ...] = ()  # (condition, word, args)
    requires: tuple[Requirement, ...] = ()
    sections: tuple[Section, ...] = ()
    route: tuple[Branch, ...] = ()
    views: tuple[View, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    files: tuple[str, ...] = ()  # the texts it was made from, for the spec's hash
    warnings: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()  # what `inspect` says beside the model; nothing to mend

    @property
    def body(self) -> tuple[Stmt, ...]:
        """All statements of a step, in order."""
        return tuple(stmt for section in self.sections for stmt in section.body)

    def state(self, name: str) -> State:
        return next(state for state in self.states if state.name == name)
