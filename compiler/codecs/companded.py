"""Companded codes: numbers are bent before they are evenly spaced, so small ones keep more digits.

    softsign8   signed:    y = 2x / (1 + |x|),  code = 127 + 127 y       x = y / (2 - |y|)
    sqrt8       unsigned:  code = 255 sqrt(x)                            x = y^2

in groups of 32 with a float16 scale, which for sqrt8 is that of the root (Databricks flashoptim,
arXiv:2602.23349).
"""

from __future__ import annotations

from ..ir import Graph, Node
from .codec import Codec, at_most, code_number, line, nearest_code
from .scales import Scale


def softsign8(block: int = 32) -> Codec:
    """8 bits, signed."""
    scale = Scale(block, "float16")
    return Codec("softsign8", "uint8", scale, _softsign_value, _softsign_code, 127)


def sqrt8(block: int = 32) -> Codec:
    """8 bits, unsigned."""
    scale = Scale(block, "float16")
    return Codec(
        "sqrt8", "uint8", scale, code_number, _root_code, 0, 255, compress=_root, expand=_square
    )


def _softsign_value(graph: Graph, code: Node) -> Node:
    q = code_number(graph, code, 127)
    bent = graph.node("sub", graph.const(2 * 127), graph.node("abs", q))
    ratio = graph.node("mul", q, graph.node("inverse", bent))
    ratio.label = "ratio"  # what has a name is not taken apart: C looks it up in a table
    return ratio


def _softsign_code(graph: Graph, x: Node) -> Node:
    size = at_most(graph, graph.node("abs", x), 1)
    bent = line(graph, 1 / (2 * 127), size, 1 / (2 * 127))
    y = graph.node("mul", size, graph.node("inverse", bent))
    return nearest_code(graph, graph.node("copysign", y, x), 127)


def _root_code(graph: Graph, ratio: Node) -> Node:
    return nearest_code(graph, at_most(graph, ratio, 255))


def _root(graph: Graph, x: Node) -> Node:
    return graph.node("sqrt", graph.node("maximum", x, graph.const(0)))


def _square(graph: Graph, x: Node) -> Node:
    return graph.node("mul", x, x)
