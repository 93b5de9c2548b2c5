"""The streams of a path: how the model declares what it keeps in memory.

state m: like param      Stream(m, element, real, 0)        with the codec that `quantize` names
state v: per rows        Stream(v, rows, real, 0)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..dsl.levels import ELEMENT, GLOBAL, GROUP
from ..dsl.model import Apply, Const, Expr, Read, State, Storage, constant
from ..dsl.source import NOWHERE
from .ir import Stream
from .names import Names

FIRST = Read("fact", "first", level=GLOBAL, host=True, span=NOWHERE)


@dataclass(slots=True)
class Declared:
    """The streams that a path has touched so far."""

    names: Names
    _touched: dict[str, Stream] = field(default_factory=dict[str, Stream])

    def stream(self, name: str) -> Stream:
        """The stream called `name`, touched from now on."""
        if name not in self._touched:
            self._touched[name] = self._declared(name)
        return self._touched[name]

    def all(self) -> tuple[Stream, ...]:
        """Every stream touched, param and grad first, then states as declared."""
        states = [state.name for state in self.names.model.states]
        order = {name: place for place, name in enumerate(("param", "grad", *states))}
        return tuple(sorted(self._touched.values(), key=lambda stream: order[stream.name]))

    def _declared(self, name: str) -> Stream:
        if name in ("param", "grad"):
            return Stream(name, ELEMENT, name)
        state = self.names.model.state(name)
        level = self.names.level(self.names.first_of(state.shapes))
        initial: float | str = 0.0
        match self.names.host(state.initial) if state.initial.host else state.initial:
            case Const(value=value) if not isinstance(value, str):
                initial = float(value)
            case Read(kind="param"):
                initial = "param"
            case Apply(op="identity"):
                initial = "identity"
            case _:
                pass
        return Stream(name, level, state.dtype or "real", initial, self._codec(state))

    def _codec(self, state: State) -> Storage | None:
        """The storage line that holds for `state` on this path; None: stored plainly."""
        for line in reversed(self.names.model.storage):
            if line.names(state) and (line.condition is None or self.names.decide(line.condition)):
                return None if line.codec == "none" else line
        return None


def runtime_fills(stream: Stream, state: State) -> bool:
    """Whether the runtime can make the initial content itself when it allocates the state."""
    match state.initial:
        case Const(value=value):
            return stream.codec is None or value == 0
        case Read(kind="param"):
            return stream.codec is None and stream.dtype == "real" and stream.level == ELEMENT
        case Apply(op="identity"):
            return stream.level.kind == "matrix"
        case _:
            return False


def is_new(state: State, stream: Stream) -> Expr:
    """The condition under which a state has yet to be given its initial value."""
    if state.condition is None and stream.level not in (GLOBAL, GROUP):
        return FIRST
    kind = stream.level.kind if stream.level in (GLOBAL, GROUP) else "tensor"
    words = (constant(state.name, state.span), constant(kind, state.span))
    return Apply("lacks", words, level=GLOBAL, host=True, span=state.span)
