"""How many barriers lie below a value: the earliest pass over memory that can compute it.

A reduction to one value per tensor (or coarser), and a matrix product, end a pass: what reads them
is one stage later. Reductions per row, head or block can finish inside a pass that walks over such
cells (`schedule` decides); counted here they are free.
"""

from __future__ import annotations

from collections.abc import Iterable

from .ir import MATRIX, REDUCTIONS, Node, ordered


def stages(roots: Iterable[Node]) -> dict[Node, int]:
    """The stage of every value below `roots`, if cell reductions finish inside a pass."""
    stage: dict[Node, int] = {}
    for node in ordered(roots):
        below = max((stage[arg] for arg in node.args), default=0)
        barrier = node.op in MATRIX or (
            node.op in REDUCTIONS and node.level.is_coarse and not node.args[0].level.is_coarse
        )
        stage[node] = below + barrier
    return stage
