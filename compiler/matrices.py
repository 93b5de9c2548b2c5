"""The matrix step of a plan: a program's matrix region (see `region`), cut out as one step.

What the region reads is a tensor as it is in memory (or simple arithmetic on one), or a buffer that
the sweep before fills; its results go to states, or to buffers that later steps asked for.
"""

from __future__ import annotations

from ..dsl.levels import ELEMENT
from .cut import CannotSchedule, Cut
from .ir import REDUCTIONS, Node, Store, ordered
from .plan import MatrixStep
from .sequence import Sequence


def matrix_step(cut: Cut, after: int) -> MatrixStep:
    """The region as the step that follows sweep `after`."""
    region = cut.sequence.region
    new = {node: _input(cut, node, after) for node in _inputs(cut.sequence)}
    for node in ordered(region):
        if node in region:
            new[node] = cut.copy(node, tuple(new.get(arg, arg) for arg in node.args))
    program = cut.sequence.program
    stores = [
        Store(s.stream, new[s.value])
        for s in program.stores
        if s.value in region and not cut.sequence.finished(s)
    ]
    stores += [Store(stream, new[n]) for n, stream in cut.buffers.items() if n in region]
    loads = cut.loads(s.value for s in stores)
    return MatrixStep(f"matrix_{after + 1}", loads, tuple(stores))


def _inputs(sequence: Sequence) -> list[Node]:
    region = sequence.region
    read = (arg for n in sequence.ready if n in region for arg in n.args)
    return list(dict.fromkeys(arg for arg in read if arg not in region and not arg.is_host))


def _input(cut: Cut, node: Node, after: int) -> Node:
    if node.level.is_coarse:
        return cut.at(node, after if cut.sequence.matrix_first else after + 1)
    if node.op == "load" and cut.placed.get(str(node.attr), after + 1) > after:
        return cut.copy(node, ())
    stored = cut.stored(node, after + 1)
    if stored is not None:
        return cut.graph.node("fresh", attr=stored, level=node.level)
    return _again(cut, node, after) or cut.buffer(node)


def _again(cut: Cut, node: Node, after: int) -> Node | None:
    """`node` computed anew where it is made of one tensor in memory: reading that costs as much as
    a buffer, and no sweep need fill one."""
    below = [n for n in ordered([node]) if not n.is_host]
    if any(n.level != ELEMENT or n.op in REDUCTIONS for n in below):
        return None
    try:
        anew = cut.at(node, after + 1)
    except CannotSchedule:
        return None
    tensors = {n.attr for n in ordered([anew]) if n.op in ("load", "fresh")}
    return anew if len(tensors) == 1 else None
