"""What a host condition that holds says about others.

    inside `when rows <= max_dim:`   `rows <= max_dim` is True, `rows > max_dim` is False
    inside `when mode == exact:`     `mode == approximate` is False

Conditions are kept as atoms (`<`, `==`, ...) that cannot change during a step: those that read
locals or states are not kept. Levels with a choice in them are settled by the same facts.
"""

from __future__ import annotations

from dataclasses import replace

from .context import Context, Facts
from .fold import Unknown, evaluate
from .levels import Level
from .model import Apply, Const, Expr, Read, walk


def unfold(c: Context, expr: Expr) -> Expr:
    """The expression with every `let` replaced by what it stands for."""
    match expr:
        case Read(kind="local", name=name) if name in c.lets:
            return unfold(c, c.lets[name])
        case Apply(args=args, options=options):
            unfolded = tuple(unfold(c, arg) for arg in args)
            named = tuple((name, unfold(c, value)) for name, value in options)
            return replace(expr, args=unfolded, options=named)
        case _:
            return expr


def assuming(c: Context, condition: Expr, truth: bool) -> Facts:
    """The facts where `condition` is `truth`."""
    facts = dict(c.facts)
    _assume(facts, unfold(c, condition), truth)
    return facts


def _assume(facts: Facts, condition: Expr, truth: bool) -> None:
    match condition:
        case Apply(op="not", args=(inner,)):
            _assume(facts, inner, not truth)
        case Apply(op="and", args=args) if truth:
            for arg in args:
                _assume(facts, arg, True)
        case Apply(op="or", args=args) if not truth:
            for arg in args:
                _assume(facts, arg, False)
        case _:
            if all(_is_fixed(part) for part in walk(condition)):
                atom, positive = _atom(condition)
                facts[atom] = truth == positive


def _is_fixed(expr: Expr) -> bool:
    return not isinstance(expr, Read) or expr.kind in ("hyper", "fact")


def holds(c: Context, condition: Expr) -> bool | None:
    """Whether a condition is known to hold here; None when it is not known."""
    return _holds(c, unfold(c, condition))


def _holds(c: Context, condition: Expr) -> bool | None:
    match condition:
        case Const(value=value):
            return bool(value)
        case Apply(op="not", args=(inner,)):
            inside = _holds(c, inner)
            return None if inside is None else not inside
        case Apply(op="and" | "or" as op, args=args):
            decisive = op == "or"
            values = [_holds(c, arg) for arg in args]
            if decisive in values:
                return decisive
            return c.facts.get(condition) if None in values else not decisive
        case _:
            atom, positive = _atom(condition)
            truth = c.facts.get(atom)
            if truth is None:
                truth = _by_elimination(c, atom)
            return None if truth is None else truth == positive


def _by_elimination(c: Context, atom: Expr) -> bool | None:
    """`mode == a` where `mode == b` is known, or every other choice is excluded."""
    match atom:
        case Apply(op="eq", args=(Read(kind="hyper", name=name) as read, Const(value=word))):
            hyper = c.hypers.get(name)
            if hyper is None:
                return None
            known: dict[object, bool] = {}
            for fact, truth in c.facts.items():
                if isinstance(fact, Apply) and fact.op == "eq" and fact.args[0] == read:
                    other = fact.args[1]
                    known[other.value if isinstance(other, Const) else None] = truth
            if any(truth for other, truth in known.items() if other != word):
                return False
            rest = [choice for choice in hyper.choices if choice != word]
            if rest and all(known.get(choice) is False for choice in rest):
                return True
            return None
        case _:
            return None


def _atom(condition: Expr) -> tuple[Expr, bool]:
    """One form for each comparison and its opposite: only `<` and `==` remain."""
    match condition:
        case Apply(op="ne", args=args):
            return replace(condition, op="eq", args=args), False
        case Apply(op="ge", args=args):
            return replace(condition, op="lt", args=args), False
        case Apply(op="gt", args=(left, right)):
            return replace(condition, op="lt", args=(right, left)), True
        case Apply(op="le", args=(left, right)):
            return replace(condition, op="lt", args=(right, left)), False
        case _:
            return condition, True


def settle(c: Context, level: Level) -> Level:
    """The level with the choices in its sizes made, where they are known here."""
    if not level.args:
        return level
    return replace(level, args=tuple(settle_size(c, arg) for arg in level.args))


def settle_size(c: Context, size: Expr) -> Expr:
    size = unfold(c, size)
    while isinstance(size, Apply) and size.op == "select":
        truth = _holds(c, size.args[0])
        if truth is None:
            break
        size = size.args[1] if truth else size.args[2]
    return size


def excludes_vectors(c: Context) -> bool:
    """Whether what is known here says that the parameter has two axes or more."""

    def excluded(ndim: int) -> bool:
        def value_of(read: Read) -> float | None:
            return ndim if (read.kind, read.name) == ("fact", "ndim") else None

        for fact, truth in c.facts.items():
            try:
                if bool(evaluate(fact, value_of)) != truth:
                    return True
            except Unknown:
                continue
        return False

    return excluded(0) and excluded(1)
