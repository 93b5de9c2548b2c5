"""How many values of one element a thread holds at once, which decides how many elements it takes.

    AdamW   4:  param, grad, m, v; what is computed takes the place of what was read last
    SGDP   12:  eight sums over a row, two of its streams, and two products

Counted over the lines as they stand: a round's loads come first, and a value lives from its line to
the last that reads it. A total that is collected over tiles lives through its round, one of the
whole sweep through every round. A piecewise affine operation holds its bits and its exact result
beside what it is made of.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import Node
from ..plan import Plan, Sweep
from .body import Body, Round, leaves_of, sweep_body
from .rounds import ELEMENT
from .syntaxes import TRITON


def most_alive(plan: Plan, sweep: Sweep) -> int:
    """The most values per element that are alive at once, in a Triton kernel that goes over its
    cells tile by tile."""
    body = sweep_body(plan, sweep, TRITON, keep=False)
    totals = [p.value for p in sweep.partials if body.zone[p.value] == ELEMENT]
    most = 0
    beside = 2 * any(node.op.startswith("affine_") for node in body.zone)
    for walk in body.rounds:
        reduced = [line.node.args[0] for line in walk.reductions]
        ends = [*reduced, *(left.value for left in (*walk.partials, *walk.stores))]
        most = max(most, len(totals) + len(reduced) + beside + _peak(body, walk, ends))
    return most


def _peak(body: Body, walk: Round, ends: Iterable[Node]) -> int:
    """The most of one round's values that are yet to be read; `ends` are read after all lines."""
    named = set(body.names)
    made = [*walk.loads, *(line.node for line in walk.lines)]
    reads = [set[Node]() for _ in walk.loads]
    reads += [set(leaves_of(line.node.args, named)) for line in walk.lines]
    needed: set[Node] = set()
    most = 0
    for end in ends:
        needed |= {*leaves_of([end], named)} & {*made}
        most = max(most, len(needed))
    for node, read in zip(reversed(made), reversed(reads), strict=True):
        needed = (needed - {node}) | (read & {*made})
        most = max(most, len(needed))
    return most
