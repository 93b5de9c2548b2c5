"""How often a sweep goes over the elements of a cell, and for what.

    v = mean(u*u, per rows);  n = max(u / v, per rows);  param -= u / v / n

A reduction per cell must end before what reads it begins: the first round computes v, the second
n, the third param. What a sweep leaves (a store, a partial sum) comes in the first round that can
compute it and after which nobody reads the stream it overwrites, so that memory is walked as rarely
as can be. Values needed by two rounds are computed in both, or kept from the first; then all is
left by the last round, unless asked otherwise (`early`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...dsl.levels import Level
from ..ir import REDUCTIONS, Node

ONCE, CELL, ELEMENT = range(3)
"""Where a value lives: once per tensor, once per cell, once per element."""
_SMALL_CELL = 4096  # elements, whose values are kept between rounds


def cell_size(cell: Level) -> int | None:
    """The number of elements of a cell, if it is the same constant for all tensors."""
    if cell.kind != "chunks":
        return None
    value = getattr(cell.args[0], "value", None)
    return int(value) if value is not None else None


def keeps(cell: Level) -> bool:
    """Whether a cell is small enough to keep its values between rounds."""
    size = cell_size(cell)
    return size is not None and size <= _SMALL_CELL


def depths(order: Sequence[Node], zone: Mapping[Node, int]) -> dict[Node, int]:
    """How many rounds must end before a value can be computed."""
    depth: dict[Node, int] = {}
    for node in order:
        below = max((depth[arg] for arg in node.args), default=0)
        depth[node] = below + (node.op in REDUCTIONS and zone[node] == CELL)
    return depth


# What a sweep leaves: a value, and the name of the stream it overwrites, if it is stored.
End = tuple[Node, str | None]


@dataclass(frozen=True, slots=True)
class Rounds:
    """For each round the element values it computes (`needed`), and those of them it keeps for
    later ones (`kept`); for each end the number of its round (`places`)."""

    needed: list[set[Node]]
    kept: list[list[Node]]
    places: list[int]


def rounds_of(
    ends: Sequence[End],
    zone: Mapping[Node, int],
    depth: Mapping[Node, int],
    *,
    keep: bool,
    early: bool,
) -> Rounds:
    """The rounds of a sweep that leaves `ends`, which are values of elements."""
    reductions = [n for n in zone if n.op in REDUCTIONS and zone[n] == CELL]
    last = max((depth[n] for n in reductions), default=0)
    places = [depth[node] if early or not keep else last for node, _ in ends]
    while True:
        goals: list[list[Node]] = [[] for _ in range(last + 1)]
        for node in reductions:
            goals[depth[node] - 1].append(node.args[0])
        for (node, _), place in zip(ends, places, strict=True):
            goals[place].append(node)
        needed, kept = _walks(goals if goals[-1] else goals[:-1], zone, keep)
        read = [{n.attr for n in nodes if n.op in ("load", "fresh")} for nodes in needed]
        late = [
            max([place, *(k for k, streams in enumerate(read) if stream in streams)])
            for (_, stream), place in zip(ends, places, strict=True)
        ]
        if late == places:
            return Rounds(needed, kept, places)
        places = late


def _walks(
    goals: Sequence[Sequence[Node]], zone: Mapping[Node, int], keep: bool
) -> tuple[list[set[Node]], list[list[Node]]]:
    """What rounds for these goals compute, and what they keep."""
    needed: list[set[Node]] = []
    kept: list[list[Node]] = []
    for nodes in goals:
        found: set[Node] = set()
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node in found or zone[node] != ELEMENT or node.op in ("operand", "const"):
                continue
            origin = next((k for k, earlier in enumerate(needed) if node in earlier), None)
            if keep and origin is not None and node.op not in ("load", "fresh", "spread"):
                if node not in kept[origin]:
                    kept[origin].append(node)
                continue
            found.add(node)
            stack.extend(node.args)
        needed.append(found)
        kept.append([])
    return needed, kept
