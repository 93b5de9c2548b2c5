"""What happens between a sweep and the next: sums completed, and a few numbers computed from them.

    per tensor      norm = sum of partials               u = norm / sqrt(numel)
    per group       over the tensors of a group
    per global      total = sum of partials              d = max(d, sum of u over all tensors)
    per tensor      states per tensor that read what a group or all tensors have together

Each line is a `Finish`; those with nothing to do are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.levels import GLOBAL, GROUP, TENSOR, Level
from .cut import CannotSchedule, Cut
from .ir import REDUCTIONS, Node, Store, ordered
from .plan import Finish, Slot
from .sequence import ends_sweep, is_gathered


def finishes(cut: Cut, k: int) -> list[Finish]:
    """The finishes after sweep k. Those of later sweeps must have been cut before."""
    return _After(cut, k).finishes()


@dataclass(frozen=True, slots=True)
class _After:
    cut: Cut
    k: int

    def finishes(self) -> list[Finish]:
        stores = [
            s
            for s in self.cut.sequence.program.stores
            if self.cut.sequence.finished(s) and self.cut.finish_of(s) == self.k
        ]
        late = [s for s in stores if self._is_late(s)]
        last = [self._late(late, GROUP), self._late(late, TENSOR)]
        first = [self._finish(level, stores, late) for level in (TENSOR, GROUP, GLOBAL)]
        return [finish for finish in (*first, *last) if finish is not None]

    def _here(self, node: Node) -> bool:
        """Whether a reduction's result is made by these finishes."""
        sequence = self.cut.sequence
        return (
            node.op in REDUCTIONS
            and node.level.is_coarse
            and node not in sequence.region
            and sequence.ready[node] == self.k + 1
        )

    def _waits(self, node: Node, level: Level) -> bool:
        """Whether a value of `level` needs what a coarser finish of these makes."""
        return any(self._here(n) and _order(n.level) > _order(level) for n in ordered([node]))

    def _is_late(self, store: Store) -> bool:
        return self._waits(store.value, store.stream.level)

    def _late(self, late: list[Store], level: Level) -> Finish | None:
        """States that need what a coarser level's finish made."""
        here = [s for s in late if s.stream.level == level]
        own = frozenset(s.stream.name for s in here)
        stores = tuple(Store(s.stream, self._value(s.value, own)) for s in here)
        if not stores:
            return None
        loads = self.cut.loads(s.value for s in stores)
        return Finish(f"finish_{self.k + 1}_late", level, (), (), (), stores, loads)

    def _finish(self, level: Level, stores: list[Store], late: list[Store]) -> Finish | None:
        cut = self.cut
        made = [n for n in cut.sequence.ready if self._here(n)]
        completes = tuple((cut.slot(n), n.op) for n in made if n.level == level and ends_sweep(n))
        values: list[tuple[Slot, Node]] = []
        gathers: list[tuple[Slot, str, Slot]] = []
        for n in cut.sequence.ready:
            if not is_gathered(n) or n in cut.sequence.region:
                continue
            (term,) = n.args
            kept = cut.gathered(n)
            has_it = self._here(term) and kept == cut.slot(term)
            if level == TENSOR and self._gathers_at(n) == self.k and not has_it:
                values.append((kept, self._value(term)))
            if n.level == level and self._here(n):
                gathers.append((cut.slot(n), n.op, kept))
        for store in stores:
            slot = cut.exported.get(store.stream.name)
            if slot is not None and slot.level == level:
                old = cut.graph.node("load", attr=store.stream.name, level=level)
                values.append((slot, old))
        written = tuple(
            Store(s.stream, self._value(s.value))
            for s in stores
            if s.stream.level == level and s not in late
        )
        if not (completes or values or gathers or written):
            return None
        loads = cut.loads([n for _, n in values] + [s.value for s in written])
        name = f"finish_{self.k + 1}" + ("" if level == TENSOR else f"_{level.kind}")
        return Finish(
            name, level, completes, tuple(gathers), tuple(dict.fromkeys(values)), written, loads
        )

    def _gathers_at(self, total: Node) -> int:
        """The finishes that keep a tensor's term of a sum over tensors: the first that can."""
        ready = self.cut.sequence.ready
        (term,) = total.args
        first = max(ready[term], 1)
        below = (n for n in ordered([term]) if n.op in REDUCTIONS and ready[n] == first)
        first += any(_order(n.level) > _order(TENSOR) for n in below)
        if term.level != TENSOR or first > ready[total]:
            raise CannotSchedule(total.op)
        return first - 1

    def _value(self, node: Node, late: frozenset[str] | None = None) -> Node:
        """`node` as these finishes compute it: reductions are slots, coarse states are loaded.
        In a late finish, whose own stores are `late`, all other states are written already."""
        if node.is_host:
            return node
        if node.op == "load" and node.level.is_coarse:
            written = late is not None and node.attr not in late
            return self.cut.load(node, self.k + written)
        if node in self.cut.sequence.region:
            return self.cut.buffer(node)
        if node.op in REDUCTIONS:
            return self.cut.value(node)
        if not node.level.is_coarse:
            raise CannotSchedule(node.op)
        return self.cut.copy(node, tuple(self._value(arg, late) for arg in node.args))


def _order(level: Level) -> int:
    """The place of a level's finish among those after one sweep."""
    return (TENSOR, GROUP, GLOBAL).index(level)
