"""Running a step: the paths of all tensors side by side, from meeting to meeting.

    every family: sweeps (and finishes per tensor), up to a finish over several tensors
    a meeting:    sum(grad^2, per global) is known once every tensor that adds to it has been swept
    every family that waited for it: its finish, and on to the next one

Buckets whose paths finish alike form a family (`family`); a path that never waits is one by itself.
Tensors on different paths add to the same reduction if it has the same column of the totals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .batch import Bucket, Kept
from .cells import kind
from .family import Family, Parts, Widths, joint_finishes, one_device
from .path import Finish
from .torch import combine

__all__ = ["Widths", "families_of", "keep_old_states", "run"]

# A reduction over several tensors: its level, the group (None: all), its column of the totals.
Sum = tuple[str, object, int]


def run(families: Sequence[Family]) -> None:
    """One step of all families."""
    for family in families:
        family.advance()
    waiting = [family for family in families if family.ahead]
    if waiting:
        _meet(waiting)


def families_of(buckets: Sequence[Bucket], widths: Widths, kept: Kept) -> list[Family]:
    """Buckets that finish alike together, every other bucket by itself."""
    families: dict[object, list[Bucket]] = {}
    for bucket in buckets:
        number, group = bucket.place[0], bucket.group
        alike = tuple(
            (step.name, step.completes, step.gathers, step.results, step.scalars and number)
            for step in joint_finishes(bucket.path)
        )
        families.setdefault((group, alike) if alike else bucket.place, []).append(bucket)
    return [Family(family, widths, kept) for family in families.values()]


# ---------------------------------------------------------------- meetings


@dataclass(frozen=True, slots=True)
class _Part:
    """What one family adds to a reduction: a column of a table, one row per task or tensor."""

    family: Family
    kind: str
    numbers: Tensor

    def total(self) -> Tensor:
        return combine(self.kind, self.numbers)


def _meet(waiting: list[Family]) -> None:
    """Run the finishes of families that stand before one, until none does."""
    known: dict[Sum, list[_Part]] = {}
    for family in waiting:
        _hand_in(family, known)
    while waiting:
        open_ = {
            s for family in waiting for finish in family.ahead[1:] for s in _sums(finish, family)
        }
        ready = [f for f in waiting if not open_ & set(_sums(f.ahead[0], f))]
        if not ready:
            raise ValueError(
                "reductions over all parameters wait for each other: tensors on different paths "
                "need them in different orders"
            )
        for family in ready:
            family.complete(_gathered(family, known))
        for family in ready:
            family.advance()
            if family.ahead:
                _hand_in(family, known)
        waiting = [family for family in waiting if family.ahead]


def _sums(finish: Finish, family: Family) -> Iterator[Sum]:
    """The reductions that a finish completes."""
    group = family.buckets[0].group if finish.level == "group" else None
    for column, _, _ in (*finish.completes, *finish.gathers):
        yield finish.level, group, column


def _hand_in(family: Family, known: dict[Sum, list[_Part]]) -> None:
    """Make known what the family adds to the reductions of the finish ahead of it."""
    finish, parts = family.ahead[0], family.parts
    columns = [(parts.partials, *entry) for entry in finish.completes]
    columns += [(parts.values, *entry) for entry in finish.gathers]
    for reduction, (table, _, how, column) in zip(_sums(finish, family), columns, strict=True):
        assert table is not None
        known.setdefault(reduction, []).append(_Part(family, how, table[:, column]))


def _gathered(family: Family, known: dict[Sum, list[_Part]]) -> Parts:
    """What the finish ahead combines: the family's own tables if nobody else adds to them, else
    one row for each family that does."""
    finish = family.ahead[0]
    sums = list(_sums(finish, family))
    adding = list(dict.fromkeys(part.family for s in sums for part in known[s]))
    if adding in ([], [family]):
        return family.parts
    one_device(other.device for other in adding)
    count = len(adding)
    partials = family.table(count, family.widths.partials)
    values = family.table(count, family.widths.values)
    tables = [partials] * len(finish.completes) + [values] * len(finish.gathers)
    entries = (*finish.completes, *finish.gathers)
    for reduction, table, (_, how, column) in zip(sums, tables, entries, strict=True):
        assert table is not None
        table[:, column] = _NEUTRAL[how]
        for part in known[reduction]:
            table[adding.index(part.family), column] = part.total()
    rows = torch.arange(count, device=family.device)
    return Parts(partials, torch.stack((rows, torch.ones_like(rows)), dim=1), values, count)


_NEUTRAL = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}


# ---------------------------------------------------------------- states of groups and of all


def keep_old_states(families: Sequence[Family]) -> bool:
    """A state that several families have and one writes: the first that writes it has it, the
    others work on copies, so that each of them begins with the old value. Whether there is one."""
    copied = False
    if len(families) == 1:
        return copied
    users: dict[int, list[tuple[Family, str]]] = {}
    for family in families:
        for bucket, name in _shared_states(family):
            tensor = bucket.members[0].tensors[name]
            users.setdefault(id(tensor), []).append((family, name))
    for found in users.values():
        owners = [family for family, name in found if _writes(family, name)]
        others = {family for family, _ in found if owners and family is not owners[0]}
        for family in others:
            _copy_states(family, [name for other, name in found if other is family])
            copied = True
    return copied


def _shared_states(family: Family) -> Iterator[tuple[Bucket, str]]:
    for bucket in family.buckets:
        for stream in bucket.path.streams:
            if stream.kind == "state" and kind(stream.level) in ("group", "global"):
                yield bucket, stream.name


def _writes(family: Family, name: str) -> bool:
    steps = (step for bucket in family.buckets for step in bucket.path.steps)
    return any(name in step.stores for step in steps)


def _copy_states(family: Family, names: Sequence[str]) -> None:
    copies: dict[int, Tensor] = {}
    for bucket in family.buckets:
        for member in bucket.members:
            for name in names:
                tensor = member.tensors[name]
                member.tensors[name] = copies.setdefault(id(tensor), tensor.clone())
