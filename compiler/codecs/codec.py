"""What a codec is: two maps between numbers and codes, and how the numbers get their scale.

    value  --compress-->  x  --top / scale-->  ratio  --encode-->  code      stored: code, scale
    code   --decode-->  ratio  --scale / top-->  x  --expand-->  value

The maps are arithmetic in nodes, so a codec fuses with the step it stores, on every target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir import Graph, Node
from .scales import Scaling

Map = Callable[[Graph, Node], Node]


@dataclass(frozen=True, slots=True)
class Codec:
    """`decode(code)` and `encode(ratio)`: the ratios of a block lie in [-top, top].

    `dtype` of the codes: `uint8`, or `uint4` (two to a byte, whose elements lie `plane` apart); or
    that of plain numbers, which have no scale and need no maps. `zero`: the code of 0, or any where
    0 has none (a new state has the scale 0 too).
    """

    name: str
    dtype: str = "uint8"
    scale: Scaling | None = None
    decode: Map | None = None
    encode: Map | None = None
    zero: int = 0
    top: float = 1.0
    compress: Map | None = None
    expand: Map | None = None
    plane: int = 0


def code_number(graph: Graph, code: Node, less: float = 0.0) -> Node:
    """A code as a number, less another one."""
    number = graph.node("real", code)
    if less < 0:
        return graph.node("add", number, graph.const(-less))
    return graph.node("sub", number, graph.const(less)) if less else number


def nearest_code(graph: Graph, x: Node, zero: int = 0) -> Node:
    """The code nearest to x + zero in [0, 255], rounded once; of two, the even one."""
    return graph.node("byte", x, attr=zero)


def line(graph: Graph, slope: float, x: Node, offset: float) -> Node:
    """slope * x + offset"""
    product = graph.node("mul", graph.const(slope), x)
    return graph.node("add", product, graph.const(offset)) if offset else product


def at_least(graph: Graph, x: Node, bound: float) -> Node:
    return graph.node("max_number", x, graph.const(bound))


def at_most(graph: Graph, x: Node, bound: float) -> Node:
    return graph.node("min_number", x, graph.const(bound))
