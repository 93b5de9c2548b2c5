"""How often a sweep goes over the elements of a cell, and for what.

    v = mean(u*u, per rows);  n = max(u / v, per rows);  param -= u / v / n

A reduction per cell must end before what reads it begins: the first round computes v, the second
n, and the last one serves stores and partials. Values needed by two rounds are computed in both, or
kept from the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir import REDUCTIONS, Node

ONCE, CELL, ELEMENT = range(3)
"""Where a value lives: once per tensor, once per cell, once per element."""


def depths(order: Sequence[Node], zone: Mapping[Node, int]) -> dict[Node, int]:
    """How many rounds must end before a value can be computed."""
    depth: dict[Node, int] = {}
    for node in order:
        below = max((depth[arg] for arg in node.args), default=0)
        depth[node] = below + (node.op in REDUCTIONS and zone[node] == CELL)
    return depth


def rounds_of(
    roots: Sequence[Node], zone: Mapping[Node, int], depth: Mapping[Node, int], *, keep: bool
) -> tuple[list[set[Node]], list[list[Node]]]:
    """For each round the element values it computes, and those of them it keeps for later ones."""
    needed: list[set[Node]] = []
    kept: list[list[Node]] = []
    for goals in _goals(roots, zone, depth):
        found: set[Node] = set()
        stack = list(goals)
        while stack:
            node = stack.pop()
            if node in found or zone[node] != ELEMENT or node.op in ("operand", "const"):
                continue
            origin = next((k for k, nodes in enumerate(needed) if node in nodes), None)
            if keep and origin is not None and node.op not in ("load", "fresh", "spread"):
                if node not in kept[origin]:
                    kept[origin].append(node)
                continue
            found.add(node)
            stack.extend(node.args)
        needed.append(found)
        kept.append([])
    return needed, kept


def _goals(
    roots: Sequence[Node], zone: Mapping[Node, int], depth: Mapping[Node, int]
) -> list[list[Node]]:
    """What each round is for: the arguments of reductions, at last the roots among elements."""
    reductions = [n for n in zone if n.op in REDUCTIONS and zone[n] == CELL]
    deepest = max((depth[n] for n in reductions), default=0)
    goals = [[n.args[0] for n in reductions if depth[n] == k] for k in range(1, deepest + 1)]
    last = [root for root in roots if zone[root] == ELEMENT]
    return [*goals, last] if last else goals
