"""Which values are made by matrix products on whole tensors, and what lies between them.

    x = g / norm(g);  s = x @ x.T;  y = a*x + (b*s + c*s@s) @ x        all of this is one region

The region holds every matrix product, everything between two of them, everything of a shape of its
own, and what only feeds a product but would need a pass of its own (the division by the norm).
Arithmetic after the last product belongs to a sweep again, unless a reduction stands in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ir import MATRIX, Node, ordered
from .stages import stages


def matrix_region(roots: Sequence[Node]) -> frozenset[Node]:
    """The nodes that a MatrixStep computes; empty if the program has no matrix product."""
    nodes = list(ordered(roots))
    if not any(_is_matrix(node) for node in nodes):
        return frozenset()
    after: set[Node] = set()
    for node in nodes:
        if _is_matrix(node) or any(arg in after for arg in node.args):
            after.add(node)
    before: set[Node] = set()
    for node in reversed(nodes):
        if _is_matrix(node) or node in before:
            before.update(node.args)
    stage = stages(roots)
    region = {n for n in nodes if _is_matrix(n) or (n in after and n in before)}
    region |= {n for n in before if not n.is_host and stage[n] > 0}
    region |= {n for n in before if n.op not in ("load", "operand", "const") and _feeds(n, nodes, region)}
    judged: set[Node] = set()
    for node in nodes:  # a reduction over the result, and what waits for it
        waits = node.level.is_coarse and any(arg in region or arg in judged for arg in node.args)
        if waits and node not in region:
            judged.add(node)
        elif any(arg in judged for arg in node.args):
            judged.add(node)
    return frozenset(region | judged)


def _is_matrix(node: Node) -> bool:
    return node.op in MATRIX or node.level.is_shaped


def _feeds(node: Node, nodes: list[Node], region: set[Node]) -> bool:
    """A reduction whose result only the region reads."""
    if not node.level.is_coarse:
        return False
    users = [n for n in nodes if node in n.args]
    return bool(users) and all(user in region for user in users)
