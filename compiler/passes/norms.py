"""Save a pass over memory: a sum over a linear combination whose coefficients need a barrier.

Before:  r = norm(p) / norm(u);  n = sum((p - lr*r*u)^2)      the sum must wait for r: another pass
After:   n = pp - 2*lr*r*pu + lr^2*r^2*uu                      three sums taken in r's own pass

Applies to sums of products of two values that are linear, with coefficients per tensor (in a sum
over all tensors: one for all), in values which are ready one barrier earlier; the coefficients are
expanded and shared by sympy (`algebra.py`). The result is kept non-negative where the sum was of
squares, because expanding can cancel. Leaves sums alone that need no later pass than their terms,
and those over several tensors where these can follow different paths: all must add up the same.
"""

from __future__ import annotations

from ...dsl.levels import GLOBAL, TENSOR
from ..algebra import product_of_combinations
from ..ir import Graph, Node, Program, ordered
from ..stages import stages


def norms(program: Program) -> Program:
    """Expand sums that would otherwise cost a pass."""
    graph = program.graph
    stage = stages(program.roots)

    def late(node: Node) -> bool:
        alone = node.level == TENSOR or not program.decisions
        return node.op == "sum" and node.level.is_coarse and alone and stage.get(node, 0) > 0

    candidates = [n for n in ordered(program.roots) if late(n)]
    expanded = {n: new for n in candidates if (new := _expand(n, graph, stage)) is not None}
    if not expanded:
        return program
    return program.mapped(lambda node: expanded.get(node, node))


def _expand(total: Node, graph: Graph, stage: dict[Node, int]) -> Node | None:
    (term,) = total.args
    if term.level.kind != "element" or term.op != "mul" or stage[total] == 0:
        return None
    left, right = (_combination(factor, graph, stage) for factor in term.args)
    if left is None or right is None or len(left) + len(right) <= 2:
        return None
    late = max(stage.get(n, 0) for n in (*left, *right))
    finer = any(c.level not in (GLOBAL, total.level) for c in (*left.values(), *right.values()))
    if late >= stage[term] or finer:
        return None
    result = product_of_combinations(graph, left, right, total.level)
    if term.args[0] is term.args[1]:
        result = graph.node("maximum", result, graph.const(0))
    result.label = total.label
    return result


def _combination(node: Node, graph: Graph, stage: dict[Node, int]) -> dict[Node, Node] | None:
    """`node` as {element value: coefficient per tensor}, cutting where no barrier lies below."""
    if node.level.is_coarse:
        return None
    if stage.get(node, 0) == 0:
        return {node: graph.const(1)}
    match node.op, node.args:
        case "add" | "sub" as op, (a, b):
            left, right = _combination(a, graph, stage), _combination(b, graph, stage)
            if left is None or right is None:
                return None
            for key, coefficient in right.items():
                left[key] = graph.node(op, left.get(key, graph.const(0)), coefficient)
            return left
        case "neg", (a,):
            inner = _combination(a, graph, stage)
            return inner and {k: graph.node("neg", c) for k, c in inner.items()}
        case "mul", (a, b):
            scale, x = (a, b) if a.level.is_coarse else (b, a)
            inner = _combination(x, graph, stage) if scale.level.is_coarse else None
            return inner and {k: graph.node("mul", c, scale) for k, c in inner.items()}
        case "div", (x, scale) if scale.level.is_coarse:
            inner = _combination(x, graph, stage)
            return inner and {k: graph.node("div", c, scale) for k, c in inner.items()}
        case _:
            return None
