"""Buckets: tensors that follow one path with one pair of dtypes, and the tables kernels read.

    tasks     (tensor row, begin, end)      pieces of work, elements or cells of one tensor
    pointers  one row of addresses per tensor, in the order of `Path.streams`
    shapes    numel, rows, cols, sizes      scalars   what the host computed
    spans     (first task, number of tasks) of each tensor

A table depends on nothing but the numbers that key it, so it is kept from step to step and made
anew only when they change (gradients that moved, a tensor that grew).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .cells import count, kind, length
from .facts import Facts
from .path import Choice, Level, Path, Sweep


@dataclass(slots=True)
class Member:
    """One tensor in this call. `tensors` are its streams by name, as the kernels see them;
    `originals` those that had to be copied into consecutive memory first."""

    param: Tensor
    fact: Facts
    choice: Choice
    tensors: dict[str, Tensor]
    originals: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


class Tables:
    """The tables of the last steps, each under the numbers it was made from."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[object, tuple[object, Any]] = {}

    def get(self, place: object, key: object, make: Callable[[], Any]) -> Any:
        """What stands at `place` if it was made from `key`, else what `make` makes."""
        known = self._kept.get(place)
        if known is None or known[0] != key:
            known = self._kept[place] = (key, make())
        return known[1]


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a sweep over a bucket, and how many elements they are together."""

    table: Tensor
    spans: Tensor
    elements: int

    def __len__(self) -> int:
        return len(self.table)


@dataclass(slots=True)
class Bucket:
    """Members of one path, device and pair of dtypes; of one group (by its number) where the path
    has finishes per group. `place` tells it from other buckets."""

    place: tuple[object, ...]
    path: Path
    device: torch.device
    dtypes: tuple[torch.dtype, torch.dtype]
    aligned: bool
    group: int | None = None
    members: list[Member] = field(default_factory=list[Member])

    def pointers(self, tables: Tables) -> Tensor:
        """Addresses, one row per member."""
        names = [stream.name for stream in self.path.streams]
        rows = [m.tensors[name].data_ptr() for m in self.members for name in names]
        make = self._maker(rows, torch.int64, len(names))
        return tables.get((self.place, "pointers"), rows, make)

    def shapes(self, tables: Tables) -> Tensor:
        """numel, rows, cols and the host's sizes, one row per member."""
        rows = [
            number
            for m in self.members
            for number in (m.fact.numel, m.fact.rows, m.fact.cols, *m.choice.sizes)
        ]
        width = len(rows) // len(self.members)
        return tables.get((self.place, "shapes"), rows, self._maker(rows, torch.int64, width))

    def scalars(self, tables: Tables) -> Tensor:
        """What the host computed, one row per member."""
        first = self.members[0].choice.scalars
        if all(m.choice.scalars is first for m in self.members):
            key: object = (len(self.members), first)
            rows = [*first] * len(self.members)
        else:
            key = rows = [x for m in self.members for x in m.choice.scalars]
        make = self._maker(rows, torch.float64, len(first))
        return tables.get((self.place, "scalars"), key, make)

    def tasks(self, tables: Tables, sweep: Sweep, size: int) -> Tasks:
        """The tasks of a sweep, each of about `size` elements."""
        level = sweep.cell
        key = (level, size, [(m.fact.shape, m.choice.sizes) for m in self.members])
        return tables.get((self.place, "tasks", level), key, lambda: self._tasks(level, size))

    def _tasks(self, level: Level | None, size: int) -> Tasks:
        pieces: list[Tensor] = []
        spans: list[tuple[int, int]] = []
        total = 0
        for row, member in enumerate(self.members):
            end, step = extent(level, member.fact, member.choice.sizes, size)
            begins = torch.arange(0, end, step, dtype=torch.int64)
            ends = (begins + step).clamp_(max=end)
            pieces.append(torch.stack((torch.full_like(begins, row), begins, ends), dim=1))
            spans.append((total, len(begins)))
            total += len(begins)
        return Tasks(
            torch.cat(pieces).to(self.device),
            torch.tensor(spans, dtype=torch.int64, device=self.device),
            sum(member.fact.numel for member in self.members),
        )

    def _maker(self, rows: Sequence[float], dtype: torch.dtype, width: int) -> Callable[[], Tensor]:
        def make() -> Tensor:
            table = torch.tensor(rows, dtype=dtype).view(len(self.members), width)
            return table.to(self.device, non_blocking=True)

        return make


def extent(level: Level | None, fact: Facts, sizes: tuple[int, ...], size: int) -> tuple[int, int]:
    """How far the tasks of a tensor reach, in elements or cells, and how much one task takes."""
    if level is None:
        return fact.numel, size
    cells = count(level, fact, sizes)
    if kind(level) == "cols":  # neighbouring columns share cache lines: keep them together
        return cells, max(64, size // max(fact.rows, 1) // 64 * 64)
    return cells, max(1, size // max(length(level, fact, sizes), 1))
