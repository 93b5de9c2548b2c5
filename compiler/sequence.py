"""For one sequence of sweeps: the sweep in which every value is ready (see `schedule`).

    sweeps over  elements        rows
    ready        m: 0            sum(m^2, per rows): 1        sum(u, per tensor): 2, after sweep 1

A store can be written by the sweep in which its value is ready, or by a later one; a sum can be
begun later too, as long as what needs it can wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..dsl.levels import Level
from .ir import REDUCTIONS, Node, Program, Store, ordered
from .region import hands_over, is_whole, matrix_region

_AT_ONCE: Mapping[Node, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sequence:
    """For one choice of cells: the sweep in which each value is ready. `matrix_first`: the matrix
    step comes before the finishes after the same sweep, for they read its numbers."""

    program: Program
    cells: tuple[Level | None, ...]
    region: frozenset[Node]
    matrix_first: bool
    ready: dict[Node, int]

    @staticmethod
    def of(
        program: Program, cells: tuple[Level | None, ...], late: Mapping[Node, int] = _AT_ONCE
    ) -> Sequence | None:
        """None if these sweeps are too few. `late`: sums not begun before this sweep."""
        sequence = Sequence.timed(program, cells, late)
        if any(
            sequence.place(store) >= len(cells) for store in program.stores if sequence.swept(store)
        ):
            return None
        ready = sequence.ready
        if any(ready[n] > len(cells) for n in ready if n in sequence.region or _is_total(n)):
            return None
        if not is_whole(sequence.region, program.roots):
            return None
        return sequence

    @staticmethod
    def timed(
        program: Program, cells: tuple[Level | None, ...], late: Mapping[Node, int] = _AT_ONCE
    ) -> Sequence:
        """What is not ready in any of these sweeps, is ready after them."""
        roots = program.roots
        region = matrix_region(roots)
        first = hands_over(region, program)
        ready: dict[Node, int] = {}
        inputs = [a for n in ordered(roots) if n in region for a in n.args if a not in region]
        for node in ordered([*inputs, *roots]):
            below = max((ready[arg] for arg in node.args), default=0)
            if node in region:
                below = 1 + max((_swept_by(a, ready, first) for a in inputs), default=0)
            elif node.op in REDUCTIONS and not node.args[0].level.is_coarse:
                at = sweep_over(cells, node.args[0].level, max(below, late.get(node, 0)))
                below = at + 1 if node.level.is_coarse else sweep_over(cells, node.level, below)
            elif node.op in REDUCTIONS:
                below = max(below, 1 + late.get(node, 0))  # of one value per tensor: after a sweep
            ready[node] = below
        return Sequence(program, cells, region, first, ready)

    def has_work(self, k: int) -> bool:
        """Whether something is first ready in sweep k: a store, a sum, a value per cell. A step
        that only changes numbers has one sweep too, which is left out in the end."""
        ready = self.ready
        if not any(map(self.swept, self.program.stores)) and not any(map(ends_sweep, ready)):
            return k == 0
        return (
            any(self.place(store) == k for store in self.program.stores if self.swept(store))
            or any(ready[n] == k + 1 for n in ready if n in self.region or _is_total(n))
            or any(ready[n] == k for n in ready if n.op in REDUCTIONS and n.level.is_cells)
        )

    def swept(self, store: Store) -> bool:
        """Whether a sweep (not a finish or matrix step) writes this store."""
        return not store.stream.level.is_coarse and store.value not in self.region

    def finished(self, store: Store) -> bool:
        """Whether a finish writes this store."""
        return store.stream.level.is_coarse and (
            self.matrix_first or store.value not in self.region
        )

    def place(self, store: Store) -> int:
        """The first sweep that can write a store."""
        ready = self.ready[store.value]
        if store.stream.walk.is_cells:
            return sweep_over(self.cells, store.stream.walk, ready)
        return ready

    def last_place(self, store: Store) -> int:
        """The last sweep that can write a store."""
        level = store.stream.walk
        fitting = [k for k, cell in enumerate(self.cells) if not level.is_cells or cell == level]
        return max(fitting, default=len(self.cells))

    def movable_stores(self) -> list[str]:
        """Streams that more than one sweep could write."""
        return [
            s.stream.name
            for s in self.program.stores
            if self.swept(s) and self.place(s) < self.last_place(s)
        ]

    def movable_sums(self) -> dict[Node, int]:
        """Sums that a later sweep could begin as well: the last that can. It may load already what
        an earlier one would load for the sum alone."""
        found: dict[Node, int] = {}
        for node, ready in self.ready.items():
            if _is_total(node) and node not in self.region:
                places = reversed(range(ready, len(self.cells)))
                fits = (k for k in places if Sequence.of(self.program, self.cells, {node: k}))
                last = next(fits, None)
                if last is not None:
                    found[node] = last
        return found


def matrix_place(sequence: Sequence) -> int:
    """The sweep that the matrix step follows; -1 without one."""
    inputs = {a for n in sequence.region for a in n.args if a not in sequence.region}
    if not sequence.region:
        return -1
    first = sequence.matrix_first
    return max((_swept_by(a, sequence.ready, first) for a in inputs), default=0)


def _swept_by(node: Node, ready: dict[Node, int], matrix_first: bool) -> int:
    """The sweep after which a matrix step finds a value: a number that a finish makes is there
    when the next sweep is ready to begin, or after it if the matrix step comes first."""
    if node.level.is_coarse and not matrix_first:
        return max(ready[node] - 1, 0)
    return ready[node]


def is_busy(program: Program, cells: tuple[Level | None, ...]) -> bool:
    """Whether the last of these sweeps has something to do. (What the others have to do does not
    depend on it.)"""
    return not program.stores or Sequence.timed(program, cells).has_work(len(cells) - 1)


def _is_total(node: Node) -> bool:
    """Whether a value is made by the finishes after a sweep."""
    return node.op in REDUCTIONS and node.level.is_coarse


def ends_sweep(node: Node) -> bool:
    """Whether a value needs the partial results of a whole sweep."""
    return _is_total(node) and not node.args[0].level.is_coarse


def is_gathered(node: Node) -> bool:
    """Whether a value is added up from one number per tensor."""
    return _is_total(node) and node.args[0].level.is_coarse


def sweep_over(cells: tuple[Level | None, ...], level: Level, start: int) -> int:
    """The first sweep from `start` on that walks over the cells of `level` (any, for elements)."""
    if not level.is_cells:
        return start
    return next((k for k in range(start, len(cells)) if cells[k] == level), len(cells))
