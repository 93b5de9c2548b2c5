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
        """None if these sweeps are too few, or one of them has nothing to do."""
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
                if node.level.is_coarse:
                    below = at + 1
                else:
                    below = sweep_over(cells, node.level, below)
            elif node.op in REDUCTIONS:
                below = max(below, 1)  # a sum over one value per tensor: after the first sweep
            ready[node] = below
        sequence = Sequence(program, cells, region, ready)
        if any(
            sequence.place(store) >= len(cells) for store in program.stores if sequence.swept(store)
        ):
            return None
        if any(ready[n] > len(cells) for n in ready if ends_sweep(n)):
            return None
        busy = {sequence.place(store) for store in program.stores if sequence.swept(store)}
        busy |= {ready[n] - 1 for n in ready if n in region or ends_sweep(n)}
        busy |= {ready[n] for n in ready if n.op in REDUCTIONS and n.level.is_cells}
        if program.stores and not set(range(len(cells))) <= busy:
            return None
        return sequence

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


def ends_sweep(node: Node) -> bool:
    """Whether a value needs the partial results of a whole sweep."""
    return node.op in REDUCTIONS and node.level.is_coarse and not node.args[0].level.is_coarse


def sweep_over(cells: tuple[Level | None, ...], level: Level, start: int) -> int:
    """The first sweep from `start` on that walks over the cells of `level` (any, for elements)."""
    if not level.is_cells:
        return start
    return next((k for k in range(start, len(cells)) if cells[k] == level), len(cells))
