"""One sequence of sweeps as a plan (see `schedule`): its steps, and the tables they share.

A store is placed in the first sweep that can write it (`early`) or in the last. Later steps are cut
first: they ask earlier ones for what they need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..dsl.levels import Level
from .bands import begin_columns
from .cut import Cut
from .finishes import finishes
from .ir import REDUCTIONS, Store, ordered
from .matrices import matrix_step
from .plan import Partial, Plan, PlanStep, Sweep
from .sequence import Sequence, ends_sweep, matrix_place, sweep_over
from .tables import operands, temporaries, totals, used_sizes, values


def build(sequence: Sequence, early: frozenset[str]) -> Plan:
    """The plan of a sequence with the streams of `early` written as soon as they can be."""
    program = sequence.program
    cut = Cut(sequence, _placed(sequence, early))
    after = matrix_place(sequence)
    steps: list[PlanStep] = []
    for k in reversed(range(len(sequence.cells))):
        between = _between(cut, k, k == after)
        sweep = _sweep(cut, k)
        steps = [*([sweep] if sweep.stores or sweep.partials else []), *between, *steps]
    steps = begin_columns(steps, temporaries(program, steps))
    streams = temporaries(program, steps)
    return Plan(
        program,
        tuple(steps),
        streams,
        streams[len(program.streams) :],
        operands(steps),
        used_sizes(program, steps),
        values(steps),
        totals(steps),
    )


def _between(cut: Cut, k: int, with_matrix: bool) -> list[PlanStep]:
    """What comes after sweep k: finishes and the matrix step, the one that comes last cut first."""
    if not with_matrix:
        return [*finishes(cut, k)]
    if cut.sequence.matrix_first:
        last = finishes(cut, k)
        return [matrix_step(cut, k), *last]
    matrix = matrix_step(cut, k)
    return [*finishes(cut, k), matrix]


def _placed(sequence: Sequence, early: frozenset[str]) -> dict[str, int]:
    """The sweep that writes each stream."""
    return {
        s.stream.name: sequence.place(s) if s.stream.name in early else sequence.last_place(s)
        for s in sequence.program.stores
        if sequence.swept(s)
    }


def _sweep(cut: Cut, k: int) -> Sweep:
    """Sweep k: the stores placed here, the sums that end here, what later steps need of it."""
    sequence = cut.sequence
    stores = [
        Store(s.stream, cut.at(s.value, k))
        for s in sequence.program.stores
        if sequence.swept(s) and cut.placed[s.stream.name] == k
    ]
    partials = tuple(
        Partial(cut.slot(node), node.op, cut.at(node.args[0], k))
        for node, ready in sequence.ready.items()
        if ends_sweep(node) and node not in sequence.region and ready == k + 1
    )
    for node, stream in list(cut.buffers.items()):
        made = sweep_over(sequence.cells, node.level, sequence.ready[node])
        if made == k and node not in sequence.region:
            stores.append(Store(stream, cut.at(node, k, buffered=False)))
    partials = _by_cells(stores, partials, sequence.cells[k])
    loads = cut.loads([s.value for s in stores] + [p.value for p in partials])
    return Sweep(f"sweep_{k + 1}", sequence.cells[k], loads, tuple(stores), partials)


def _by_cells(
    stores: Iterable[Store], partials: tuple[Partial, ...], cell: Level | None
) -> tuple[Partial, ...]:
    """What is added up per cell as well is added up from the cells' results: sum(x, per tensor) is
    the sum of sum(x, per rows)."""
    roots = [*(s.value for s in stores), *(p.value for p in partials)]
    made = {(n.op, n.args[0]): n for n in ordered(roots) if n.op in REDUCTIONS and n.level == cell}
    return tuple(replace(p, value=made.get((p.kind, p.value), p.value)) for p in partials)
