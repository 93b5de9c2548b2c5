"""What is known while a spec is being understood: names, states, and how far the step has come.

A `Frame` says what plain names mean in a stretch of text (the rule, a modifier, a def). A `Flow`
says which locals there are at a point of the step. Both are exchanged while a modifier's section,
a branch or a def's body is read; everything else is collected in one `Context`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from . import model as m
from . import syntax as s
from .diagnostics import Report
from .levels import GLOBAL, Level
from .library import Library
from .source import Span

MOST_STATEMENTS = 6_000  # elaborated ones, loops counted as often as they are read
MOST_STATES = 64

UNKNOWN = Level("unknown")
"""The level of a value that something was wrong with: it is not complained of twice."""


class TooLarge(Exception):
    """A limit on size was passed; `span` is where."""

    def __init__(self, span: Span):
        super().__init__("too large")
        self.span = span


@dataclass(frozen=True, slots=True)
class Named:
    """A declared name's meaning. kind: hyper, state, let, input, local."""

    kind: str
    name: str


Meaning = Named | m.Const | m.Read | m.Apply


@dataclass(slots=True)
class Frame:
    """Where a stretch of text stands. `pure` for a def: it sees and assigns its own names only."""

    origin: str
    prefix: str
    names: dict[str, Meaning] = field(default_factory=dict[str, Meaning])
    pure: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """A local at a point of the step; `complete` when every path here assigned it."""

    level: Level
    host: bool
    complete: bool = True


@dataclass(slots=True)
class Flow:
    locals: dict[str, Local] = field(default_factory=dict[str, Local])
    hypers: dict[str, Level] = field(default_factory=dict[str, Level])
    ended: bool = False  # after `skip`

    def copy(self) -> Flow:
        return Flow(dict(self.locals), dict(self.hypers), self.ended)


Facts = dict[m.Expr, bool]
"""Host conditions that are known to hold, or not, at a point (see assume.py)."""


@dataclass(frozen=True, slots=True)
class DeclaredState:
    node: s.State
    frame: Frame
    origin: str


@dataclass(frozen=True, slots=True)
class DeclaredLet:
    node: s.Let
    frame: Frame


@dataclass(slots=True)
class Context:
    library: Library
    report: Report
    frame: Frame
    inline: Callable[[Context, s.Call, s.Definition | s.RuleTable], m.Expr]
    flow: Flow = field(default_factory=Flow)
    facts: Facts = field(default_factory=dict[m.Expr, bool])
    out: list[m.Stmt] | None = None  # None where only an expression can be made (a let, a shape)
    mode: str = "step"  # step, let, shape, default, initial, storage, view, event
    hypers: dict[str, m.Hyper] = field(default_factory=dict[str, m.Hyper])  # by the names read
    states: dict[str, m.State] = field(default_factory=dict[str, m.State])
    declared_states: dict[str, DeclaredState] = field(default_factory=dict[str, DeclaredState])
    lets: dict[str, m.Expr] = field(default_factory=dict[str, m.Expr])
    declared_lets: dict[str, DeclaredLet] = field(default_factory=dict[str, DeclaredLet])
    inputs: dict[str, Level] = field(default_factory=dict[str, Level])
    tables: dict[str, s.RuleTable] = field(default_factory=dict[str, s.RuleTable])
    table_frames: dict[str, Frame] = field(default_factory=dict[str, Frame])
    roles: frozenset[str] = frozenset()
    loss: bool = False  # `needs loss`
    kind: str = "direction"  # what the rule assigns: direction, step, param
    later: frozenset[str] = frozenset()  # locals assigned somewhere in the step
    unsupported: list[m.Unsupported] = field(default_factory=list[m.Unsupported])
    calls: tuple[str, ...] = ()
    call_span: Span | None = None  # of the outermost call of a def being read
    counters: dict[str, int] = field(default_factory=dict[str, int])
    conditions: list[m.Expr] = field(default_factory=list[m.Expr])  # all host conditions seen
    counts: list[m.Expr] = field(default_factory=list[m.Expr])  # all host counts and sizes seen
    framed: dict[int, Frame] = field(default_factory=dict[int, Frame])  # of replaced statements
    budget: int = MOST_STATEMENTS
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # (kind, name)
    read_outside: set[str] = field(default_factory=set[str])  # states, by views and events
    local_gradients: bool = False
    vectors_said: bool = False  # E308 was reported; once is enough
    written: dict[str, bool] = field(default_factory=dict[str, bool])  # level names used

    def error(
        self, code: str, message: str, span: Span, help: str = "", *notes: tuple[str, Span]
    ) -> m.Expr:
        """Report, and give a value to go on with."""
        self.report.error(code, message, span, help, *notes)
        return poison(span)

    def spend(self, span: Span, amount: int = 1) -> None:
        """Count work against the limit, so that no text makes us run for long."""
        self.budget -= amount
        if self.budget < 0:
            raise TooLarge(span)

    def number(self, name: str) -> int:
        """1, 2, ...: how often this name was asked for."""
        self.counters[name] = self.counters.get(name, 0) + 1
        return self.counters[name]

    def not_compiled(self, code: str, what: str, span: Span) -> None:
        self.unsupported.append(m.Unsupported(code, what, span=span))

    @contextmanager
    def aside(self, mode: str, frame: Frame | None = None) -> Generator[None]:
        """Read something outside the step: nothing assigned, nothing emitted."""
        saved = (self.flow, self.facts, self.out, self.mode, self.frame)
        self.flow, self.facts, self.out, self.mode = Flow(), {}, None, mode
        if frame is not None:
            self.frame = frame
        yield
        self.flow, self.facts, self.out, self.mode, self.frame = saved

    @contextmanager
    def framed_as(self, frame: Frame) -> Generator[None]:
        saved, self.frame = self.frame, frame
        yield
        self.frame = saved


def poison(span: Span) -> m.Expr:
    return m.Const(float("nan"), level=UNKNOWN, host=True, span=span)


def is_poison(expr: m.Expr) -> bool:
    return expr.level.kind == "unknown"


def number(value: float | bool | str, span: Span) -> m.Const:
    return m.Const(value, level=GLOBAL, host=True, span=span)
