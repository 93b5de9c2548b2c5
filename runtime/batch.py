"""Buckets: tensors that follow one path with one pair of dtypes, and the tables kernels read.

    tasks     (tensor row, begin, end)      pieces of work, elements or cells of one tensor
    pointers  one row of addresses per tensor, in the order of `Path.streams`
    shapes    numel, rows, cols, sizes      scalars   what the host computed
    spans     (first task, number of tasks) of each tensor

Pointers, shapes and scalars of all buckets on a device lie in one piece of memory (`tables`). The
tasks depend on shapes only and are kept from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cells import count, kind, length
from .facts import OWN_KEY, Facts
from .path import Choice, Level, Path, Stream
from .random import hash32

Numbers = NDArray[np.int64]


@dataclass(slots=True)
class Member:
    """One tensor in this call: its `place` among all that have a gradient, its group's and its
    cohort's number. `tensors` are its streams by name, as the kernels see them; `originals` those
    that had to be copied into consecutive memory first."""

    param: Tensor
    fact: Facts
    place: int
    group: int
    cohort: int
    choice: Choice
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    originals: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


class Kept:
    """What was made for the last steps, each under what it was made from."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[object, tuple[object, Any]] = {}

    def get(self, place: object, key: object, make: Callable[[], Any]) -> Any:
        """What stands at `place` if it was made from `key`, else what `make` makes."""
        known = self._kept.get(place)
        if known is None or known[0] != key:
            known = self._kept[place] = (key, make())
        return known[1]


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """Where gradients lie, by place; while it is this object they lie there."""

    at: Numbers


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a sweep over a bucket, and how many elements they are together."""

    table: Tensor
    spans: Tensor
    elements: int

    def __len__(self) -> int:
        return len(self.table)


@dataclass(slots=True, eq=False)
class Bucket:
    """Members of one path, device and pair of dtypes; of one group (by its number) where the path
    has finishes per group. `place` tells it from other buckets. The three arrays are on the host,
    one row per member; the tensors of the same tables are where kernels read them."""

    place: tuple[object, ...]
    path: Path
    device: torch.device
    dtypes: tuple[torch.dtype, torch.dtype]
    aligned: bool
    group: int | None = None
    members: list[Member] = field(default_factory=list[Member])
    streams: dict[str, Stream] = field(init=False)
    addresses: Numbers = field(init=False)
    extents: Numbers = field(init=False)
    numbers: NDArray[np.float64] = field(init=False)
    pointers: Tensor = field(init=False)
    shapes: Tensor = field(init=False)
    scalars: Tensor = field(init=False)
    cohorts: list[int] = field(init=False)
    _cohort: Numbers = field(init=False)
    _index: Numbers = field(init=False)
    _places: Numbers = field(init=False)
    _grad_at: Numbers = field(init=False)
    _grads: Gradients | None = None  # that addresses were written from
    _grad_column: int | None = None
    _given: bytes = b""
    _waits: bool = False  # whether there is more than the numbers that the host has
    _rows: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    _tasks: dict[object, Tasks] = field(default_factory=dict[object, Tasks])

    def __post_init__(self) -> None:
        self.streams = {stream.name: stream for stream in self.path.streams}
        for column, stream in enumerate(self.path.streams):
            if stream.kind == "grad":
                self._grad_column = column

    # ------------------------------------------------------------ rows

    def fill(self, choices: Sequence[Choice], facts: Sequence[Facts]) -> None:
        """Write all rows, of members whose tensors are at hand; `choices` and `facts` by cohort."""
        self.cohorts = list(dict.fromkeys(m.cohort for m in self.members))
        number = {cohort: k for k, cohort in enumerate(self.cohorts)}
        self._cohort = np.array([number[m.cohort] for m in self.members], dtype=np.int64)
        self._index = np.array([m.fact.index for m in self.members], dtype=np.int64)
        self._places = np.array([m.place for m in self.members], dtype=np.int64)
        rows = [[m.tensors[name].data_ptr() for name in self.streams] for m in self.members]
        self._grad_at = np.empty(len(self.members), dtype=np.int64)
        self.addresses[:] = rows
        self.extents[:] = [
            (m.fact.numel, m.fact.rows, m.fact.cols, *m.choice.sizes) for m in self.members
        ]
        self.write_scalars(choices, facts)

    def write_scalars(self, choices: Sequence[Choice], facts: Sequence[Facts]) -> bool:
        """Write what the host computed; whether any of it is new."""
        given = [choices[cohort].scalars for cohort in self.cohorts]
        own: set[int] = set()
        numbers_only = set(map(type, chain.from_iterable(given))) == {float}
        self._waits = not numbers_only and any(_is_later(x) for scalars in given for x in scalars)
        if self._waits:
            own = {c for scalars in given for c, x in enumerate(scalars) if x is OWN_KEY}
            given = [tuple(0.0 if _is_later(x) else x for x in scalars) for scalars in given]
        rows = np.array(given, dtype=np.float64)
        known = rows.tobytes()
        if known == self._given and not own:
            return False
        self._given = known
        rows.take(self._cohort, axis=0, out=self.numbers, mode="clip")  # which copies nothing
        if own:  # where each member's random bits begin in this step
            told = [(facts[cohort].seed, facts[cohort].t) for cohort in self.cohorts]
            seed, t = np.array(told, dtype=np.int64)[self._cohort].T
            self.numbers[:, list(own)] = hash32(seed, t, self._index)[:, None]
        return True

    def write_moving(self, choices: Sequence[Choice]) -> None:
        """Write, on the device, what was computed there."""
        if not self._waits:
            return
        for number, cohort in enumerate(self.cohorts):
            for column, value in enumerate(choices[cohort].scalars):
                if isinstance(value, Tensor):
                    self._write_number(column, number, value)

    def _write_number(self, column: int, number: int, value: Tensor) -> None:
        there = self.scalars[:, column]
        if len(self.cohorts) == 1:
            there.copy_(value)
            return
        if number not in self._rows:
            rows = np.flatnonzero(self._cohort == number)
            self._rows[number] = torch.from_numpy(rows).to(self.device)
        rows = self._rows[number]
        there.index_copy_(0, rows, value.expand(len(rows)))

    def write_grads(self, grads: Gradients) -> bool:
        """Write where gradients lie; whether any may have moved."""
        if grads is self._grads:
            return False
        self._grads = grads
        if self._grad_column is None:
            return False  # a path that does not read its gradient
        grads.at.take(self._places, out=self._grad_at, mode="clip")  # which copies nothing
        self.addresses[:, self._grad_column] = self._grad_at
        return True

    # ------------------------------------------------------------ tasks

    def tasks(self, kept: Kept, level: Level | None, size: int, multiple: int = 1) -> Tasks:
        """The tasks of a sweep over cells of `level` (or elements), each of about `size` elements,
        and of a `multiple` of so many cells."""
        cut = (level, size, multiple)
        found = self._tasks.get(cut)
        if found is None:
            key = (*cut, [(m.fact.shape, m.choice.sizes) for m in self.members])
            found = kept.get((self.place, level, multiple), key, lambda: self._make_tasks(*cut))
            self._tasks[cut] = found
        return found

    def _make_tasks(self, level: Level | None, size: int, multiple: int) -> Tasks:
        reach = [extent(level, m.fact, m.choice.sizes, size) for m in self.members]
        ends, steps = np.array(reach, dtype=np.int64).T
        steps = -(-steps // multiple) * multiple
        counts = -(-ends // steps)
        firsts = np.cumsum(counts) - counts
        rows = np.repeat(np.arange(len(ends)), counts)
        begins = (np.arange(len(rows)) - firsts[rows]) * steps[rows]
        table = np.stack((rows, begins, np.minimum(begins + steps[rows], ends[rows])), axis=1)
        return Tasks(
            torch.from_numpy(table).to(self.device),
            torch.from_numpy(np.stack((firsts, counts), axis=1)).to(self.device),
            sum(member.fact.numel for member in self.members),
        )


def _is_later(scalar: object) -> bool:
    """Whether something else than the number that the host has comes in its place."""
    return type(scalar) is not float and (scalar is OWN_KEY or isinstance(scalar, Tensor))


def personal(choice: Choice, told: Facts, index: int) -> Choice:
    """A cohort's answer, which it was `told` these facts for, with a tensor's own numbers in it."""
    if OWN_KEY not in choice.scalars:
        return choice
    key = hash32(told.seed, told.t, index)
    scalars = tuple(key if x is OWN_KEY else x for x in choice.scalars)
    return Choice(choice.path, scalars, choice.sizes, choice.hosts)


def extent(level: Level | None, fact: Facts, sizes: tuple[int, ...], size: int) -> tuple[int, int]:
    """How far the tasks of a tensor reach, in elements or cells, and how much one task takes."""
    if level is None:
        return fact.numel, size
    cells = count(level, fact, sizes)
    if kind(level) == "cols":  # neighbouring columns share cache lines: keep them together
        return cells, max(64, size // max(fact.rows, 1) // 64 * 64)
    return cells, max(1, size // max(length(level, fact, sizes), 1))
