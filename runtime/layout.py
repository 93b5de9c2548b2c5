"""A step laid out: its buckets and their tables, for one set of paths, ready to run again.

    layout = Layout(optimizer, entries, cohorts, choices, kept)    makes states that are missing
    layout.run()                                                   the step it was made for
    layout.run_again(optimizer, choices, facts, grads)             any later one on these paths

Between steps a layout keeps addresses, not tensors: states belong to the user, who may move them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from . import allocate, execute
from .batch import Bucket, Gradients, Kept, Member, personal
from .cohorts import NOTHING, Cohort, Entry
from .collect import gather, usable_grad, write_back
from .conversions import encode
from .facts import Facts, is_ordered
from .family import Widths
from .path import Choice, Matrix, Path
from .tables import Tables
from .target import target_of
from .temporaries import Temporaries

if TYPE_CHECKING:
    from .optimizer import CompiledOptimizer


class Layout:
    """Buckets, families of them, and their tables. `is_repeatable`: no tensor had to be copied."""

    def __init__(
        self,
        optimizer: CompiledOptimizer,
        entries: Sequence[Entry],
        cohorts: Sequence[Cohort],
        choices: Sequence[Choice],
        kept: Kept,
    ) -> None:
        facts = [cohort.fact for cohort in cohorts]
        self._buckets = _buckets(optimizer, entries, cohorts, choices)
        widths = Widths(optimizer.values, optimizer.totals, optimizer.partials, optimizer.c_source)
        self._families = execute.families_of(self._buckets, widths, kept)
        self._loose = {
            bucket
            for family in self._families
            for bucket in family.buckets
            if family.target == "torch" or _has_matrices(bucket)
        }
        self._temporaries = {bucket: Temporaries(bucket) for bucket in self._buckets}
        for temporaries in self._temporaries.values():
            temporaries.take()
            temporaries.show()
        copied = execute.keep_old_states(self._families)
        scattered = any(m.originals for bucket in self._buckets for m in bucket.members)
        self.is_repeatable = not copied and not scattered
        self._tables: list[tuple[Tables, list[Bucket]]] = []
        capturable = any(group["capturable"] for group in optimizer.param_groups)
        for device in dict.fromkeys(bucket.device for bucket in self._buckets):
            here = [bucket for bucket in self._buckets if bucket.device == device]
            self._tables.append((Tables(device, here, capturable), here))
        for bucket in self._buckets:
            bucket.fill(choices, facts)
        self._choices = choices

    @property
    def aligned(self) -> list[int]:
        """Places of the tensors that kernels read at full width."""
        return [
            member.place
            for bucket in self._buckets
            if bucket.aligned and target_of(bucket.device) == "triton"
            for member in bucket.members
        ]

    def run(self) -> None:
        """The step it was made for."""
        for tables, buckets in self._tables:
            tables.send()
            for bucket in buckets:
                bucket.write_moving(self._choices)
        self._run()
        write_back(self._buckets)
        for bucket in self._buckets:
            for member in bucket.members:
                member.tensors = {}

    def run_again(
        self,
        optimizer: CompiledOptimizer,
        choices: Sequence[Choice],
        facts: Sequence[Facts],
        grads: Gradients,
    ) -> None:
        """A later step: `choices`, and the `facts` they answer, by cohort, and where the gradients
        lie. Sends tables only where something in them is new, or a CUDA graph must send them."""
        for bucket in self._loose:
            for member in bucket.members:
                told = facts[member.cohort]
                member.choice = personal(choices[member.cohort], told, member.fact.index)
                member.tensors = _tensors(optimizer, bucket.path, member)
        for tables, buckets in self._tables:
            changes = [self._refresh(bucket, choices, facts, grads) for bucket in buckets]
            if any(changes) or tables.always:
                tables.send()
            for bucket in buckets:
                bucket.write_moving(choices)
        self._run()
        for bucket in self._loose:
            for member in bucket.members:
                member.tensors = {}

    def _refresh(
        self,
        bucket: Bucket,
        choices: Sequence[Choice],
        facts: Sequence[Facts],
        grads: Gradients,
    ) -> bool:
        temporaries = self._temporaries[bucket]
        temporaries.take()
        if bucket in self._loose:
            temporaries.show()
        changes = (
            bucket.write_scalars(choices, facts),
            bucket.write_grads(grads),
            temporaries.write(),
        )
        return any(changes)

    def _run(self) -> None:
        for family in self._families:
            family.begin()
        execute.run(self._families)
        for temporaries in self._temporaries.values():
            temporaries.give_back()


def _buckets(
    optimizer: CompiledOptimizer,
    entries: Sequence[Entry],
    cohorts: Sequence[Cohort],
    choices: Sequence[Choice],
) -> list[Bucket]:
    """Make states, and sort the tensors into buckets."""
    ordered = is_ordered(optimizer.host)
    first = optimizer.param_groups[0]
    buckets: dict[tuple[object, ...], Bucket] = {}
    for place, entry in enumerate(entries):
        param, fact, cohort = entry.param, entry.fact, cohorts[entry.cohort]
        choice, state = choices[entry.cohort], optimizer.state[param]
        if choice is NOTHING:
            continue
        path, group = optimizer.paths[choice.path], optimizer.param_groups[cohort.place]
        state.setdefault("step", 0)
        encode(optimizer.coded, path, param, fact, state)
        allocate.tensors(path, choice, param, fact, state, group, first)
        if path.steps:
            mine = personal(choice, cohort.fact, fact.index)
            member = Member(param, fact, place, cohort.place, entry.cohort, mine)
            member.tensors = _tensors(optimizer, path, member)
            gather(buckets, path, member, ordered)
    return list(buckets.values())


def _tensors(optimizer: CompiledOptimizer, path: Path, member: Member) -> dict[str, Tensor]:
    """A member's streams that outlive a step."""
    groups, param = optimizer.param_groups, member.param
    homes = (optimizer.state[param], groups[member.group], groups[0])
    states = {
        stream.name: allocate.home(stream, *homes)[stream.name]
        for stream in path.streams
        if stream.kind == "state"
    }
    return {"param": param, "grad": usable_grad(param, type(optimizer).__name__), **states}


def _has_matrices(bucket: Bucket) -> bool:
    return any(isinstance(step, Matrix) for step in bucket.path.steps)
