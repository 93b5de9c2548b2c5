"""The only door to sympy. The compiler's trees keep the author's form; sympy is asked questions.

    (a - c*b) * (a - c*b)     1 * a*a  +  -2*c * a*b  +  c^2 * b*b

Spec text never reaches sympy: expressions are built node by node from the graph.
"""

from __future__ import annotations

from typing import Any

import sympy

from .ir import Graph, Node

# Of each product of variables, its coefficient: {(a, a): 1, (a, b): -2*c, (b, b): c^2}.
Polynomial = dict[tuple[Node, ...], Node]


def product(graph: Graph, left: Polynomial, right: Polynomial) -> Polynomial:
    """The product of two polynomials. sympy expands it and collects equal terms, so x*y and y*x are
    taken once, and a term whose coefficient vanishes is not taken at all."""
    variables = list(dict.fromkeys(x for side in (left, right) for term in side for x in term))
    symbols: dict[Node, Any] = {x: sympy.Symbol(f"x{i}") for i, x in enumerate(variables)}
    coefficients: dict[Node, Any] = {}
    sides: list[Any] = []
    for side in (left, right):
        polynomial: Any = sympy.Integer(0)
        for term, c in side.items():
            if c.op == "const" and isinstance(c.attr, float):
                factor: Any = sympy.Rational(str(c.attr))
            else:
                factor = coefficients.setdefault(c, sympy.Symbol(f"c{len(coefficients)}"))
            polynomial += sympy.prod([factor, *(symbols[x] for x in term)])
        sides.append(polynomial)
    names = {name: node for node, name in coefficients.items()}
    expanded: Any = sympy.Poly((sides[0] * sides[1]).expand(), *symbols.values())
    terms: list[tuple[tuple[int, ...], Any]] = expanded.terms()
    return {
        tuple(x for x, n in zip(variables, powers, strict=True) for _ in range(n)): freeze(
            coefficient, graph, names
        )
        for powers, coefficient in terms
    }


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
