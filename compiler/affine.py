"""Products, quotients and roots without multipliers, spelled out as ordinary arithmetic.

    affine_product(x, y)   binade(x) * binade(y) * (s < 1 ? 1 + s : 2 s), s = x's and y's fractions

The meaning is in dsl/affine.py. Factors are powers of two and fractions are added before their
ones, so products and quotients are exact: the bits that adding integers would give, in any target.
A root rounds where halving an odd integer would cut.
"""

from __future__ import annotations

from .ir import Graph, Node

_NORMAL = 2.0**-126
AFFINE = {"affine_product", "affine_quotient", "affine_root"}


def spelled_out(graph: Graph, op: str, args: tuple[Node, ...]) -> Node:
    """The node of one affine operation."""
    match op, args:
        case "affine_root", (x,):
            return _root(graph, x)
        case "affine_product", (a, b):
            return _product(graph, a, b)
        case _:
            return _quotient(graph, *args)


def _product(graph: Graph, a: Node, b: Node) -> Node:
    exact = graph.node("mul", a, b)
    (x, p), (y, q) = _parts(graph, a), _parts(graph, b)
    both = graph.node("add", x, y)
    carried = graph.node("mul", both, graph.const(2))
    less = graph.node("lt", both, graph.const(1))
    mantissa = graph.node("where", less, _plus(graph, both, 1), carried)
    return _unless_special(graph, exact, mantissa, graph.node("mul", p, q), a, b)


def _quotient(graph: Graph, a: Node, b: Node) -> Node:
    exact = graph.node("div", a, b)
    (x, p), (y, q) = _parts(graph, a), _parts(graph, b)
    difference = graph.node("sub", x, y)
    borrowed = graph.node("mul", difference, graph.const(0.5))
    less = graph.node("lt", difference, graph.const(0))
    mantissa = _plus(graph, graph.node("where", less, borrowed, difference), 1)
    return _unless_special(graph, exact, mantissa, graph.node("div", p, q), a, b)


def _root(graph: Graph, x: Node) -> Node:
    exact = graph.node("sqrt", x)
    fraction, power = _parts(graph, x)
    above = graph.node("mul", graph.node("sqrt", power), graph.const(1.001))  # roots may round down
    root = graph.node("binade", above)
    left = graph.node("div", power, graph.node("mul", root, root))  # 1 or 2
    twice = graph.node("add", left, _plus(graph, fraction, 1))
    mantissa = graph.node("mul", twice, graph.const(0.5))
    return _unless_special(graph, exact, mantissa, root, x)


def _parts(graph: Graph, x: Node) -> tuple[Node, Node]:
    """f and 2^e of the size of x."""
    size = graph.node("abs", x)
    power = graph.node("binade", size)
    return _plus(graph, graph.node("div", size, power), -1), power


def _unless_special(graph: Graph, exact: Node, mantissa: Node, power: Node, *inside: Node) -> Node:
    """mantissa * power with the exact result's sign; the exact result where a number of the data is
    zero, subnormal, infinite or NaN. (On the host nothing is subnormal: zero shows in the result.)
    """
    size = graph.node("abs", exact)
    usual = graph.node("lt", size, graph.const(float("inf")))
    for x in (exact, *(x for x in inside if not x.is_host)):
        normal = graph.node("ge", graph.node("abs", x), graph.const(_NORMAL))
        usual = graph.node("and", usual, normal)
    value = graph.node("mul", mantissa, power)
    minus = graph.node("lt", exact, graph.const(0))
    signed = graph.node("where", minus, graph.node("neg", value), value)
    return graph.node("where", usual, signed, exact)


def _plus(graph: Graph, x: Node, number: float) -> Node:
    return graph.node("add", x, graph.const(number))
