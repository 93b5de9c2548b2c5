"""Slots: a state of `slots(k) of S` becomes k states of S, and what is written of it k statements.

    state buffer: slots(3) of like param      buffer_0, buffer_1, buffer_2: like param
    sum(buffer, per element)                  buffer_0 + buffer_1 + buffer_2
    buffer[slot] = x                          buffer_0 = where(slot == 0, x, buffer_0), and so on
    argmin(priority, per global)              where(p_2 < min(p_0, p_1), 2, where(p_1 < p_0, 1, 0))

So neither interpreter nor compiler knows of slots. k is a number, or a hyper with a default, which
is then compiled in. What cannot be said slot by slot is noted as not compiled (E505).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from .levels import GLOBAL, Level
from .model import (
    Apply,
    Assign,
    Const,
    Expr,
    Guard,
    Hyper,
    Model,
    Read,
    Repeat,
    Requirement,
    Reset,
    State,
    Stmt,
    Unsupported,
    When,
    constant,
    walk,
)

_FOLDS = {"sum": "add", "mean": "add", "count": "add", "max": "maximum", "min": "minimum"}
_PLACES = {"argmin": ("lt", "minimum"), "argmax": ("gt", "maximum")}
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not")


class _NotBySlot(Exception):
    def __init__(self, expr: Expr):
        super().__init__()
        self.expr = expr


def capacity(size: Expr, hypers: Mapping[str, Hyper]) -> int | None:
    """How many slots: a number, or a hyper's default; None if it is not known when compiling."""
    if isinstance(size, Read) and size.kind == "hyper" and size.name in hypers:
        default = hypers[size.name].default
        size = default if isinstance(default, Const) else size
    match size:
        case Const(value=int() as count) if count >= 1:
            return count
        case _:
            return None


def unpack_slots(model: Model) -> Model:
    """The model without slots."""
    slotted = [state for state in model.states if _is_slotted(state)]
    if not slotted or any(one.code == "E505" for one in model.unsupported):
        return model
    unpacker = _Unpacker({hyper.name: hyper for hyper in model.hypers})
    counts = unpacker.slotted
    counts |= {state.name: unpacker.count(state.level) for state in slotted}
    new = {name for state in slotted for name in _names(state.name, counts)}
    for taken in model.states:
        if taken.name in new:
            noted = Unsupported("E505", f"slots beside a state {taken.name}", span=taken.span)
            return replace(model, unsupported=(*model.unsupported, noted))
    try:
        sections = tuple(replace(s, body=unpacker.suite(s.body)) for s in model.sections)
    except _NotBySlot as met:
        noted = Unsupported("E505", "this use of slots", span=met.expr.span)
        return replace(model, unsupported=(*model.unsupported, noted))
    storage = tuple(
        replace(line, state=name) for line in model.storage for name in _names(line.state, counts)
    )
    return replace(
        model,
        states=tuple(one for state in model.states for one in _states(state, counts)),
        storage=storage,
        requires=(*model.requires, *_compiled_in(slotted, unpacker.hypers)),
        sections=sections,
    )


def _is_slotted(state: State) -> bool:
    return any(level.kind == "slots" for _, level in state.shapes)


def _names(name: str, counts: dict[str, int]) -> Iterator[str]:
    return (f"{name}_{i}" for i in range(counts[name])) if name in counts else iter((name,))


def _states(state: State, counts: dict[str, int]) -> Iterator[State]:
    shapes = tuple((test, level.of or level) for test, level in state.shapes)
    return (replace(state, name=name, shapes=shapes) for name in _names(state.name, counts))


def _compiled_in(slotted: list[State], hypers: dict[str, Hyper]) -> Iterator[Requirement]:
    """A hyper that counts slots has the value it was compiled with."""
    for size in dict.fromkeys(state.level.args[0] for state in slotted):
        if isinstance(size, Read):
            value = constant(capacity(size, hypers) or 0, size.span)
            yield Requirement(
                _apply("eq", size, value, level=GLOBAL),
                f"{size.name} is compiled in as {value.value}: for another value compile it anew, "
                f"with `({size.name} = ...)` behind its name",
                span=size.span,
            )


@dataclass(slots=True)
class _Unpacker:
    """`slotted`: how many slots each state has."""

    hypers: dict[str, Hyper]
    slotted: dict[str, int] = field(default_factory=dict[str, int])
    _numbers: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, level: Level) -> int:
        found = capacity(level.args[0], self.hypers)
        assert found is not None  # else the state was noted as not compiled
        return found

    # ------------------------------------------------------------ statements

    def suite(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return tuple(one for stmt in body for one in self.statement(stmt))

    def statement(self, stmt: Stmt) -> Iterator[Stmt]:
        match stmt:
            case Assign(kind=kind, name=name, value=value) if value.level.kind == "slots" or (
                kind == "state" and name in self.slotted
            ):
                yield from self._assign(stmt)
            case Assign(value=value):
                yield replace(stmt, value=self.value(value))
            case When(condition=condition, then=then, otherwise=otherwise):
                yield When(
                    self.value(condition), self.suite(then), self.suite(otherwise), span=stmt.span
                )
            case Repeat(body=body):
                yield replace(stmt, body=self.suite(body))
            case Guard(condition=condition):
                yield replace(stmt, condition=self.value(condition))
            case Reset(states=states):
                names = tuple(one for name in states for one in _names(name, self.slotted))
                yield replace(stmt, states=names)
            case _:
                yield stmt

    def _assign(self, stmt: Assign) -> Iterator[Stmt]:
        """All slots at once: what one slot gets may not see what another has been given."""
        value = stmt.value
        count = self.slotted.get(stmt.name) if stmt.kind == "state" else None
        places = range(count or self.count(value.level))
        if isinstance(value, Apply) and value.op == "put":
            whole, place, new = value.args
            kept = [self._aside(stmt, one) for one in (place, new)]
            yield from (aside for aside, _ in kept if aside is not None)
            value = replace(value, args=(whole, *(read for _, read in kept)))
        new_values = [self.component(value, i) for i in places]
        if _crosses(value):
            asides = [self._aside(stmt, one) for one in new_values]
            yield from (aside for aside, _ in asides if aside is not None)
            new_values = [read for _, read in asides]
        for i in places:
            yield replace(stmt, name=f"{stmt.name}_{i}", value=new_values[i])

    def _aside(self, stmt: Assign, value: Expr) -> tuple[Assign | None, Expr]:
        """A local that keeps a value, unless it is a number."""
        value = self.value(value)
        if isinstance(value, Const):
            return None, value
        number = self._numbers[stmt.name] = self._numbers.get(stmt.name, 0) + 1
        name = f"{stmt.name}.{number}.{stmt.name.rpartition('.')[2]}_new"
        read = Read("local", name, level=value.level, host=value.host, span=value.span)
        return Assign("local", name, value, span=stmt.span), read

    # ------------------------------------------------------------ expressions

    def component(self, expr: Expr, i: int) -> Expr:
        """What an expression is in slot i."""
        level = expr.level.of
        if expr.level.kind != "slots" or level is None:
            return self.value(expr)
        match expr:
            case Read():
                return replace(expr, name=f"{expr.name}_{i}", level=level)
            case Apply(op="put", args=(whole, place, new)):
                here = _apply("eq", place, constant(i, expr.span), level=place.level)
                return _apply("where", here, new, self.component(whole, i), level=level)
            case Apply(per=None):
                parts = tuple(self.component(arg, i) for arg in expr.args)
                return replace(expr, args=parts, level=level)
            case _:
                raise _NotBySlot(expr)

    def value(self, expr: Expr) -> Expr:
        """An expression that has no slots itself."""
        if not isinstance(expr, Apply):
            return expr
        first = expr.args[0] if expr.args else expr
        if not any(arg.level.kind == "slots" for arg in expr.args):
            options = tuple((name, self.value(option)) for name, option in expr.options)
            return replace(expr, args=tuple(map(self.value, expr.args)), options=options)
        parts = (
            [self.component(first, i) for i in range(self.count(first.level))]
            if first.level.kind == "slots"
            else []
        )
        match expr:
            case Apply(op="index", args=(_, place)) if parts:
                return self._indexed(parts, self.value(place))
            case Apply(op=op, per=Level()) if op in _FOLDS and parts:
                return _folded(expr, parts)
            case Apply(op=op, per=Level() as per) if op in _PLACES and first.level.of == per:
                return _place_of(expr, parts)
            case _:
                raise _NotBySlot(expr)

    def _indexed(self, parts: list[Expr], place: Expr) -> Expr:
        if isinstance(place, Const) and isinstance(place.value, int):
            return parts[place.value]
        found = parts[-1]
        for i, part in reversed(list(enumerate(parts[:-1]))):
            here = _apply("eq", place, constant(i, place.span), level=place.level)
            found = _apply("where", here, part, found, level=part.level)
        return found


def _folded(expr: Apply, parts: list[Expr]) -> Expr:
    """A reduction over the slots, and over what lies in one where `per` is coarser than it."""
    span = expr.span
    if expr.op == "count":
        parts = [_counted(part) for part in parts]
    whole = reduce(lambda a, b: _apply(_FOLDS[expr.op], a, b, level=a.level), parts)
    if expr.op == "mean":
        whole = _apply("div", whole, constant(len(parts), span), level=whole.level)
    if whole.level == expr.per:
        return whole
    return replace(expr, op="sum" if expr.op == "count" else expr.op, args=(whole,))


def _counted(x: Expr) -> Expr:
    one, nothing = constant(1, x.span), constant(0, x.span)
    if not (isinstance(x, Apply) and x.op in _COMPARISONS):
        x = _apply("ne", x, nothing, level=x.level)
    return _apply("where", x, one, nothing, level=x.level)


def _place_of(expr: Apply, parts: list[Expr]) -> Expr:
    """The first slot with the least (greatest) value."""
    better, best_of = _PLACES[expr.op]
    best, place = parts[0], constant(0, expr.span)
    found: Expr = place
    for i, part in enumerate(parts[1:], 1):
        wins = _apply(better, part, best, level=part.level)
        found = _apply("where", wins, constant(i, expr.span), found, level=part.level)
        best = _apply(best_of, best, part, level=part.level)
    return found


def _apply(op: str, *args: Expr, level: Level) -> Apply:
    host = all(arg.host for arg in args)
    return Apply(op, args, level=level, host=host, span=args[0].span)


def _crosses(value: Expr) -> bool:
    """Whether what goes to one slot is computed from others."""
    return any(
        isinstance(part, Apply) and any(arg.level.kind == "slots" for arg in part.args)
        and part.level.kind != "slots"
        for part in walk(value)
    )  # fmt: skip
