"""The only door to sympy. The compiler's trees keep the author's form; sympy is asked questions.

    product_of_combinations(...)   the sum over (sum a_i x_i)(sum b_j y_j), term by term

Spec text never reaches sympy: expressions are built node by node from the graph.
"""

from __future__ import annotations

from typing import Any

import sympy

from ..dsl.levels import ELEMENT, Level
from .ir import Graph, Node


def product_of_combinations(
    graph: Graph, left: dict[Node, Node], right: dict[Node, Node], level: Level
) -> Node:
    """Nodes for sum((sum a_i x_i) * (sum b_j y_j), per level), as sums of x_i * y_j times
    coefficients. sympy expands the product and collects equal pairs, so x*y and y*x are taken once
    and a pair whose coefficient vanishes is not taken at all."""
    elements = list(dict.fromkeys([*left, *right]))
    symbols: dict[Node, Any] = {x: sympy.Symbol(f"x{i}") for i, x in enumerate(elements)}
    coefficients: dict[Any, Node] = {}
    sides: list[Any] = []
    for side in (left, right):
        combination: Any = sympy.Integer(0)
        for x, c in side.items():
            if c.op == "const" and isinstance(c.attr, float):
                factor: Any = sympy.Rational(str(c.attr))
                combination += factor * symbols[x]
            else:
                name = next((s for s, n in coefficients.items() if n is c), None)
                if name is None:
                    name = sympy.Symbol(f"c{len(coefficients)}")
                    coefficients[name] = c
                combination += name * symbols[x]
        sides.append(combination)
    polynomial: Any = sympy.Poly((sides[0] * sides[1]).expand(), *symbols.values())
    result: Node | None = None
    terms: list[tuple[tuple[int, ...], Any]] = polynomial.terms()
    for powers, coefficient in terms:
        pair = [x for x, power in zip(elements, powers, strict=True) for _ in range(power)]
        product = graph.node("mul", pair[0], pair[1])
        if product.level != ELEMENT:  # a sum over elements: one value per row counts for each
            product = graph.node("spread", product, level=ELEMENT)
        total = graph.node("sum", product, level=level)
        term = graph.node("mul", freeze(coefficient, graph, coefficients), total)
        result = term if result is None else graph.node("add", result, term)
    assert result is not None
    return result


def freeze(expr: Any, graph: Graph, names: dict[Any, Node]) -> Node:
    """A sympy polynomial in `names` as nodes. Raises ValueError for anything else."""
    if expr.is_Number:
        return graph.const(float(expr))
    if expr.is_Symbol:
        return names[expr]
    if expr.is_Pow and expr.exp == 2:
        base = freeze(expr.base, graph, names)
        return graph.node("mul", base, base)
    if expr.is_Add or expr.is_Mul:
        op = "add" if expr.is_Add else "mul"
        parts = sorted(expr.args, key=str)
        result = freeze(parts[0], graph, names)
        for part in parts[1:]:
            result = graph.node(op, result, freeze(part, graph, names))
        return result
    raise ValueError(f"no node for {expr}")
