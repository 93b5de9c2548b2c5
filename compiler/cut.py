"""A program cut into steps: each value as one sweep, finish or matrix step computes it.

    sweep 2 of   p - lr * ratio * m         ratio: a slot that finish 1 filled; m: read back
    becomes      load param - lr * value ratio * fresh m

`Cut` keeps what travels between steps: slots for numbers per tensor or for all, buffers for values
per cell and for spilled tensors. A stream that an earlier step has overwritten cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..dsl.levels import Level
from .ir import ORDER, REDUCTIONS, Graph, Node, Store, Stream, ordered
from .plan import Slot
from .sequence import Sequence, sweep_over


class CannotSchedule(Exception):
    """This placement would read a stream after it was overwritten."""


@dataclass(slots=True)
class Cut:
    """The values of a sequence whose streams are written in the sweeps that `placed` says."""

    sequence: Sequence
    placed: dict[str, int]
    graph: Graph = field(default_factory=Graph)
    buffers: dict[Node, Stream] = field(default_factory=dict[Node, Stream])
    exported: dict[str, Slot] = field(default_factory=dict[str, Slot])  # a coarse state's old value
    _slots: dict[Node, Slot] = field(default_factory=dict[Node, Slot])
    _gathers: dict[tuple[Node, Level], Node] = field(
        default_factory=dict[tuple[Node, Level], Node]
    )  # the first sum of a term
    _copies: dict[tuple[Node, Node], Slot] = field(
        default_factory=dict[tuple[Node, Node], Slot]
    )  # of a term, for the others
    _cut: dict[tuple[Node, int, bool], Node] = field(
        default_factory=dict[tuple[Node, int, bool], Node]
    )

    def loads(self, roots: Iterable[Node]) -> tuple[Stream, ...]:
        """The streams that a step computing `roots` reads."""
        names = {str(n.attr) for n in ordered(roots) if n.op in ("load", "fresh")}
        known = [*self.sequence.program.streams, *self.buffers.values()]
        return tuple(s for s in known if s.name in names)

    def at(self, node: Node, k: int, buffered: bool = True) -> Node:
        """`node` as sweep k computes it: cut where memory or an earlier step has the value."""
        if node.is_host:
            return node
        if (node, k, buffered) not in self._cut:
            self._cut[node, k, buffered] = self._at(node, k, buffered)
        return self._cut[node, k, buffered]

    def _at(self, node: Node, k: int, buffered: bool) -> Node:
        ready = self.sequence.ready[node]
        if node.op == "load":
            return self.load(node, k)
        if buffered and ready < k and not node.level.is_coarse:
            stored = self.stored(node, k)
            if stored is not None:
                return self.graph.node("fresh", attr=stored, level=node.level)
            made = sweep_over(self.sequence.cells, node.level, ready)
            if node.level.is_cells and made < k and self._reduces(node):
                return self.buffer(node)
        if node in self.sequence.region:
            return self.buffer(node)
        if node.op in REDUCTIONS and node.level.is_coarse:
            return self.value(node)
        if node.level.is_coarse and k > 0:
            stored = self._stored_coarse(node, k)
            if stored is not None:
                return self.graph.node("fresh", attr=stored, level=node.level)
        args = tuple(self.at(arg, k) for arg in node.args)
        return self.copy(node, args)

    def copy(self, node: Node, args: tuple[Node, ...]) -> Node:
        """`node` over arguments of this step's own graph."""
        new = self.graph.node(node.op, *args, level=node.level, attr=node.attr, span=node.span)
        new.label = new.label or node.label
        new.span = new.span or node.span
        return new

    def load(self, node: Node, k: int) -> Node:
        """A stream's content when the step began, as sweep k (or the finish after it) has it."""
        name = str(node.attr)
        if self._overwritten(name, k):
            if name not in self.exported:
                free = free_name(f"{name.rpartition('.')[2]}_before", self._slot_names())
                self.exported[name] = Slot(free, node.level)
            return self.graph.node("value", attr=self.exported[name], level=node.level)
        if self.placed.get(name, k) < k:
            if node.level.is_cells:
                return self.buffer(node)  # one value per cell: cheap to keep
            raise CannotSchedule(name)
        return self.copy(node, ())

    def _overwritten(self, name: str, k: int) -> bool:
        """Whether a finish before sweep k writes this coarse stream."""
        return any(
            s.stream.name == name and s.stream.level.is_coarse and self.finish_of(s) < k
            for s in self.sequence.program.stores
        )

    def stored(self, node: Node, k: int) -> str | None:
        """The stream that holds exactly this value since an earlier sweep."""
        for s in self.sequence.program.stores:
            name = s.stream.name
            if s.value is node and s.stream.dtype == "real" and self.placed.get(name, k) < k:
                return name
        return None

    def _stored_coarse(self, node: Node, k: int) -> str | None:
        for s in self.sequence.program.stores:
            if s.value is node and s.stream.dtype == "real" and self.finish_of(s) < k:
                return s.stream.name
        return None

    def _reduces(self, node: Node) -> bool:
        return any(n.op in REDUCTIONS and n.level.is_cells for n in ordered([node]))

    def buffer(self, node: Node) -> Node:
        """`node` read back from memory of its own, which the step that makes it fills."""
        if node not in self.buffers:
            kind = node.op if node.op in ORDER else "product"
            taken = {s.name for s in (*self.sequence.program.streams, *self.buffers.values())}
            name = free_name(short_name(node, kind), taken)
            self.buffers[node] = Stream(name, node.level, "real")
        return self.graph.node("fresh", attr=self.buffers[node].name, level=node.level)

    def slot(self, node: Node) -> Slot:
        """Where a number per tensor, or for all, is kept."""
        if node not in self._slots:
            name = free_name(short_name(node, node.op), self._slot_names())
            self._slots[node] = Slot(name, node.level, str(node.attr or ""))
        return self._slots[node]

    def gathered(self, total: Node) -> Slot:
        """Where the numbers that a sum over tensors adds up are kept. No two sums of one level
        share a place, for not all tensors that add to one need add to the other."""
        (term,) = total.args
        if self._gathers.setdefault((term, total.level), total) is total:
            return self.slot(term)
        if (term, total) not in self._copies:
            name = free_name(short_name(term, term.op), self._slot_names())
            self._copies[term, total] = Slot(name, term.level)
        return self._copies[term, total]

    def value(self, node: Node) -> Node:
        """`node` as an earlier finish left it."""
        slot = self.slot(node)
        return self.graph.node("value", attr=slot, level=node.level)

    def finish_of(self, store: Store) -> int:
        """The sweep after which a coarse store is written."""
        return max(self.sequence.ready[store.value] - 1, 0)

    def _slot_names(self) -> set[str]:
        kept = (*self._slots.values(), *self._copies.values(), *self.exported.values())
        return {slot.name for slot in kept}


def short_name(node: Node, otherwise: str) -> str:
    """What the spec calls a value, without the name of the modifier that it belongs to."""
    return node.label.rpartition(".")[2] or otherwise


def free_name(base: str, taken: set[str]) -> str:
    """`base`, numbered if it is taken."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name
