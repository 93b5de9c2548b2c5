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
from .model import Apply, Assign, Const, Expr, Model, Read, Storage, constant
from .structure import steps

_NEVER = frozenset(
    """square abs sqrt rsqrt exp exp2 sigmoid softplus norm rms std count eq ne lt le gt ge and or
    not""".split()
)

_Key = tuple[str, str]  # ("state" or "local", name)


def with_signs(c: Context, model: Model) -> Model:
    """The model with `signed` said on every storage line that leaves it open; warnings where a
    codec does not suit the sign of a state."""
    if not model.storage:
        return model
    never = nonnegative_states(model)
    lines: list[Storage] = []
    for line in model.storage:
        lines.append(line)
        names = frozenset(state.name for state in model.states if line.names(state))
        open_ = "signed" in CODECS[line.codec].options and "signed" not in dict(line.options)
        unsigned = names & never if open_ else frozenset[str]()
        if line.state != "all" and unsigned:
            lines[-1] = _unsigned(line, line.state)
        elif line.state == "all":
            lines += [_unsigned(line, name) for name in sorted(unsigned)]
        _warn(c, line, sorted(names - unsigned), never)
    return replace(model, storage=tuple(lines))


def _unsigned(line: Storage, state: str) -> Storage:
    signed = ("signed", constant(False, line.span))
    return replace(line, state=state, options=(*line.options, signed))


def _warn(c: Context, line: Storage, names: list[str], never: frozenset[str]) -> None:
    kind = CODECS[line.codec]
    said = {name: value.value for name, value in line.options if isinstance(value, Const)}
    unsigned = not kind.signed or not said.get("signed", True)
    rests = kind.zero or unsigned or line.codec == "none" or said.get("asymmetric", False)
    for name in names:
        if unsigned and name not in never:
            c.report.warn(
                "W405",
                f"`{name}` may be negative, and `{line.codec}` stores that as its least value",
                line.span,
                "take a codec with a sign: `dynamic8`, `softsign8`",
            )
        elif not rests:
            c.report.warn(
                "W406",
                f"`{line.codec}` has no code for 0, so `{name}` never rests",
                line.span,
                "take a codec that holds 0: `dynamic4`, `dynamic8`, `linear8`",
            )


# ---------------------------------------------------------------- signs


def nonnegative_states(model: Model) -> frozenset[str]:
    """The states that are never negative."""
    given: dict[_Key, list[Expr]] = {("state", s.name): [s.initial] for s in model.states}
    for stmt in steps(model.body):
        if isinstance(stmt, Assign):
            given.setdefault((stmt.kind, stmt.name), []).append(stmt.value)
    given.pop(("state", "loss"), None)  # the caller of a step writes it
    signs = _Signs(model, set(given))
    while negative := {key for key in signs.known if not signs.all(given[key])}:
        signs.known -= negative
    return frozenset(name for kind, name in signs.known if kind == "state")


@dataclass(slots=True)
class _Signs:
    """`known`: states and locals taken for never negative. What holds for all that they are given
    if it holds for them, holds from the first step on."""

    model: Model
    known: set[_Key]

    def all(self, exprs: Iterable[Expr]) -> bool:
        return all(map(self.never, exprs))

    def never(self, expr: Expr) -> bool:
        """Whether a value is never negative (NaN aside)."""
        match expr:
            case Const(value=value):
                return not isinstance(value, str) and value >= 0
            case Read(kind="state" | "local" as kind, name=name):
                return (kind, name) in self.known
            case Read(kind="hyper", name=name):
                return self._bounds(name)[0] >= 0
            case Read(kind="fact"):
                return True  # a count, a rate or a truth; words are in no state
            case Apply(op=op, args=args):
                return self._apply(op, args)
            case _:
                return False

    def _apply(self, op: str, args: tuple[Expr, ...]) -> bool:
        match op, args:
            case _, _ if op in _NEVER:
                return True
            case "pow", (_, Const(value=int() as power)) if power % 2 == 0:
                return True
            case "pow", (base, _):
                return self.never(base)
            case "mul", (a, b) if a == b:
                return True
            case "mul" | "add" | "div" | "minimum" | "lerp", _:
                return self.all(args)
            case "maximum", _:
                return any(map(self.never, args))
            case "clamp", (_, low, _):
                return self.never(low)
            case "where" | "select", (_, a, b):
                return self.all((a, b))
            case "sum" | "mean" | "max" | "min" | "cast" | "quantile" | "stored", (x, *_):
                return self.never(x)
            case "sub", (Const(value=int() | float() as one), Read(kind="hyper", name=name)):
                return self._bounds(name)[1] <= one
            case _:
                return False

    def _bounds(self, name: str) -> tuple[float, float]:
        for hyper in self.model.hypers:
            if (name == hyper.name or name in hyper.items) and hyper.bounds is not None:
                return hyper.bounds.low, hyper.bounds.high
        return float("-inf"), float("inf")
