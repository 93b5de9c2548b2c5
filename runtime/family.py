"""Buckets that run in step with each other: their sweeps side by side, and what lies between.

    advance()      every bucket: sweeps, finishes per tensor, up to a finish over several tensors
    complete()     that finish, once

A family's buckets have the same finishes over several tensors: their totals are shared, and their
partial results lie in one table. What they share with other families is `execute`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from . import torch as plain
from .batch import Bucket, Kept, Tasks
from .c import Library, compiled
from .calls import Call, Work, joint_call, kernel_call, plain_call
from .groups import groups
from .path import Finish, Matrix, Path, Sweep
from .target import target_of
from .tile_size import task_size

Step = Sweep | Finish | Matrix

# Elements per task on a CPU: small enough to share one tensor of a million fairly among many
# threads, large enough that a task (half a megabyte of traffic) hides its own bookkeeping.
_C_TASK = 16384


@dataclass(frozen=True, slots=True)
class Widths:
    """The module's table widths, and its C text."""

    values: int
    totals: int
    partials: int
    c_source: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What a finish over several tensors combines: partial results in the rows that `spans` name,
    and one row of values per tensor; `count` tensors."""

    partials: Tensor | None
    spans: Tensor | None
    values: Tensor | None
    count: int


def is_joint(step: Step) -> bool:
    """Whether a step is a finish over several tensors."""
    return isinstance(step, Finish) and step.level != "tensor"


def joint_finishes(path: Path) -> list[Finish]:
    """A path's finishes over several tensors, in order."""
    return [step for step in path.steps if isinstance(step, Finish) and is_joint(step)]


def one_device(devices: Iterable[torch.device]) -> torch.device:
    """The device of all; raise where there are several."""
    found = set(devices)
    if len(found) > 1:
        names = ", ".join(sorted(map(str, found)))
        raise ValueError(
            f"a reduction over all parameters needs them on one device, not {names}; use one "
            "optimizer for each"
        )
    return found.pop()


class Family:
    """The buckets, the tables they share, and how far they have come."""

    def __init__(self, buckets: list[Bucket], widths: Widths, kept: Kept) -> None:
        self.device = one_device(bucket.device for bucket in buckets)
        self.buckets, self.widths, self.kept = buckets, widths, kept
        self.target = target_of(self.device)
        self.libraries: dict[tuple[torch.dtype, torch.dtype], Library] = {}
        if self.target == "c":
            self._load_libraries()
        counts = [len(bucket.members) for bucket in buckets]
        *self.rows, self.count = accumulate(counts, initial=0)
        self._segments = [_segments(bucket.path) for bucket in buckets]
        self._joint_spans: dict[int, Tensor | None] = {}
        self._prepared: dict[int, tuple[list[Call], Parts | None]] = {}

    def begin(self) -> None:
        """Prepare a step: the tables of numbers that its passes leave to each other. Those of the C
        target stay where they are, and with them every call that was prepared."""
        if self.target != "c":
            self._prepared.clear()
        if not self._prepared:
            self.values = self.table(self.count, self.widths.values)
            self.totals = self.table(1, self.widths.totals)
        self.parts = Parts(None, None, self.values, self.count)
        self.ahead = joint_finishes(self.buckets[0].path)
        self._segment = 0

    def _load_libraries(self) -> None:
        for bucket in self.buckets:
            library = compiled(self.widths.c_source, *bucket.dtypes)
            if library is None:
                self.target = "torch"
                return
            self.libraries[bucket.dtypes] = library

    def table(self, rows: int, width: int) -> Tensor | None:
        """A table of numbers between steps, zero; None if it would have no columns."""
        if not width:
            return None
        small = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.zeros(rows, width, dtype=small, device=self.device)

    # ------------------------------------------------------------ segments

    def advance(self) -> None:
        """Every bucket's steps up to the next finish over several tensors; `parts` is what their
        last sweeps left, in one table."""
        if self._segment not in self._prepared:
            self._prepared[self._segment] = self._prepare()
        calls, parts = self._prepared[self._segment]
        for call in calls:
            call()
        if parts:  # else the partial results of the sweep before are still to be combined
            self.parts = parts
        self._segment += 1

    def _prepare(self) -> tuple[list[Call], Parts | None]:
        """The calls of a segment, and the partial results they leave."""
        segments = [segments[self._segment] for segments in self._segments]
        last = [_last_sweep(steps) for steps in segments]
        planned = [
            self._tasks(bucket, sweep) if sweep is not None and sweep.partials else None
            for bucket, sweep in zip(self.buckets, last, strict=True)
        ]
        counts = [len(plan) if plan else 0 for plan in planned]
        together = self.table(sum(counts), self.widths.partials) if any(counts) else None
        calls: list[Call] = []
        first = 0
        for k, (bucket, steps) in enumerate(zip(self.buckets, segments, strict=True)):
            rows = slice(self.rows[k], self.rows[k] + len(bucket.members))
            values = None if self.values is None else self.values[rows]
            partials = None if together is None else together[first : first + counts[k]]
            calls += self._calls(bucket, steps, last[k], values, partials)
            first += counts[k]
        if not any(last):
            return calls, None
        return calls, Parts(together, self._where(planned), self.values, self.count)

    def _where(self, planned: list[Tasks | None]) -> Tensor | None:
        """The rows of every member's partial results in the table of all."""
        if self._segment not in self._joint_spans:
            found = [plan for plan in planned if plan is not None]
            *firsts, _ = accumulate(map(len, found), initial=0)
            spans = [
                plan.spans + torch.tensor([first, 0], device=self.device)
                for plan, first in zip(found, firsts, strict=True)
            ]
            self._joint_spans[self._segment] = torch.cat(spans) if spans else None
        return self._joint_spans[self._segment]

    # ------------------------------------------------------------ calls

    def _calls(
        self,
        bucket: Bucket,
        steps: list[Step],
        last: Sweep | None,
        values: Tensor | None,
        kept: Tensor | None,
    ) -> list[Call]:
        """A bucket's steps; on the C target over one group of its tensors after another."""
        works: list[Work] = []
        spans, partials = None, None
        for step in steps:
            tasks = self._tasks(bucket, step) if isinstance(step, Sweep) else None
            if isinstance(step, Sweep) and tasks is not None:
                spans = tasks.spans
                if step.partials:
                    new = step is not last
                    partials = self.table(len(tasks), self.widths.partials) if new else kept
            works.append(Work(step, tasks, spans, partials, values, self.totals))
        library = self.libraries.get(bucket.dtypes)
        everything = slice(0, len(bucket.members))
        return [
            plain_call(bucket, work)
            if self.target == "torch" or isinstance(work.step, Matrix)
            else kernel_call(library, bucket, work, rows)
            for rows in (groups(bucket, steps) if self.target == "c" else [everything])
            for work in works
        ]

    def _tasks(self, bucket: Bucket, sweep: Sweep) -> Tasks:
        if self.target == "torch":  # one task per tensor
            rows = torch.arange(len(bucket.members), device=self.device)
            return Tasks(rows, torch.stack((rows, torch.ones_like(rows)), dim=1), 0)
        if self.target != "c":
            return bucket.tasks(self.kept, sweep.cell, task_size(sweep))
        if sweep.tile:  # read as memory lies, not column by column
            return bucket.tasks(self.kept, ("tiles", *sweep.tile), 1)
        return bucket.tasks(self.kept, sweep.cell, _C_TASK, sweep.multiple)

    def complete(self, parts: Parts) -> None:
        """The finish that stands ahead, of `parts`. What it reads besides slots is the same for all
        tensors, so the tables of one bucket serve."""
        step = self.ahead.pop(0)
        if self.target == "torch":
            totals = None if self.totals is None else self.totals[0]
            plain.finish(self.buckets, step, parts.values, totals, parts.partials)
            return
        work = Work(step, None, parts.spans, parts.partials, parts.values, self.totals)
        widest = max(self.buckets, key=lambda bucket: bucket.dtypes[0] is torch.float64)
        joint_call(self.libraries.get(widest.dtypes), widest, work, parts.count)()


def _segments(path: Path) -> list[list[Step]]:
    """A path's steps between its finishes over several tensors."""
    segments: list[list[Step]] = [[]]
    for step in path.steps:
        if is_joint(step):
            segments.append([])
        else:
            segments[-1].append(step)
    return segments


def _last_sweep(steps: list[Step]) -> Sweep | None:
    return next((step for step in reversed(steps) if isinstance(step, Sweep)), None)
