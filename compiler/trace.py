"""Running a model's statements on symbols, under given decisions (see `lower`).

    m = lerp(m, grad, 1 - beta1)       states["m"] = add(mul(beta1, load m), mul(1 - beta1, grad))

Every device value becomes a node; what is on the host stays an expression (`names`). The outcome
is what the call stores: a value for each stream that it writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import ELEMENT, GLOBAL, GROUP, TENSOR, Level, refines
from ..dsl.model import (
    Apply,
    Assign,
    Const,
    Expr,
    Guard,
    Model,
    Read,
    Repeat,
    Reset,
    Skip,
    State,
    Stmt,
    When,
    constant,
)
from ..dsl.source import NOWHERE, Span
from ..dsl.stages import STAGES, stage_of, statements
from .decisions import Decisions, Refused
from .declared import Declared, is_new, runtime_fills
from .ir import GUARD, Graph, Node, Store, Stream
from .names import Names
from .operations import Operations

GRAD_SCALE = Read("fact", "grad_scale", level=GLOBAL, host=True, span=NOWHERE)


class _Ended(Exception):
    """`skip` was reached."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What was known when a stretch of the step began."""

    hypers: dict[str, Expr]
    grad: Node | None


@dataclass(slots=True)
class Trace:
    """What is known at one point of a step: the present value of every name."""

    names: Names
    graph: Graph = field(default_factory=Graph)
    counts: bool = True
    last_span: Span | None = None
    _states: dict[str, Node] = field(default_factory=dict[str, Node])
    _param: Node | None = None
    _grad: Node | None = None
    _guards: list[tuple[Level, Node]] = field(default_factory=list[tuple[Level, Node]])
    _blocked: bool = False  # a guard on the host did not hold
    _begun: dict[str, _Beginning] = field(default_factory=dict[str, _Beginning])
    _initials: dict[str, Node] = field(default_factory=dict[str, Node])
    _declared: Declared = field(init=False)
    _operations: Operations = field(init=False)

    @staticmethod
    def of(model: Model, decisions: Decisions) -> Trace:
        return Trace(Names(model, decisions))

    def __post_init__(self) -> None:
        self._declared = Declared(self.names)
        self._operations = Operations(self.graph, self.value, self.names)

    @property
    def model(self) -> Model:
        """The model that this path follows: after `run`, a rule without a route."""
        return self.names.model

    # ------------------------------------------------------------ the result

    def run(self) -> Trace:
        """Trace the whole step. Raises Undecided or Refused."""
        self.names.follow_route()
        for requirement in self.model.requires:
            if not self.names.decide(requirement.condition):
                raise Refused(requirement.advice or f"{self.model.name} does not take this tensor")
        for stage in STAGES:
            self._begun[stage] = _Beginning(dict(self.names.hypers), self._grad)
            try:
                if self.counts:
                    self._run(statements(self.model, stage))
            except _Ended:
                self.counts = False
        self._create_states()
        return self

    def _create_states(self) -> None:
        """A tensor's first call creates every state it has, whether this path touches it or not."""
        for state in self.model.states:
            if state.host or (state.condition and not self.names.decide(state.condition)):
                continue
            if self.names.first_of(state.shapes).kind in ("none", "identity"):
                continue
            stream = self._declared.stream(state.name)
            if state.name not in self._states and not runtime_fills(stream, state):
                initial = self._load(state.name)
                if initial.op != "load":
                    self._states[state.name] = initial

    @property
    def writes_param(self) -> bool:
        """Whether the call changes the parameter."""
        return self._param is not None

    def joint(self) -> tuple[Node, ...]:
        """The reductions over several tensors that the call meets, used or not."""
        return tuple(self._operations.joint)

    def streams(self) -> tuple[Stream, ...]:
        """Everything the path touches."""
        return self._declared.all()

    def stores(self) -> tuple[Store, ...]:
        """What the call writes: param first, then states as declared."""
        written: list[tuple[str, Node]] = []
        if self._param is not None:
            written.append(("param", self._param))
        for state in self.model.states:
            if state.name in self._states:
                written.append((state.name, self._states[state.name]))
        stores: list[Store] = []
        for name, value in written:
            stream = self._declared.stream(name)
            old = self._load(name)  # on a state's first call this is its initial value
            value = self._guarded(stream, value, old)
            if value is not old or old.op != "load":
                stores.append(Store(stream, value))
        return tuple(stores)

    def _guarded(self, stream: Stream, value: Node, old: Node) -> Node:
        """What a stream is given: where a guard does not hold, its old value. What several tensors
        share is only guarded by what is the same for all of them."""
        shared = stream.level in (GLOBAL, GROUP)
        if self._blocked and not shared:
            return old
        for level, guard in self._guards:
            if not shared or refines(stream.level, level):
                value = self.graph.node("where", guard, value, old, level=stream.level, attr=GUARD)
        return value

    # ------------------------------------------------------------ values

    def _load(self, name: str) -> Node:
        """The value a stream held when the step began."""
        if name in ("param", "grad"):
            self._declared.stream(name)
            return self.graph.node("load", attr=name, level=ELEMENT)
        state = self.model.state(name)
        shape = self.names.first_of(state.shapes)
        if shape.kind == "identity":
            return self.graph.node("identity", level=self.names.level(shape))
        stream = self._declared.stream(name)
        if not runtime_fills(stream, state) and self.names.decide(is_new(state, stream)):
            return self._initial(state, stream)
        return self.graph.node("load", attr=name, level=stream.level)

    def _initial(self, state: State, stream: Stream) -> Node:
        """What a state begins with. Hypers and the gradient are what they were when the stretch of
        the step began that first needs the state."""
        if state.name not in self._initials:
            begun, hypers, grad = (
                self._begun[stage_of(self.model, state)],
                self.names.hypers,
                self._grad,
            )
            self.names.hypers, self._grad = begun.hypers, begun.grad
            self._initials[state.name] = self._declared_initial(state, stream)
            self.names.hypers, self._grad = hypers, grad
        return self._initials[state.name]

    def _declared_initial(self, state: State, stream: Stream) -> Node:
        """The declared initial value. `param` is what it was when the step began."""
        now, self._param = self._param, None
        value = self._carried(self.value(state.initial), stream.level)
        self._param = now
        return value

    def _state(self, name: str) -> Node:
        return self._states[name] if name in self._states else self._load(name)

    def value(self, expr: Expr) -> Node:
        """The node of an expression: an operand if it is on the host, else a device value."""
        if self.names.is_host(expr):
            return self.operand(self.names.host(expr), expr.span)
        match expr:
            case Read(kind="local"):
                found = self.names.locals[expr.name]
                return found if isinstance(found, Node) else self.operand(found, expr.span)
            case Read(kind="state"):
                return self._state(expr.name)
            case Read(kind="param"):
                return self._load("param") if self._param is None else self._param
            case Read(kind="grad"):
                return self._gradient()
            case Apply(op="select" | "where", args=(condition, a, b)) if condition.host:
                return self.value(a if self.names.decide(condition) else b)
            case Apply():
                return self._operations.apply(expr)
            case _:
                raise SpecError(
                    Diagnostic("E511", "this value is understood, not compiled yet", expr.span)
                )

    def operand(self, expr: Expr, span: Span) -> Node:
        """The node of a host value: a number if it is known already."""
        if isinstance(expr, Const) and not isinstance(expr.value, str):
            return self.graph.const(float(expr.value))
        level = TENSOR if expr.level == TENSOR else GLOBAL
        return self.graph.node("operand", attr=expr, level=level, span=span)

    def _gradient(self) -> Node:
        if self._grad is None:
            raw = self._load("grad")
            self._grad = self.graph.node("mul", raw, self.operand(GRAD_SCALE, NOWHERE))
            self._grad.label = "grad"
        return self._grad

    # ------------------------------------------------------------ statements

    def _run(self, body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            self.last_span = stmt.span
            self._statement(stmt)

    def _statement(self, stmt: Stmt) -> None:
        match stmt:
            case Assign():
                self._assign(stmt)
            case When(condition=condition, then=then, otherwise=otherwise):
                if not self.names.merge_branches(stmt):
                    self._run(then if self.names.decide(condition) else otherwise)
            case Repeat():
                for k in range(self.names.count(stmt)):
                    if stmt.counter:
                        self.names.locals[stmt.counter] = constant(k, stmt.span)
                    self._run(stmt.body)
            case Skip():
                raise _Ended
            case Guard(condition=condition):
                if self.names.is_host(condition):
                    self._blocked |= not self.names.decide(condition)
                else:
                    self._guards.append((condition.level, self.value(condition)))
            case Reset():
                for name in stmt.states:
                    self._reset(name)

    def _reset(self, name: str) -> None:
        state = self.model.state(name)
        if state.condition is not None and not self.names.decide(state.condition):
            return  # this tensor has no such state
        if state.host:
            self.names.host_stores[name] = self.names.host(state.initial)
        else:
            self._states[name] = self._declared_initial(state, self._declared.stream(name))

    def _assign(self, stmt: Assign) -> None:
        name, names = stmt.name, self.names
        if stmt.kind == "hyper":
            names.hypers[name] = names.let(name, names.host(stmt.value), frozenset({name}))
        elif stmt.kind == "local" and names.is_host(stmt.value):
            names.locals[name] = names.let(name, names.host(stmt.value))
        elif stmt.kind == "state" and self.model.state(name).host:
            names.keep(name, stmt.value)
        else:
            value = self.value(stmt.value)
            if not value.is_host and value.op != "load" and not value.label:
                value.label, value.span = name, stmt.span
            match stmt.kind:
                case "param":
                    self._declared.stream("param")
                    self._param = value
                case "grad":
                    self._grad = value
                case "state":
                    self._states[name] = self._carried(value, self._declared.stream(name).level)
                case _:
                    names.locals[name] = value

    def _carried(self, value: Node, level: Level) -> Node:
        """A value at a finer level."""
        if value.level != level and refines(level, value.level):
            return self.graph.node("spread", value, level=level)
        return value
