"""For one sequence of sweeps: the sweep in which every value is ready (see `schedule`).

    sweeps over  elements        rows
    ready        m: 0            sum(m^2, per rows): 1        sum(u, per tensor): 2, after sweep 1

A store can be written by the sweep in which its value is ready, or by a later one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.levels import Level
from .ir import REDUCTIONS, Node, Program, Store, ordered
from .region import matrix_region


@dataclass(frozen=True, slots=True)
class Sequence:
    """For one choice of cells: the sweep in which each value is ready."""

    program: Program
    cells: tuple[Level | None, ...]
    region: frozenset[Node]
    ready: dict[Node, int]

    @staticmethod
    def of(program: Program, cells: tuple[Level | None, ...]) -> Sequence | None:
        """None if these sweeps are too few."""
        sequence = Sequence._of(program, cells)
        if any(
            sequence.place(store) >= len(cells) for store in program.stores if sequence.swept(store)
        ):
            return None
        if any(sequence.ready[n] > len(cells) for n in sequence.ready if ends_sweep(n)):
            return None
        return sequence

    @staticmethod
    def _of(program: Program, cells: tuple[Level | None, ...]) -> Sequence:
        """What is not ready in any of these sweeps, is ready after them."""
        roots = [store.value for store in program.stores]
        region = matrix_region(roots)
        ready: dict[Node, int] = {}
        inputs = [a for n in region for a in n.args if a not in region]
        for node in ordered(roots):
            below = max((ready[arg] for arg in node.args), default=0)
            if node in region:
                below = 1 + max((ready[a] for a in inputs if a in ready), default=0)
            elif node.op in REDUCTIONS and not node.args[0].level.is_coarse:
                at = sweep_over(cells, node.args[0].level, below)
                below = at + 1 if node.level.is_coarse else sweep_over(cells, node.level, below)
            elif node.op in REDUCTIONS:
                below = max(below, 1)  # a sum over one value per tensor: after the first sweep
            ready[node] = below
        return Sequence(program, cells, region, ready)

    def has_work(self, k: int) -> bool:
        """Whether something is first ready in sweep k: a store, a sum, a value per cell."""
        ready = self.ready
        return (
            any(self.place(store) == k for store in self.program.stores if self.swept(store))
            or any(ready[n] == k + 1 for n in ready if n in self.region or ends_sweep(n))
            or any(ready[n] == k for n in ready if n.op in REDUCTIONS and n.level.is_cells)
        )

    def swept(self, store: Store) -> bool:
        """Whether a sweep (not a finish or matrix step) writes this store."""
        return not store.stream.level.is_coarse and store.value not in self.region

    def place(self, store: Store) -> int:
        """The first sweep that can write a store."""
        ready = self.ready[store.value]
        if store.stream.level.is_cells:
            return sweep_over(self.cells, store.stream.level, ready)
        return ready

    def last_place(self, store: Store) -> int:
        """The last sweep that can write a store."""
        level = store.stream.level
        fitting = [k for k, cell in enumerate(self.cells) if not level.is_cells or cell == level]
        return max(fitting, default=len(self.cells))

    def movable_stores(self) -> list[str]:
        """Streams that more than one sweep could write."""
        return [
            s.stream.name
            for s in self.program.stores
            if self.swept(s) and self.place(s) < self.last_place(s)
        ]


def is_busy(program: Program, cells: tuple[Level | None, ...]) -> bool:
    """Whether the last of these sweeps has something to do. (What the others have to do does not
    depend on it.)"""
    return not program.stores or Sequence._of(program, cells).has_work(len(cells) - 1)


def ends_sweep(node: Node) -> bool:
    """Whether a value needs the partial results of a whole sweep."""
    return node.op in REDUCTIONS and node.level.is_coarse and not node.args[0].level.is_coarse


def sweep_over(cells: tuple[Level | None, ...], level: Level, start: int) -> int:
    """The first sweep from `start` on that walks over the cells of `level` (any, for elements)."""
    if not level.is_cells:
        return start
    return next((k for k in range(start, len(cells)) if cells[k] == level), len(cells))
