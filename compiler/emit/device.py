"""The host's part of a step once more, for numbers on a device: what a CUDA graph can hold.

    def on_device(hyper, fact, state):
        t = fact.t                               a 0-d float64 tensor, as are lr and host states
        return Choice(0, scalars=(scalar.choose(t == 1, 1, 1 - dampening), ...))

It is `host` with other words for what Python can say of floats only. A graph takes one path for
ever: a rule whose path depends on what changes from replay to replay has no such function, but a
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ...dsl.model import Apply, Expr, Model
from ..hosts import reads
from ..ir import Decide, Program, Refuse, Tree
from .host import Leaf, host_method
from .python import INFIX, python

_MOVING = frozenset({("fact", "t"), ("fact", "lr_scale"), ("fact", "base_lr"), ("hyper", "lr")})
_ALIKE = INFIX | {"neg", "abs", "square", "lerp", "select"}  # Python's word serves tensors as well
_SAME = "sqrt exp log log2 floor ceil tanh sin cos maximum minimum binade".split()
_WORDS = {
    "and": "both",
    "or": "either",
    "not": "scalar.opposite",
    **{op: f"scalar.{op}" for op in _SAME},
}

Lets = tuple[tuple[str, Expr], ...]


class FixedOnHostError(Exception):
    """Why a graph cannot hold the step."""


def device_method(model: Model, tree: Tree, leaf: Callable[[Program], Leaf]) -> list[str]:
    """The lines of `on_device`; FixedOnHostError where there can be none. Often `host` serves."""
    leaves: dict[int, Leaf] = {}
    moved = _tree(tree, leaf, leaves)
    doc = "`host` with t, lr and the host's states as 0-d float64 tensors."
    text = host_method(model, moved, lambda program: leaves[id(program)], "on_device", doc)
    if text[3:] == host_method(model, tree, leaf)[3:]:
        return ["    on_device = host  # what it computes, it computes of 0-d tensors as well"]
    return text


def _tree(tree: Tree, leaf: Callable[[Program], Leaf], leaves: dict[int, Leaf]) -> Tree:
    match tree:
        case Refuse():
            return tree
        case Decide(condition=condition, lets=lets):
            if _moves(condition, _moving(lets)):
                raise FixedOnHostError(f"its path depends on `{python(condition)}`")
            then = _tree(tree.then, leaf, leaves)
            otherwise = _tree(tree.otherwise, leaf, leaves)
            return Decide(condition, _lets(lets), then, otherwise)
        case Program(lets=lets):
            plan, moving = leaf(tree).plan, _moving(lets)
            _refuse(plan.sizes, [value for _, value in plan.scalars], moving)
            stores = [(n, _moved(value, moving)) for n, value in plan.program.host_stores]
            scalars = [(n, _moved(value, moving)) for n, value in plan.scalars]
            program = replace(plan.program, host_stores=tuple(stores))
            made = replace(tree, lets=_lets(lets))
            plan = replace(plan, scalars=tuple(scalars), program=program)
            leaves[id(made)] = Leaf(leaf(tree).path, plan)
            return made


def _refuse(sizes: Iterable[Expr], scalars: Iterable[Expr], moving: frozenset[str]) -> None:
    for size in sizes:
        if _moves(size, moving):
            raise FixedOnHostError(f"a size depends on `{python(size)}`")
    if any(read.name == "rounding_key" for scalar in scalars for read in reads(scalar)):
        raise FixedOnHostError("the random bits of its rounding are drawn by the number of a step")


def _moving(lets: Lets) -> frozenset[str]:
    """The host locals that change from replay to replay."""
    found: frozenset[str] = frozenset()
    for name, value in lets:
        if _moves(value, found):
            found |= {name}
    return found


def _moves(expr: Expr, lets: frozenset[str]) -> bool:
    return any(
        (read.kind, read.name) in _MOVING
        or read.kind == "state"
        or (read.kind == "local" and read.name in lets)
        for read in reads(expr)
    )


def _lets(lets: Lets) -> Lets:
    moving = _moving(lets)
    return tuple((name, _moved(value, moving)) for name, value in lets)


def _moved(expr: Expr, lets: frozenset[str]) -> Expr:
    """The expression in words for tensors, where it changes from replay to replay."""
    if not isinstance(expr, Apply) or not _moves(expr, lets):
        return expr
    args = tuple(_moved(arg, lets) for arg in expr.args)
    return replace(expr, op=_word(expr, expr.args, lets), args=args)


def _word(expr: Apply, args: Sequence[Expr], lets: frozenset[str]) -> str:
    if expr.op in ("select", "where") and _moves(args[0], lets):
        return "scalar.choose"
    if expr.op in _WORDS:
        return _WORDS[expr.op]
    if expr.op in _ALIKE:
        return expr.op
    raise FixedOnHostError(f"`{python(expr)}` is computed on the host")
