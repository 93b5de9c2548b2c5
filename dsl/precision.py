"""A codec that rounds small values to zero, under a square root that something is divided by.

    quantize v: dynamic8 ... direction = m / sqrt(v)     a small v reads back as 0: W402

With an `eps` beside the root the step stays finite: then it is a note that `inspect` shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .codecs import CODECS
from .context import Context
from .model import Apply, Assign, Const, Expr, Model, Read, Storage
from .structure import steps


def check_zero_codes(c: Context, model: Model) -> tuple[str, ...]:
    """Warn of every quantized state that an unguarded division takes the root of; the notes."""
    if not any(CODECS[line.codec].zero for line in model.storage):
        return ()
    notes: dict[str, None] = {}
    values = {
        stmt.name: stmt.value
        for stmt in steps(model.body)
        if isinstance(stmt, Assign) and stmt.kind == "local"
    }
    roots = _Roots(values)
    for stmt in steps(model.body):
        if not isinstance(stmt, Assign):
            continue
        for state, guarded in sorted(roots.divided(stmt.value)):
            line = _coarse(model, state)
            if line is None:
                continue
            if guarded:
                text = (
                    f"`{line.codec}` stores small values of `{state}` as 0; an eps guards its root"
                )
                notes[text] = None
                continue
            c.report.warn(
                "W402",
                f"`{line.codec}` stores small values of `{state}` as 0, "
                "and this divides by its root",
                stmt.span,
                "add an eps: `... / (sqrt(v) + eps)`, or take a codec without a zero code",
                ("quantized here", line.span),
            )
    return tuple(notes)


def _coarse(model: Model, name: str) -> Storage | None:
    """The last line with a code for zero that may hold for the state."""
    state = model.state(name)
    for line in reversed(model.storage):
        if line.names(state) and CODECS[line.codec].zero:
            return line
        if line.names(state) and line.condition is None:
            return None
    return None


Found = set[tuple[str, bool]]
"""(state, whether something is added to it or its root)"""


@dataclass(slots=True)
class _Roots:
    """`values` are those of the locals; what was found of one is found once."""

    values: dict[str, Expr]
    known: dict[tuple[str, bool], Found] = field(default_factory=dict[tuple[str, bool], Found])

    def divided(self, expr: Expr) -> Found:
        """The states under a root in a denominator."""
        if not isinstance(expr, Apply):
            return set()
        found: Found = set()
        for arg in expr.args:
            found |= self.divided(arg)
        match expr:
            case Apply(op="div", args=(_, below)):
                found |= self._root(below, False)
            case Apply(op="rsqrt", args=(inside,)):
                found |= self._inside(inside, False)
            case Apply(op="pow", args=(inside, Const(value=float() as power))) if power < 0:
                found |= self._inside(inside, False)
            case _:
                pass
        return found

    def _root(self, expr: Expr, guarded: bool) -> Found:
        match expr:
            case Read(kind="local", name=name) if name in self.values:
                key = name, guarded
                if key not in self.known:
                    self.known[key] = set()  # a local that its own value reads adds nothing
                    self.known[key] = self._root(self.values[name], guarded)
                return self.known[key]
            case Apply(op="sqrt", args=(inside,)):
                return self._inside(inside, guarded)
            case Apply(op="mul" | "div" | "add" | "maximum" as op, args=(left, right)):
                guarded = guarded or op in ("add", "maximum")
                return self._root(left, guarded) | self._root(right, guarded)
            case _:
                return set()

    def _inside(self, expr: Expr, guarded: bool) -> Found:
        """Of what stands under the root: the same, with or without something added there."""
        match expr:
            case Apply(op="add" | "maximum", args=(left, right)):
                return {(state, True) for state in self._states(left) | self._states(right)}
            case _:
                return {(state, guarded) for state in self._states(expr)}

    def _states(self, expr: Expr) -> set[str]:
        """The state whose zero would make the expression zero, if there is one."""
        seen: set[str] = set()
        while True:
            match expr:
                case Read(kind="state", name=name):
                    return {name}
                case Read(kind="local", name=name) if name in self.values and name not in seen:
                    seen.add(name)
                    expr = self.values[name]
                case Apply(op="mul" | "div" | "pow", args=(left, *_)):
                    expr = left
                case _:
                    return set()
