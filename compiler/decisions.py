"""Which way host conditions go on one path, as far as that has been decided.

taken     t % k == 0: true        ndim == 2: false
decide(not (t % k == 0))          false
decide(numel > 64)                raises Undecided: the path splits here (see `lower`)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..dsl.model import Apply, Const, Expr, Read
from .hosts import apply

Lets = list[tuple[str, Expr]]

_OPPOSITES = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
_TURNED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


class Undecided(Exception):
    """A host condition was met whose outcome is not among the decisions."""

    def __init__(self, condition: Expr, lets: tuple[tuple[str, Expr], ...]):
        self.condition = condition
        self.lets = lets


class Refused(Exception):
    """Under these decisions the optimizer does not take the tensor."""

    def __init__(self, message: str):
        self.message = message


@dataclass(slots=True)
class Decisions:
    """The decisions of one path. `lets` are the host locals so far: a condition may read them."""

    taken: dict[Expr, bool]
    lets: Lets = field(default_factory=Lets)

    def decide(self, condition: Expr) -> bool:
        """The outcome of a host condition; raises Undecided if it is open."""
        named = self._named(condition)
        if named is not None:
            return named
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
        known = self.taken.get(condition)
        if known is None:
            known = self._implied(condition)
        if known is None:
            raise Undecided(condition, tuple(self.lets))
        return known

    def _named(self, condition: Expr) -> bool | None:
        """What has been decided of a host local that stands for this condition."""
        lets = dict(self.lets)
        for known, outcome in self.taken.items():
            if isinstance(known, Read) and lets.get(known.name) == condition:
                return outcome
        return None

    def _implied(self, condition: Expr) -> bool | None:
        """A name known to equal one constant equals no other; `a <= b` is the opposite of `a > b`,
        which is `b < a`."""
        match condition:
            case Apply(op=op, args=(a, b)) if op in _OPPOSITES:
                turned = replace(condition, op=_TURNED[op], args=(b, a))
                if turned in self.taken:
                    return self.taken[turned]
                for opposite in (condition, turned):
                    opposite = replace(opposite, op=_OPPOSITES[opposite.op])
                    if opposite in self.taken:
                        return not self.taken[opposite]
            case Apply(op="eq", args=(x, Const(value=value))):
                for known, outcome in self.taken.items():
                    match known:
                        case Apply(op="eq", args=(y, Const(value=other))) if y == x and outcome:
                            return other == value
                        case _:
                            pass
            case _:
                pass
        return None
