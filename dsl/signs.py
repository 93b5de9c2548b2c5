"""Which states can be negative, and what that means for how they are stored.

    v = lerp(v, grad^2, 1 - beta2)       never negative: `quantize v: dynamic8` takes unsigned codes

Judged by what the spec says, not by values: squares, roots, magnitudes, and sums, products,
quotients and averages of what is not negative. A state begins at a value that is not negative and
is only ever assigned such. Where a line says `signed = ...` that holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .codecs import CODECS
from .context import Context
from .model import Apply, Assign, Const, Expr, Model, Read, State, Storage, constant
from .structure import steps

_NEVER = frozenset(
    """square abs sqrt rsqrt exp exp2 sigmoid softplus norm rms std count eq ne lt le gt ge and or
    not""".split()
)
_FACTS = frozenset({"t", "lr", "base_lr", "lr_scale", "numel", "rows", "cols", "ndim", "size"})


def with_signs(c: Context, model: Model) -> Model:
    """The model with `signed` said on every storage line that leaves it open; warnings where a
    codec does not suit the sign of a state."""
    if not model.storage:
        return model
    never = nonnegative_states(model)
    lines: list[Storage] = []
    for line in model.storage:
        lines.append(line)
        names = _stored_by(model, line)
        open_ = "signed" in CODECS[line.codec].options and "signed" not in dict(line.options)
        unsigned = names & never if open_ else frozenset[str]()
        if line.state != "all" and unsigned:
            lines[-1] = _unsigned(line, line.state)
        elif line.state == "all":
            lines += [_unsigned(line, name) for name in sorted(unsigned)]
        _warn(c, line, sorted(names - unsigned), never)
    return replace(model, storage=tuple(lines))


def _stored_by(model: Model, line: Storage) -> frozenset[str]:
    if line.state != "all":
        return frozenset({line.state})
    return frozenset(
        s.name for s in model.states if s.level.kind == "element" and not (s.exact or s.host)
    )


def _unsigned(line: Storage, state: str) -> Storage:
    signed = ("signed", constant(False, line.span))
    return replace(line, state=state, options=(*line.options, signed))


def _warn(c: Context, line: Storage, names: list[str], never: frozenset[str]) -> None:
    kind, options = CODECS[line.codec], dict(line.options)
    said = options.get("signed")
    unsigned = not kind.signed or (isinstance(said, Const) and not said.value)
    for name in names:
        if unsigned and name not in never:
            c.report.warn(
                "W405",
                f"`{name}` may be negative, and `{line.codec}` stores that as its least value",
                line.span,
                "take a codec with a sign: `dynamic8`, `softsign8`",
            )
        elif (
            not kind.zero and line.codec != "none" and not unsigned and "asymmetric" not in options
        ):
            c.report.warn(
                "W406",
                f"`{line.codec}` has no code for 0, so `{name}` never rests",
                line.span,
                "take a codec that holds 0: `dynamic4`, `dynamic8`, `linear8`",
            )


# ---------------------------------------------------------------- signs


def nonnegative_states(model: Model) -> frozenset[str]:
    """The states that are never negative."""
    assigned: dict[tuple[str, str], list[Expr]] = {}
    for stmt in steps(model.body):
        if isinstance(stmt, Assign):
            assigned.setdefault((stmt.kind, stmt.name), []).append(stmt.value)
    known = frozenset(state.name for state in model.states)
    while True:
        signs = _Signs(model, assigned, known)
        left = frozenset(s.name for s in model.states if s.name in known and signs.holds(s))
        if left == known:
            return known
        known = left


@dataclass(slots=True)
class _Signs:
    model: Model
    assigned: dict[tuple[str, str], list[Expr]]
    known: frozenset[str]

    def holds(self, state: State) -> bool:
        """Whether a state begins and stays not negative, if all `known` do."""
        return self.all((state.initial, *self.assigned.get(("state", state.name), ())), 0)

    def all(self, exprs: Iterable[Expr], depth: int) -> bool:
        return all(self.never(expr, depth + 1) for expr in exprs)

    def never(self, expr: Expr, depth: int) -> bool:
        """Whether a value is never negative (NaN aside)."""
        if depth > 40:
            return False
        match expr:
            case Const(value=value):
                return not isinstance(value, str) and value >= 0
            case Read(kind="state", name=name):
                return name in self.known
            case Read(kind="local", name=name):
                values = self.assigned.get(("local", name), [])
                return bool(values) and self.all(values, depth)
            case Read(kind="hyper", name=name):
                return self._bounds(name)[0] >= 0
            case Read(kind="fact", name=name):
                return name in _FACTS
            case Apply(op=op, args=args):
                return self._apply(op, args, depth)
            case _:
                return False

    def _apply(self, op: str, args: tuple[Expr, ...], depth: int) -> bool:
        match op, args:
            case _, _ if op in _NEVER:
                return True
            case "pow", (_, Const(value=int() as power)) if power % 2 == 0:
                return True
            case "pow", (base, _):
                return self.never(base, depth)
            case "mul", (a, b) if a == b:
                return True
            case "mul" | "add" | "div" | "minimum" | "lerp", _:
                return self.all(args, depth)
            case "maximum", _:
                return any(self.never(arg, depth + 1) for arg in args)
            case "clamp", (_, low, _):
                return self.never(low, depth)
            case "where" | "select", (_, a, b):
                return self.all((a, b), depth)
            case "sum" | "mean" | "max" | "min" | "cast" | "quantile" | "stored", (x, *_):
                return self.never(x, depth)
            case "sub", (Const(value=int() | float() as one), Read(kind="hyper", name=name)):
                return self._bounds(name)[1] <= one
            case _:
                return False

    def _bounds(self, name: str) -> tuple[float, float]:
        for hyper in self.model.hypers:
            if (name == hyper.name or name in hyper.items) and hyper.bounds is not None:
                return hyper.bounds.low, hyper.bounds.high
        return float("-inf"), float("inf")
