"""Companded codes: numbers are bent before they are evenly spaced, so small ones keep more digits.

    softsign8   signed:    y = 2x / (1 + |x|),  code = 127 + 127 y       x = y / (2 - |y|)
    sqrt8       unsigned:  code = 255 sqrt(x)                            x = y^2

in groups of 32 with a float16 scale, which for sqrt8 is that of the root (Databricks flashoptim,
arXiv:2602.23349).
"""

from __future__ import annotations

from ..ir import Graph, Node
from .codec import Codec, code_number, line, nearest_code
from .scales import Scale


def softsign8(block: int = 32) -> Codec:
    """8 bits, signed."""
    scale = Scale(block, "float16")
    return Codec("softsign8", "uint8", scale, _softsign_value, _softsign_code, 127)


def sqrt8(block: int = 32) -> Codec:
    """8 bits, unsigned."""
    scale = Scale(block, "float16")
    return Codec(
        "sqrt8", "uint8", scale, code_number, nearest_code, 0, 255, compress=_root, expand=_square
    )


def _softsign_value(graph: Graph, code: Node) -> Node:
    q = code_number(graph, code, 127)
    bent = graph.node("sub", graph.const(2 * 127), graph.node("abs", q))
    return graph.node("div", q, bent)


def _softsign_code(graph: Graph, x: Node) -> Node:
    size = graph.node("add", graph.node("abs", x), graph.const(1))
    y = graph.node("div", line(graph, 2 * 127, x, 0), size)
    return nearest_code(graph, y, 127)


def _root(graph: Graph, x: Node) -> Node:
    return graph.node("sqrt", graph.node("maximum", x, graph.const(0)))


def _square(graph: Graph, x: Node) -> Node:
    return graph.node("mul", x, x)
