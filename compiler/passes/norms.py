"""Save a pass over memory: a sum over a polynomial whose coefficients need a barrier.

Before:  r = norm(p) / norm(u);  n = sum((p - lr*r*u)^2)      the sum must wait for r: another pass
After:   n = pp - 2*lr*r*pu + lr^2*r^2*uu                      three sums taken in r's own pass

Applies to sums of what is linear or square, with coefficients per tensor, in values that need no
barrier; sympy expands squares and collects equal terms (`algebra.py`). The result is kept
non-negative where the sum was of squares, because expanding can cancel. A sum over several tensors
becomes one over numbers per tensor if these can follow different paths: however a path comes to its
number, all add up the same. Numbers that wait for another such sum would come too late for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...dsl.levels import ELEMENT, TENSOR, Level, refines
from ..algebra import Polynomial, product
from ..ir import REDUCTIONS, Graph, Node, Program, ordered
from ..stages import stages


def norms(program: Program) -> Program:
    """Expand sums that would otherwise cost a pass."""
    stage = stages(program.roots)
    expanded: dict[Node, Node] = {}
    for node in ordered(program.roots):
        if node.op == "sum" and node.level.is_coarse and stage.get(node.args[0], 0) > 0:
            alone = node.level == TENSOR or not program.decisions
            terms = _Terms(program.graph, stage, node.level if alone else TENSOR)
            new = terms.summed(node)
            if new is not None:
                expanded[node] = new
    if not expanded:
        return program
    return program.mapped(lambda node: expanded.get(node, node))


@dataclass(frozen=True, slots=True)
class _Terms:
    """Values as polynomials in what lies before every barrier; coefficients: a number for each cell
    of `level`."""

    graph: Graph
    stage: dict[Node, int]
    level: Level

    def summed(self, total: Node) -> Node | None:
        """A sum as the sum of its terms' sums, or None if it must be taken as it is."""
        graph = self.graph
        (value,) = total.args
        terms = self.of(value) if value.level == ELEMENT else None
        if not terms or any(len(variables) not in (1, 2) for variables in terms):
            return None
        result: Node | None = None
        for variables, coefficient in terms.items():
            term = self._times(coefficient, self._sum(variables))
            result = term if result is None else graph.node("add", result, term)
        assert result is not None
        if value.op == "mul" and value.args[0] is value.args[1]:
            result = graph.node("maximum", result, graph.const(0))
        if self.level != total.level:
            if any(_is_over_tensors(node) for node in ordered([result])):
                return None
            result = graph.node("sum", result, level=total.level, attr=total.attr)
        result.label = total.label
        return result

    def _sum(self, variables: tuple[Node, ...]) -> Node:
        term, *others = variables
        for other in others:
            term = self.graph.node("mul", term, other)
        if term.level != ELEMENT:  # a sum over elements: one value per row counts for each
            term = self.graph.node("spread", term, level=ELEMENT)
        return self.graph.node("sum", term, level=self.level)

    def _times(self, coefficient: Node, value: Node) -> Node:
        is_one = coefficient.op == "const" and coefficient.attr == 1
        return value if is_one else self.graph.node("mul", coefficient, value)

    def of(self, node: Node) -> Polynomial | None:
        """`node` as a polynomial; None if it is none."""
        if refines(self.level, node.level):
            return {(): node}
        if self.stage.get(node, 0) == 0:
            return {(node,): self.graph.const(1)}
        if node.op not in ("add", "sub", "neg", "mul", "div"):
            return None
        parts = [self.of(arg) for arg in node.args]
        if any(part is None for part in parts):
            return None
        match node.op, [part for part in parts if part is not None]:
            case "add", (left, right):
                return self._plus(left, right)
            case "sub", (left, right):
                return self._plus(left, self._minus(right))
            case "neg", (terms,):
                return self._minus(terms)
            case "mul", (left, right):
                if [*left] == [()] or [*right] == [()]:
                    terms, scale = (right, left[()]) if [*left] == [()] else (left, right[()])
                    return {k: self._times(c, scale) for k, c in terms.items()}
                return product(self.graph, left, right)
            case "div", (terms, by) if [*by] == [()]:
                return {k: self.graph.node("div", c, by[()]) for k, c in terms.items()}
            case _:
                return None

    def _plus(self, left: Polynomial, right: Polynomial) -> Polynomial:
        both = {k: self.graph.node("add", left[k], right[k]) for k in right if k in left}
        return left | right | both

    def _minus(self, terms: Polynomial) -> Polynomial:
        return {k: self.graph.node("neg", c) for k, c in terms.items()}


def _is_over_tensors(node: Node) -> bool:
    return node.op in REDUCTIONS and not refines(node.level, TENSOR)
