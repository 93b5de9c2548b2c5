"""Identities that hold in float arithmetic, and small powers.

Before:  add(mul(1, x), 0)      pow(g, 2)      neg(neg(x))    (g / sqrt(v))^2    where(c, f*x, x)
After:   x                      mul(g, g)      x              g * g / v          where(c, f, 1) * x

Keeps the author's order of operations: moving host factors together is `hoist`'s business. Nothing
that could turn a NaN into a number is applied (0 * x stays).
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from ...dsl.levels import ELEMENT, Level, join
from ..ir import GUARD, MATRIX, REDUCTIONS, Graph, Node, Program

_FOLDABLE: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "maximum": max,
    "minimum": min,
}


def simplify(program: Program) -> Program:
    """Apply the identities bottom-up."""
    return program.mapped(lambda node: _simpler(node, program.graph))


def _const(node: Node) -> float | None:
    return node.attr if node.op == "const" and isinstance(node.attr, float) else None


def _simpler(node: Node, graph: Graph) -> Node:
    node = _without_spread(node, graph)
    values = [_const(arg) for arg in node.args]
    match node.op, node.args:
        case "add" | "sub" | "mul" | "maximum" | "minimum" as op, (_, _):
            a, b = values
            if a is not None and b is not None:
                return graph.const(_FOLDABLE[op](a, b))
        case "neg", (Node(op="neg", args=(x,)),):
            return x
        case "neg", _ if values[0] is not None:
            return graph.const(-values[0])
        case _:
            pass
    return _identity(node, values, graph)


def _identity(node: Node, values: list[float | None], graph: Graph) -> Node:
    level = node.level
    match node.op, node.args:
        case "add", (a, b):
            kept = b if values[0] == 0 else a if values[1] == 0 else node
            if kept is node and b.op == "neg":
                kept = graph.node("sub", a, b.args[0], span=node.span)
        case "sub", (a, b):
            kept = a if values[1] == 0 else node
            if kept is node and b.op == "neg":
                kept = graph.node("add", a, b.args[0], span=node.span)
        case "mul", (x, y) if x is y:
            kept = _square(x, graph)
        case "mul", (a, b):
            kept = b if values[0] == 1 else a if values[1] == 1 else node
            if kept is node and -1 in values:
                kept = graph.node("neg", b if values[0] == -1 else a, span=node.span)
        case "div", (a, _):
            kept = a if values[1] == 1 else node
        case "pow", (x, _) if values[1] is not None:
            kept = _power(x, values[1], graph) or node
        case "where", (_, a, b) if a is b:
            kept = a
        case "where", _ if node.attr != GUARD:
            kept = _scaled_or_not(node, graph) or node
        case _:
            kept = node
    return kept if kept.level == level else node


def _scaled_or_not(node: Node, graph: Graph) -> Node | None:
    """`where(c, f * x, x)`, c and f coarser than x: a choice per row, not per element."""
    condition, scaled, x = node.args
    if scaled.op != "mul" or x not in scaled.args:
        return None
    (factor,) = [arg for arg in scaled.args if arg is not x] or [x]
    level = join(condition.level, factor.level)
    if level is None or level == x.level:
        return None
    scale = graph.node("where", condition, factor, graph.const(1), span=node.span)
    return graph.node("mul", scale, x, span=node.span)


def _power(x: Node, exponent: float, graph: Graph) -> Node | None:
    if exponent in (2, 3, 4):
        square = _square(x, graph)
        return {2: square, 3: graph.node("mul", square, x), 4: graph.node("mul", square, square)}[
            int(exponent)
        ]
    if exponent == 0.5:
        return graph.node("sqrt", x)
    if exponent == -0.5:
        return graph.node("rsqrt", x)
    if exponent == -1:
        return graph.node("div", graph.const(1), x)
    if exponent == 1:
        return x
    return graph.const(1) if exponent == 0 and x.op == "const" else None


def _square(x: Node, graph: Graph) -> Node:
    """x * x; of a quotient by a root, the quotient of what is under it."""
    match x:
        case Node(op="div", args=(a, Node(op="sqrt", args=(b,)))) if not x.is_host:
            return graph.node("div", graph.node("mul", a, a), b)
        case _:
            return graph.node("mul", x, x)


def _without_spread(node: Node, graph: Graph) -> Node:
    """Elementwise arithmetic spreads by itself: an explicit spread moves outwards, until a finer
    value takes it in, or a store or a reduction needs it."""
    if (
        node.op in REDUCTIONS | MATRIX
        or node.op == "spread"
        or not any(arg.op == "spread" for arg in node.args)
    ):
        return node
    args = tuple(arg.args[0] if arg.op == "spread" else arg for arg in node.args)
    level = _joined(args)
    bare = graph.node(node.op, *args, level=level, attr=node.attr, span=node.span)
    bare.label = bare.label or node.label
    return bare if level == node.level else graph.node("spread", bare, level=node.level)


def _joined(args: tuple[Node, ...]) -> Level:
    level = args[0].level
    for arg in args[1:]:
        level = join(level, arg.level) or ELEMENT
    return level
