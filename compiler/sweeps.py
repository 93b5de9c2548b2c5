"""One sequence of sweeps: when each value is ready, and the plan that follows (see `schedule`).

`Sequence.of` finds for given cells the sweep in which every value is ready; `build` places stores,
cuts the program's graph into one small graph per step, and names what travels between steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..dsl.levels import GLOBAL, TENSOR, Level
from .ir import REDUCTIONS, Graph, Node, Program, Store, Stream, ordered
from .plan import Finish, MatrixStep, Partial, Plan, PlanStep, Slot, Sweep
from .region import matrix_region
from .tables import operands, slots, temporaries, used_sizes


class CannotSchedule(Exception):
    """This placement would read a stream after it was overwritten."""


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
                at = _sweep_over(cells, node.args[0].level, below)
                if node.level.is_coarse:
                    below = at + 1
                else:
                    below = _sweep_over(cells, node.level, below)
            elif node.op in REDUCTIONS:
                below = max(below, 1)  # a sum over one value per tensor: after the first sweep
            ready[node] = below
        sequence = Sequence(program, cells, region, ready)
        if any(sequence.place(store) >= len(cells) for store in program.stores if sequence.swept(store)):
            return None
        if any(ready[n] > len(cells) for n in ready if _ends_sweep(n)):
            return None
        busy = {sequence.place(store) for store in program.stores if sequence.swept(store)}
        busy |= {ready[n] - 1 for n in ready if n in region or _ends_sweep(n)}
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
            return _sweep_over(self.cells, store.stream.level, ready)
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


def _ends_sweep(node: Node) -> bool:
    return node.op in REDUCTIONS and node.level.is_coarse and not node.args[0].level.is_coarse


def _sweep_over(cells: tuple[Level | None, ...], level: Level, start: int) -> int:
    """The first sweep from `start` on that walks over the cells of `level` (any, for elements)."""
    if not level.is_cells:
        return start
    return next((k for k in range(start, len(cells)) if cells[k] == level), len(cells))


def build(sequence: Sequence, early: frozenset[str]) -> Plan:
    """The plan of a sequence with the streams of `early` written as soon as they can be."""
    return _Builder(sequence, early).plan()


@dataclass(slots=True)
class _Builder:
    sequence: Sequence
    early: frozenset[str]
    graph: Graph = field(default_factory=Graph)
    placed: dict[str, int] = field(default_factory=dict)  # stream -> the sweep that writes it
    slots: dict[Node, Slot] = field(default_factory=dict)
    buffers: dict[Node, Stream] = field(default_factory=dict)  # cell results and spilled values
    exported: dict[str, Slot] = field(default_factory=dict)  # old values of coarse states

    def plan(self) -> Plan:
        sequence, program, last = self.sequence, self.sequence.program, len(self.sequence.cells) - 1
        for store in program.stores:
            if sequence.swept(store):
                early = store.stream.name in self.early
                place = sequence.place(store) if early else sequence.last_place(store)
                self.placed[store.stream.name] = place
        after = self._matrix_place()
        matrix: MatrixStep | None = None
        sweeps: list[Sweep] = []
        for k in range(last, -1, -1):  # later sweeps first: they ask the earlier ones for buffers
            if k == after:
                matrix = self._matrix_step(after)
            sweeps.insert(0, self._sweep(k))
        steps: list[PlanStep] = []
        for k, sweep in enumerate(sweeps):
            steps += [sweep, *self._finishes(k)]
            if matrix is not None and k == after:
                steps.append(matrix)
        steps = [s for s in steps if not isinstance(s, Sweep) or s.stores or s.partials]
        return Plan(
            program, tuple(steps), temporaries(program, steps), temporaries(program, steps)[len(program.streams):],
            operands(steps), used_sizes(program, steps), slots(steps, TENSOR), slots(steps, GLOBAL),
        )  # fmt: skip

    # ------------------------------------------------------------ sweeps

    def _sweep(self, k: int) -> Sweep:
        """Sweep k: the stores placed here, the sums that end here, what later steps need of it."""
        sequence = self.sequence
        stores = [
            Store(s.stream, self._at(s.value, k))
            for s in sequence.program.stores
            if sequence.swept(s) and self.placed[s.stream.name] == k
        ]
        partials = tuple(
            Partial(self._slot(node), node.op, self._at(node.args[0], k))
            for node, ready in sequence.ready.items()
            if _ends_sweep(node) and node not in sequence.region and ready == k + 1
        )
        for node, stream in list(self.buffers.items()):
            made = _sweep_over(sequence.cells, node.level, sequence.ready[node])
            if made == k and node not in sequence.region:
                stores.append(Store(stream, self._at(node, k, buffered=False)))
        roots = [s.value for s in stores] + [p.value for p in partials]
        return Sweep(
            f"sweep_{k + 1}", sequence.cells[k], self._loads(roots), tuple(stores), partials
        )

    def _loads(self, roots: Iterable[Node]) -> tuple[Stream, ...]:
        names = {str(n.attr) for n in ordered(roots) if n.op in ("load", "fresh")}
        known = [*self.sequence.program.streams, *self.buffers.values()]
        return tuple(s for s in known if s.name in names)

    def _at(self, node: Node, k: int, buffered: bool = True) -> Node:
        """`node` as sweep k computes it: cut where memory or an earlier step has the value."""
        if node.is_host:
            return node
        ready = self.sequence.ready[node]
        if node.op == "load":
            return self._load(node, k)
        if buffered and ready < k and not node.level.is_coarse:
            stored = self._stored(node, k)
            if stored is not None:
                return self.graph.node("fresh", attr=stored, level=node.level)
            if node.level.is_cells and self._reduces(node):
                return self._buffer(node)
        if node in self.sequence.region:
            return self._buffer(node)
        if node.op in REDUCTIONS and node.level.is_coarse:
            return self._value(node)
        if node.level.is_coarse and k > 0:
            stored = self._stored_coarse(node, k)
            if stored is not None:
                return self.graph.node("fresh", attr=stored, level=node.level)
        args = tuple(self._at(arg, k) for arg in node.args)
        return self._copy(node, args)

    def _copy(self, node: Node, args: tuple[Node, ...]) -> Node:
        new = self.graph.node(node.op, *args, level=node.level, attr=node.attr, span=node.span)
        new.label = new.label or node.label
        new.span = new.span or node.span
        return new

    def _load(self, node: Node, k: int) -> Node:
        name = str(node.attr)
        if self._overwritten(name, k):
            slot = self.exported.setdefault(name, Slot(f"{name}_before", node.level))
            return self.graph.node("value", attr=slot, level=node.level)
        if self.placed.get(name, k) < k:
            if node.level.is_cells:
                return self._buffer(node)  # one value per cell: cheap to keep
            raise CannotSchedule(name)
        return self._copy(node, ())

    def _overwritten(self, name: str, k: int) -> bool:
        """Whether a finish before sweep k writes this coarse stream."""
        return any(
            s.stream.name == name and s.stream.level.is_coarse and self._finish_of(s) < k
            for s in self.sequence.program.stores
        )

    def _stored(self, node: Node, k: int) -> str | None:
        """The stream that holds exactly this value since an earlier sweep."""
        for s in self.sequence.program.stores:
            if s.value is node and s.stream.dtype == "real" and self.placed.get(s.stream.name, k) < k:
                return s.stream.name
        return None

    def _stored_coarse(self, node: Node, k: int) -> str | None:
        for s in self.sequence.program.stores:
            if s.value is node and s.stream.dtype == "real" and self._finish_of(s) < k:
                return s.stream.name
        return None

    def _reduces(self, node: Node) -> bool:
        return any(n.op in REDUCTIONS and n.level.is_cells for n in ordered([node]))

    def _buffer(self, node: Node) -> Node:
        if node not in self.buffers:
            taken = {s.name for s in self.sequence.program.streams}
            taken |= {s.name for s in self.buffers.values()}
            base = node.label.rpartition(".")[2] or "product"
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            self.buffers[node] = Stream(name, node.level, "real")
        return self.graph.node("fresh", attr=self.buffers[node].name, level=node.level)

    def _slot(self, node: Node) -> Slot:
        if node not in self.slots:
            base = node.label.rpartition(".")[2] or node.op
            taken = {slot.name for slot in self.slots.values()}
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            self.slots[node] = Slot(name, node.level)
        return self.slots[node]

    def _value(self, node: Node) -> Node:
        slot = self._slot(node)
        return self.graph.node("value", attr=slot, level=node.level)

    # ------------------------------------------------------------ finishes

    def _finish_of(self, store: Store) -> int:
        """The sweep after which a coarse store is written."""
        return max(self.sequence.ready[store.value] - 1, 0)

    def _finishes(self, k: int) -> list[PlanStep]:
        """What happens between sweep k and the next: per tensor, then global, then per tensor."""
        ready = self.sequence.ready
        stores = [
            s for s in self.sequence.program.stores
            if s.stream.level.is_coarse and s.value not in self.sequence.region and self._finish_of(s) == k
        ]  # fmt: skip
        completes = [
            n for n in ready
            if _ends_sweep(n) and n not in self.sequence.region and ready[n] == k + 1
        ]  # fmt: skip
        gathers = [n for n in self._gathered() if ready[n] == k + 1]
        olds = {s.stream.name: self.exported[s.stream.name] for s in stores if s.stream.name in self.exported}
        late = [s for s in stores if s.stream.level == TENSOR and self._needs_global(s.value, k)]
        steps = [
            self._finish(k, TENSOR, completes, gathers, [s for s in stores if s not in late], olds),
            self._finish(k, GLOBAL, completes, gathers, stores, olds),
            self._finish(k, TENSOR, [], [], late, {}),
        ]
        return [step for step in steps if step is not None]

    def _gathered(self) -> list[Node]:
        """Reductions over one value per tensor."""
        return [
            n for n in self.sequence.ready
            if n.op in REDUCTIONS and n.level.is_coarse and n.args[0].level.is_coarse
            and n not in self.sequence.region
        ]  # fmt: skip

    def _needs_global(self, node: Node, k: int) -> bool:
        return any(
            n.op in REDUCTIONS and n.level == GLOBAL and self.sequence.ready[n] == k + 1
            for n in ordered([node])
        )

    def _finish(
        self, k: int, level: Level, completes: list[Node], gathers: list[Node], stores: list[Store],
        olds: dict[str, Slot],
    ) -> Finish | None:  # fmt: skip
        done = tuple((self._slot(n), n.op) for n in completes if n.level == level)
        values: list[tuple[Slot, Node]] = []
        collected: list[tuple[Slot, str, Slot]] = []
        for n in gathers:
            (term,) = n.args
            source = self._term_slot(term)
            if term.level == level and (term.op not in REDUCTIONS):
                values.append((source, self._in_finish(term, k)))
            if n.level == level:
                collected.append((self._slot(n), n.op, source))
        for name, slot in olds.items():
            if slot.level == level:
                values.append((slot, self.graph.node("load", attr=name, level=level)))
        written = tuple(
            Store(s.stream, self._in_finish(s.value, k)) for s in stores if s.stream.level == level
        )
        if not (done or values or collected or written):
            return None
        roots = [n for _, n in values] + [s.value for s in written]
        name = f"finish_{k + 1}" + ("_global" if level == GLOBAL else "")
        return Finish(
            name, level, done, tuple(collected), tuple(values), written, self._loads(roots)
        )

    def _term_slot(self, term: Node) -> Slot:
        if term not in self.slots:
            self._slot(term)
        return self.slots[term]

    def _in_finish(self, node: Node, k: int) -> Node:
        """`node` as finish k computes it: reductions are slots, coarse states are loaded."""
        if node.is_host:
            return node
        if node.op == "load" and node.level.is_coarse:
            return self._load(node, k)
        if node.op in REDUCTIONS:
            return self._value(node)
        if not node.level.is_coarse:
            raise CannotSchedule(node.op)
        return self._copy(node, tuple(self._in_finish(arg, k) for arg in node.args))

    # ------------------------------------------------------------ matrices

    def _matrix_inputs(self) -> list[Node]:
        return list(
            dict.fromkeys(
                arg for n in self.sequence.ready if n in self.sequence.region for arg in n.args
                if arg not in self.sequence.region and not arg.is_host
            )
        )  # fmt: skip

    def _matrix_place(self) -> int:
        """The sweep that the matrix step follows; -1 without one."""
        if not self.sequence.region:
            return -1
        return max((self.sequence.ready[n] for n in self._matrix_inputs()), default=0)

    def _matrix_step(self, after: int) -> MatrixStep:
        """The region as one step; its results go to states or to buffers that sweeps asked for."""
        region = self.sequence.region
        inputs = self._matrix_inputs()
        cut = {n: self._matrix_input(n, after) for n in inputs}
        new = dict(cut)
        for node in ordered(region):
            if node in region:
                args = tuple(new.get(a, a) for a in node.args)
                new[node] = self._copy(node, args)
        stores = [
            Store(s.stream, new[s.value]) for s in self.sequence.program.stores if s.value in region
        ]
        stores += [Store(b, new[n]) for n, b in self.buffers.items() if n in region]
        roots = [s.value for s in stores]
        return MatrixStep(f"matrix_{after + 1}", self._loads(roots), tuple(stores))

    def _matrix_input(self, node: Node, after: int) -> Node:
        if node.level.is_coarse:
            return self._at(node, after + 1)
        if node.op == "load" and self.placed.get(str(node.attr), after + 1) > after:
            return self._copy(node, ())
        stored = self._stored(node, after + 1)
        if stored is not None:
            return self.graph.node("fresh", attr=stored, level=node.level)
        return self._buffer(node)
