"""Running a model's statements on symbols, under given decisions (see `lower`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import ELEMENT, GLOBAL, TENSOR, Level, refines
from ..dsl.model import (
    Apply, Assign, Const, Expr, Guard, Model, Read, Repeat, Reset, Skip, State, Stmt, Storage, When,
    constant,
)  # fmt: skip
from ..dsl.source import Source, Span
from .hosts import apply, substitute
from .ir import Graph, Node, Store, Stream
from .operations import Operations

_NOWHERE = Span(Source("<stepc>", ""), 1, 1, 1, 1)
FIRST = Read("fact", "first", level=GLOBAL, host=True, span=_NOWHERE)
GRAD_SCALE = Read("fact", "grad_scale", level=GLOBAL, host=True, span=_NOWHERE)


class Undecided(Exception):
    """A host condition was met whose outcome is not among the decisions."""

    def __init__(self, condition: Expr, lets: tuple[tuple[str, Expr], ...]):
        self.condition = condition
        self.lets = lets


class Refused(Exception):
    """Under these decisions the optimizer does not take the tensor."""

    def __init__(self, message: str):
        self.message = message


class _Ended(Exception):
    """`skip` was reached."""


@dataclass(slots=True)
class Trace:
    """What is known at one point of a step: the present value of every name."""

    model: Model
    decisions: dict[Expr, bool]
    graph: Graph = field(default_factory=Graph)
    lets: list[tuple[str, Expr]] = field(default_factory=list)
    host_stores: dict[str, Expr] = field(default_factory=dict)
    counts: bool = True
    last_span: Span | None = None
    _hypers: dict[str, Expr] = field(default_factory=dict)
    _locals: dict[str, Node | Expr] = field(default_factory=dict)
    _states: dict[str, Node] = field(default_factory=dict)
    _param: Node | None = None
    _grad: Node | None = None
    _guards: list[Node] = field(default_factory=list)
    _streams: dict[str, Stream] = field(default_factory=dict)
    _operations: Operations = field(init=False)

    def __post_init__(self) -> None:
        self._operations = Operations(self.graph, self.value, self.host, self.level)

    # ------------------------------------------------------------ the result

    def run(self) -> Trace:
        """Trace the whole step. Raises Undecided or Refused."""
        self._choose_route()
        for requirement in self.model.requires:
            if not self.decide(self.host(requirement.condition)):
                raise Refused(requirement.advice or f"{self.model.name} does not take this tensor")
        try:
            self._run(self.model.body)
        except _Ended:
            self.counts = False
        return self

    def streams(self) -> tuple[Stream, ...]:
        """Everything the path touches, param and grad first, then states as declared."""
        order = {name: place for place, name in enumerate(("param", "grad"))}
        order |= {state.name: place + 2 for place, state in enumerate(self.model.states)}
        self.stores()
        return tuple(sorted(self._streams.values(), key=lambda s: order[s.name]))

    def stores(self) -> tuple[Store, ...]:
        written: list[tuple[str, Node]] = []
        if self._param is not None:
            written.append(("param", self._param))
        for state in self.model.states:
            if state.name in self._states:
                written.append((state.name, self._states[state.name]))
        stores: list[Store] = []
        for name, value in written:
            stream = self._stream(name)
            old = self._load(name)
            if value is old:
                continue
            for guard in self._guards:
                value = self.graph.node("where", guard, value, old, level=stream.level)
            stores.append(Store(stream, value))
        return tuple(stores)

    # ------------------------------------------------------------ decisions

    def decide(self, condition: Expr) -> bool:
        """The outcome of a host condition under the decisions; raises Undecided if open."""
        match condition:
            case Const(value=value):
                return bool(value)
            case Apply(op="not", args=(inner,)):
                return not self.decide(inner)
            case Apply(op="and", args=(a, b)):
                return self.decide(a) and self.decide(b)
            case Apply(op="or", args=(a, b)):
                return self.decide(a) or self.decide(b)
            case Apply(op="ne", args=(a, b)):
                return not self.decide(replace(condition, op="eq", args=(a, b)))
            case Apply(op="member", args=(x, *words)):
                return any(self.decide(apply("eq", x, word)) for word in words)
            case _:
                pass
        known = self.decisions.get(condition)
        if known is None:
            known = self._implied(condition)
        if known is None:
            raise Undecided(condition, tuple(self.lets))
        return known

    def _implied(self, condition: Expr) -> bool | None:
        """A name known to equal one constant equals no other."""
        match condition:
            case Apply(op="eq", args=(x, Const(value=value))):
                for known, outcome in self.decisions.items():
                    match known:
                        case Apply(op="eq", args=(y, Const(value=other))) if y == x and outcome:
                            return other == value
                        case _:
                            pass
            case _:
                pass
        return None

    def _choose_route(self) -> None:
        while self.model.route:
            for branch in self.model.route:
                if branch.condition is None or self.decide(self.host(branch.condition)):
                    bindings = {name: self.host(value) for name, value in branch.bindings}
                    self._hypers = {**self._hypers, **bindings}
                    outer, inner = self.model, branch.model
                    if not inner.roles:
                        inner = replace(inner, roles=outer.roles)
                    self.model = replace(inner, storage=(*inner.storage, *outer.storage))
                    break
            else:
                raise Refused(f"no line of {self.model.name}'s route takes this tensor")

    # ------------------------------------------------------------ names

    def host(self, expr: Expr) -> Expr:
        """A host expression with the present values of its names."""
        return substitute(expr, self._host_name)

    def _host_name(self, read: Read) -> Expr | None:
        match read.kind:
            case "hyper":
                return self._hypers.get(read.name)
            case "local":
                found = self._locals.get(read.name)
                if isinstance(found, Node):
                    raise AssertionError(f"{read.name} is on the device")
                return found
            case "state":
                return self.host_stores.get(read.name, read)
            case _:
                return None

    def level(self, level: Level) -> Level:
        """A level with its partition chosen and its arguments in host terms."""
        if level.kind == "partition":
            partition = next(p for p in self.model.partitions if p.name == level.name)
            for condition, choice in partition.rules:
                if condition is None or self.decide(self.host(condition)):
                    return self.level(choice)
            raise AssertionError("a partition ends with else")
        return replace(level, args=tuple(self.host(arg) for arg in level.args))

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            self._streams[name] = self._declared(name)
        return self._streams[name]

    def _declared(self, name: str) -> Stream:
        if name in ("param", "grad"):
            return Stream(name, ELEMENT, name)
        state = self.model.state(name)
        for condition, level in state.shapes:
            if condition is None or self.decide(self.host(condition)):
                break
        else:
            raise AssertionError("a shape's last alternative has no condition")
        initial: float | str = 0.0
        match self.host(state.initial) if state.initial.host else state.initial:
            case Const(value=value) if not isinstance(value, str):
                initial = float(value)
            case Read(kind="param"):
                initial = "param"
            case _:
                pass
        return Stream(name, self.level(level), state.dtype or "real", initial, self._codec(state))

    def _codec(self, state: State) -> Storage | None:
        """The storage line that holds for `state` on this path; None: stored plainly."""
        for line in reversed(self.model.storage):
            if line.state == "all" and (state.exact or state.host):
                continue
            if line.state not in ("all", state.name):
                continue
            if line.state == "all" and state.shapes[0][1].kind != "element":
                continue
            if line.condition is None or self.decide(self.host(line.condition)):
                return None if line.codec == "none" else line
        return None

    def _load(self, name: str) -> Node:
        """The value a stream held when the step began."""
        stream = self._stream(name)
        if name in ("param", "grad"):
            return self.graph.node("load", attr=name, level=ELEMENT)
        state = self.model.state(name)
        if not _runtime_fills(stream, state) and self.decide(FIRST):
            return self.value(state.initial)
        return self.graph.node("load", attr=name, level=stream.level)

    def _state(self, name: str) -> Node:
        return self._states[name] if name in self._states else self._load(name)

    # ------------------------------------------------------------ values

    def value(self, expr: Expr) -> Node:
        """The node of an expression: an operand if it is on the host, else a device value."""
        if expr.host:
            return self.operand(self.host(expr), expr.span)
        match expr:
            case Read(kind="local"):
                found = self._locals[expr.name]
                return found if isinstance(found, Node) else self.operand(found, expr.span)
            case Read(kind="state"):
                return self._state(expr.name)
            case Read(kind="param"):
                return self._load("param") if self._param is None else self._param
            case Read(kind="grad"):
                return self._gradient()
            case Apply(op="select", args=(condition, a, b)):
                return self.value(a if self.decide(self.host(condition)) else b)
            case Apply():
                return self._operations.apply(expr)
            case _:
                raise SpecError(
                    Diagnostic("E511", "this value is understood, not compiled yet", expr.span)
                )

    def operand(self, expr: Expr, span: Span) -> Node:
        if isinstance(expr, Const) and not isinstance(expr.value, str):
            return self.graph.const(float(expr.value))
        level = TENSOR if expr.level == TENSOR else GLOBAL
        return self.graph.node("operand", attr=expr, level=level, span=span)

    def _gradient(self) -> Node:
        if self._grad is None:
            raw = self._load("grad")
            self._grad = self.graph.node("mul", raw, self.operand(GRAD_SCALE, _NOWHERE))
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
            case When():
                if not self._merge_host_branches(stmt):
                    self._run(stmt.then if self.decide(self.host(stmt.condition)) else stmt.otherwise)
            case Repeat():
                for k in range(self._count(stmt)):
                    if stmt.counter:
                        self._locals[stmt.counter] = constant(k, stmt.span)
                    self._run(stmt.body)
            case Skip():
                raise _Ended
            case Guard():
                self._guards.append(self.value(stmt.condition))
            case Reset():
                for name in stmt.states:
                    state = self.model.state(name)
                    if state.host:
                        self.host_stores[name] = self.host(state.initial)
                    else:
                        self._keep(name, self._stream(name).level, self.value(state.initial))

    def _assign(self, stmt: Assign) -> None:
        name = stmt.name
        if stmt.kind == "hyper":
            self._hypers[name] = self.host(stmt.value)
        elif stmt.kind == "local" and stmt.value.host:
            self._locals[name] = self._let(name, self.host(stmt.value))
        elif stmt.kind == "state" and self.model.state(name).host:
            self.host_stores[name] = self._let(name, self.host(stmt.value))
        else:
            value = self.value(stmt.value)
            if not value.is_host and value.op != "load" and not value.label:
                value.label, value.span = name, stmt.span
            match stmt.kind:
                case "param":
                    self._stream("param")
                    self._param = value
                case "grad":
                    self._grad = value
                case "state":
                    self._keep(name, self._stream(name).level, value)
                case _:
                    self._locals[name] = value

    def _keep(self, name: str, level: Level, value: Node) -> None:
        if value.level != level and refines(level, value.level):
            value = self.graph.node("spread", value, level=level)
        self._states[name] = value

    def _let(self, name: str, value: Expr) -> Expr:
        """A host local keeps its name in the generated code, numbered when assigned again."""
        if isinstance(value, (Const, Read)):
            return value
        unique, taken = name, {known for known, _ in self.lets}
        number = 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        self.lets.append((unique, value))
        return Read("local", unique, level=value.level, host=True, span=value.span)

    def _merge_host_branches(self, stmt: When) -> bool:
        """A `when` that only assigns host locals becomes a conditional expression, not a path."""
        if not all(
            isinstance(s, Assign) and s.value.host and s.kind == "local"
            for s in (*stmt.then, *stmt.otherwise)
        ):
            return False
        before = dict(self._locals)
        lets = list(self.lets)
        outcomes: list[dict[str, Node | Expr]] = []
        for body in (stmt.then, stmt.otherwise):
            self._locals = dict(before)
            for s in body:
                assert isinstance(s, Assign)
                self._locals[s.name] = self.host(s.value)
            outcomes.append(self._locals)
        self._locals, self.lets = before, lets
        names = [n for n in outcomes[0] | outcomes[1] if outcomes[0].get(n) is not outcomes[1].get(n)]
        if not all(n in outcomes[0] and n in outcomes[1] for n in names):
            return False
        condition = self.host(stmt.condition)
        for name in names:
            a, b = outcomes[0][name], outcomes[1][name]
            if isinstance(a, Node) or isinstance(b, Node):
                return False
            self._locals[name] = self._let(name, apply("select", condition, a, b))
        return True

    def _count(self, stmt: Repeat) -> int:
        """How often a `repeat` runs: a constant, or a hyper compiled in at its default."""
        count = self.host(stmt.count)
        if isinstance(count, Read) and count.kind == "hyper":
            hyper = next((h for h in self.model.hypers if h.name == count.name), None)
            if hyper is not None and isinstance(hyper.default, Const):
                if not self.decide(apply("eq", count, hyper.default)):
                    raise Refused(
                        f"{hyper.name} is compiled in as {hyper.default.value}: for another value "
                        f'use stepc.compile("{self.model.name}({hyper.name} = ...)")'
                    )
                count = hyper.default
        if isinstance(count, Const) and not isinstance(count.value, str):
            return int(count.value)
        raise SpecError(
            Diagnostic(
                "E512",
                "`repeat` is compiled for a count that is a number or a hyper",
                stmt.span,
                "write the count as an integer hyper",
            )
        )


def _runtime_fills(stream: Stream, state: State) -> bool:
    """Whether the runtime can make the initial content itself when it allocates the state."""
    match state.initial:
        case Const(value=value):
            return stream.codec is None or value == 0
        case Read(kind="param"):
            return stream.codec is None and stream.dtype == "real" and stream.level == ELEMENT
        case _:
            return False


__all__ = ["Refused", "Trace", "Undecided"]
