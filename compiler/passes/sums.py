"""Spare a walk over elements: what a sum is by itself, once another sum is known.

Before:  sum(c*x, per rows), c per row      sum((c*p)^2, per rows)      x = y - mean(y, per rows)
After:   c * sum(x, per rows)               c^2 * sum(p^2, per rows)    x - mean(x) = x

A factor that is one number for all that is summed is taken out: the sum need not wait for it. What
has lost its mean per row has none over the whole tensor either. Host factors stay inside, where
they keep what is summed in range. Sums over several tensors stay as they are: tensors on other
paths add to them.
"""

from __future__ import annotations

from ...dsl.levels import TENSOR, Level, refines
from ..ir import Graph, Node, Program


def sums(program: Program) -> Program:
    """Apply both rules bottom-up, means first: they are known by what is summed."""
    graph = program.graph
    return program.mapped(_uncentred_once).mapped(lambda node: _taken_out(node, graph))


def _uncentred_once(node: Node) -> Node:
    """x instead of x - mean(x) where x = y - mean(y) over cells of which the new mean has all."""
    if (inner := _mean_taken_from(node)) is None:
        return node
    centred, over = inner
    within = _mean_taken_from(centred)
    return centred if within is not None and refines(within[1], over) else node


def _mean_taken_from(node: Node) -> tuple[Node, Level] | None:
    """x and the level of the mean if the value is x - mean(x)."""
    match node:
        case Node(op="sub", args=(x, Node(op="div", args=(Node(op="sum", args=(term,)) as s, by)))):
            alone = refines(s.level, TENSOR)
            return (x, s.level) if term is x and by.is_host and alone else None
        case _:
            return None


def _taken_out(node: Node, graph: Graph) -> Node:
    """A sum over a product as the product of what is one number for the sum, and the rest's sum."""
    if node.op != "sum" or node.args[0].level.is_coarse or not refines(node.level, TENSOR):
        return node
    factor, rest = _apart(node.args[0], node.level, graph)
    if factor is None:
        return node
    if rest.level != node.args[0].level:
        rest = graph.node("spread", rest, level=node.args[0].level)
    total = graph.node("sum", rest, level=node.level, span=node.span)
    total.label = total.label or node.label
    return graph.node("mul", factor, total, span=node.span)


def _apart(node: Node, level: Level, graph: Graph) -> tuple[Node | None, Node]:
    """A product as its factors that are one number for each cell of `level`, and the others."""
    match node:
        case Node(op="mul", args=(a, b)):
            for factor, rest in ((a, b), (b, a)):
                if _is_one_number(factor, level):
                    more, rest = _apart(rest, level, graph)
                    return factor if more is None else graph.node("mul", factor, more), rest
            left, x = _apart(a, level, graph)
            right, y = (left, x) if a is b else _apart(b, level, graph)
            if left is None and right is None:
                return None, node
            factors = [f for f in (left, right) if f is not None]
            factor = factors[0] if len(factors) == 1 else graph.node("mul", *factors)
            return factor, graph.node("mul", x, y)
        case Node(op="div", args=(a, b)) if _is_one_number(b, level):
            factor, x = _apart(a, level, graph)
            return graph.node("div", factor or graph.const(1), b), x
        case _:
            return None, node


def _is_one_number(node: Node, level: Level) -> bool:
    return not node.is_host and refines(level, node.level)
