"""Which values are made by matrix products on whole tensors, and what lies between them.

    x = g / norm(g);  s = x @ x.T;  y = a*x + (b*s + c*s@s) @ x        all of this is one region

The region holds every matrix product, everything between two of them, everything of a shape of its
own, and what only feeds a product but would need a pass of its own (the division by the norm).
Arithmetic after the last product belongs to a sweep again, unless a reduction stands in between.
A sum over several tensors, and what it adds up, is never in it: it sees one tensor at a time.
Quantiles and places of extremes are computed here too. They are few numbers, which leave through
small buffers, so what waits for them stays with the sweeps.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dsl.levels import ELEMENT, GLOBAL, GROUP
from .ir import MATRIX, ORDER, REDUCTIONS, Node, Program, ordered
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
    apart = set(ordered(n for n in nodes if _is_joint(n) and n in before))
    before -= apart
    swept = {n for n in ordered(n for n in nodes if _is_joint(n)) if n.level.is_coarse}
    region = {n for n in nodes if _is_matrix(n) or (n in after and n in before)} - apart
    region |= {n for n in before if not n.is_host and stage[n] > 0}
    region |= {
        n for n in before if n.op not in ("load", "operand", "const") and _feeds(n, nodes, region)
    }
    numbers = _numbers(nodes, after)
    large = region - numbers
    judged: set[Node] = set()
    for node in nodes:  # a reduction over the result, and what waits for it
        if node in swept:
            continue
        waits = node.level.is_coarse and any(arg in large or arg in judged for arg in node.args)
        if (waits and node not in region) or any(arg in judged for arg in node.args):
            judged.add(node)
    region |= judged
    region |= _inner(nodes, region) - apart
    region |= _merging([n for n in nodes if n not in swept], region) - apart
    return frozenset(region)


def is_whole(region: frozenset[Node], roots: Sequence[Node]) -> bool:
    """Whether the region has all that only a matrix step can compute: not if a sum over several
    tensors stands between two products, or adds up numbers made from a matrix."""
    return all(
        node in region
        for node in ordered(roots)
        if _is_matrix(node) or any(arg.level.is_shaped for arg in node.args)
    )


def hands_over(region: frozenset[Node], program: Program) -> bool:
    """Whether numbers of the region reach a state per tensor or a sum over several tensors: the
    finishes that make these then come after the matrix step."""
    numbers: set[Node] = set()
    for node in ordered(program.roots):
        known = node in region or any(arg in numbers for arg in node.args)
        if known and node.level.is_coarse:
            numbers.add(node)
    kept = any(s.value in numbers for s in program.stores if s.stream.level.is_coarse)
    return kept or any(map(_is_joint, numbers))


def _is_joint(node: Node) -> bool:
    """A reduction over several tensors."""
    return node.op in REDUCTIONS and node.level in (GROUP, GLOBAL)


def _numbers(nodes: list[Node], after: set[Node]) -> set[Node]:
    """Order statistics, and arithmetic that is per tensor on them."""
    found: set[Node] = set()
    for node in nodes:
        late = [arg for arg in node.args if arg in after]
        plain = node.level.is_coarse and node.op not in REDUCTIONS
        if node.op in ORDER or (late and plain and all(arg in found for arg in late)):
            found.add(node)
    return found


def _inner(nodes: list[Node], region: set[Node]) -> set[Node]:
    """What only the region reads, made from what it takes in anyway: `u*u` beside `u`."""
    users: dict[Node, set[Node]] = {}
    for node in nodes:
        for arg in node.args:
            users.setdefault(arg, set()).add(node)
    inputs = {arg for n in region for arg in n.args if arg not in region}
    return {
        node
        for node in inputs
        if node.args
        and users[node] <= region
        and all(arg.is_host or arg in region or arg in inputs for arg in node.args)
    }


def _merging(nodes: list[Node], region: set[Node]) -> set[Node]:
    """Arithmetic that makes one result of several of the region's: fewer tensors leave it."""
    pure: set[Node] = set()
    for node in nodes:
        inside = [arg for arg in node.args if not arg.is_host]
        larger = node.level == ELEMENT and all(arg.level != ELEMENT for arg in inside)
        if node in region or not inside or larger:
            continue
        if all(arg in region or arg in pure for arg in inside):
            pure.add(node)
    taken = {n for n in pure if len({a for a in n.args if not a.is_host}) > 1}
    for node in reversed(nodes):
        if node in taken:
            taken |= {arg for arg in node.args if arg in pure}
    return taken


def _is_matrix(node: Node) -> bool:
    return node.op in MATRIX or node.level.is_shaped


def _feeds(node: Node, nodes: list[Node], region: set[Node]) -> bool:
    """A reduction whose result only the region reads."""
    if not node.level.is_coarse:
        return False
    users = [n for n in nodes if node in n.args]
    return bool(users) and all(user in region for user in users)
