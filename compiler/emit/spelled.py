"""Steps as one kind of kernel writes them: codes' maps as arithmetic, or quotients quickly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ...dsl.levels import ELEMENT
from ..codecs import plain
from ..ir import CODES, Graph, Node, Store, ordered
from ..plan import Finish, MatrixStep, Plan, Sweep
from ..tables import step_roots
from .c_encode import is_quick

_Step = TypeVar("_Step", bound=Sweep | Finish | MatrixStep)


def spelled_out(plan: Plan, step: _Step) -> _Step:
    """The step with every map of a code as arithmetic."""
    return rewritten(plan, step, plain)


def for_blocks(plan: Plan, step: Sweep) -> Sweep:
    """The step of a C sweep: codes may be made by `encode` (`c_encode.py`); and a value whose root
    is stored, and one by a factor taken too, has one root taken.

    sqrt(max(v, 0)), sqrt(c * v)     ->     0 if v < 0 else sqrt(v), sqrt(c) * sqrt(v)

    A remainder is within half a unit on both sides, and becomes a whole number in two instructions.
    """
    quick = {store.value for store in step.stores if is_quick(store, step.cell)}
    maps = {node for node in ordered(step_roots(step)) if node.op == "dynamic_code"}
    step = rewritten(plan, step, _but_codes if quick == maps else plain)
    step = rewritten(plan, step, _whole)
    roots = {node.args[0] for node in ordered(step_roots(step)) if node.op == "sqrt"}
    stored, factored = map(_not_below_zero, roots), map(_factored, roots)
    shared = {x for x in stored if x is not None} & {pair[1] for pair in factored if pair}
    return rewritten(plan, step, partial(_one_root, shared)) if shared else step


def _whole(graph: Graph, node: Node) -> Node:
    match node.op, node.args:
        case "max_number", (Node(op="min_number", args=(Node(op="in_half_ulps"), _)) as most, _):
            return most  # from -1 up: a number is never farther from the one it is rounded to
        case "copysign", (Node(op="floor", args=(Node(op="add", args=(size, half)),)), x):
            if size.op == "abs" and size.args[0] is x and half.attr == 0.5:
                return graph.node("away", x, level=node.level)
        case _:
            pass
    return node


def _one_root(shared: set[Node], graph: Graph, node: Node) -> Node:
    if node.op != "sqrt":
        return node
    (arg,) = node.args
    match _factored(arg), _not_below_zero(arg):
        case (factor, x), _ if x in shared:
            return graph.node("mul", graph.node("sqrt", factor), graph.node("sqrt", x))
        case _, Node() as x if x in shared:
            below = graph.node("lt", x, graph.const(0))
            return graph.node("where", below, graph.const(0), graph.node("sqrt", x))
        case _:
            return node


def _not_below_zero(node: Node) -> Node | None:
    """x of max(x, 0)."""
    if node.op != "maximum" or node.level != ELEMENT:
        return None
    x, bound = node.args if node.args[1].op == "const" else node.args[::-1]
    return x if bound.op == "const" and bound.attr == 0 else None


def _factored(node: Node) -> tuple[Node, Node] | None:
    """(c, x) of c * x, where c is one number per tensor."""
    if node.op == "mul" and node.level == ELEMENT:
        for factor, x in (node.args, node.args[::-1]):
            if factor.level.is_coarse and factor.op != "const":
                return factor, x
    return None


def _but_codes(graph: Graph, node: Node) -> Node:
    return node if node.op == "dynamic_code" else plain(graph, node)


def for_one_warp(plan: Plan, step: _Step) -> _Step:
    """The step where one warp has a tile and looks codes up: there instructions are short, and what
    a quotient loses is far below what a code does."""
    streams = [*step.loads, *(store.stream for store in step.stores)]
    return rewritten(plan, step, _quick) if CODES & {s.dtype for s in streams} else step


def _quick(graph: Graph, node: Node) -> Node:
    quick = node.op == "div" and node.level == ELEMENT
    return graph.node("quotient", *node.args, level=ELEMENT) if quick else node


def rewritten(plan: Plan, step: _Step, rule: Callable[[Graph, Node], Node]) -> _Step:
    """The step with every value that it stores or sums up made anew by a rule."""
    if isinstance(step, Finish):
        return step
    graph = plan.program.graph
    new = graph.rewrite(step_roots(step), partial(rule, graph))
    stores = tuple(Store(store.stream, new[store.value]) for store in step.stores)
    if not isinstance(step, Sweep):
        return replace(step, stores=stores)
    partials = tuple(replace(part, value=new[part.value]) for part in step.partials)
    return replace(step, stores=stores, partials=partials)
