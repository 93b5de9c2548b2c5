"""Buckets that run in step with each other: their sweeps side by side, and what lies between.

    advance()      every bucket: sweeps, finishes per tensor, up to a finish over several tensors
    complete()     that finish, once

A family's buckets have the same finishes over several tensors: their totals are shared, and their
partial results lie in one table. What they share with other families is `execute`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import torch as plain
from . import triton as gpu
from .batch import Bucket, Tables, Tasks
from .c import Library, compiled
from .cells import shape
from .dtypes import stored
from .path import Finish, Matrix, Path, Sweep
from .target import target_of

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


class Family:
    """The buckets, the tables they share, and how far they have come."""

    def __init__(self, buckets: list[Bucket], widths: Widths, tables: Tables) -> None:
        devices = {bucket.device for bucket in buckets}
        if len(devices) > 1:
            names = ", ".join(sorted(map(str, devices)))
            raise ValueError(
                f"a reduction over all parameters needs them on one device, not {names}"
            )
        (self.device,) = devices
        self.buckets, self.widths, self.tables = buckets, widths, tables
        self.target = target_of(self.device)
        self.libraries: dict[tuple[torch.dtype, torch.dtype], Library] = {}
        if self.target == "c":
            self._load_libraries()
        counts = [len(bucket.members) for bucket in buckets]
        self.count = sum(counts)
        self.rows = [sum(counts[:k]) for k in range(len(counts))]
        self.values = self.table(self.count, widths.values)
        self.totals = self.table(1, widths.totals)
        self.parts = Parts(None, None, self.values, self.count)
        self.ahead = joint_finishes(buckets[0].path)
        self._segments = [_segments(bucket.path) for bucket in buckets]
        for bucket in buckets:
            _make_temporaries(bucket)

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

    # ------------------------------------------------------------ sweeps

    def advance(self) -> None:
        """Every bucket's steps up to the next finish over several tensors; `parts` is what their
        last sweeps left, in one table."""
        segments = [segments.pop(0) for segments in self._segments]
        last = [_last_sweep(steps) for steps in segments]
        planned = [
            self._tasks(bucket, sweep) if sweep is not None and sweep.partials else None
            for bucket, sweep in zip(self.buckets, last, strict=True)
        ]
        counts = [len(plan) if plan else 0 for plan in planned]
        together = self.table(sum(counts), self.widths.partials) if any(counts) else None
        spans: list[Tensor] = []
        first = 0
        for k, (bucket, steps) in enumerate(zip(self.buckets, segments, strict=True)):
            rows = slice(self.rows[k], self.rows[k] + len(bucket.members))
            values = None if self.values is None else self.values[rows]
            partials = None if together is None else together[first : first + counts[k]]
            self._run_bucket(bucket, steps, last[k], values, partials)
            plan = planned[k]
            if plan is not None:
                shift = torch.tensor([first, 0], dtype=torch.int64, device=self.device)
                spans.append(plan.spans + shift)
            first += counts[k]
        if any(last):  # else the partial results of the sweep before are still to be combined
            where = torch.cat(spans) if spans else None
            self.parts = Parts(together, where, self.values, self.count)

    def _run_bucket(
        self,
        bucket: Bucket,
        steps: list[Step],
        last: Sweep | None,
        values: Tensor | None,
        kept: Tensor | None,
    ) -> None:
        partials, spans = None, None
        for step in steps:
            match step:
                case Sweep():
                    tasks = self._tasks(bucket, step)
                    spans = tasks.spans
                    if step.partials:
                        partials = (
                            kept if step is last else self.table(len(tasks), self.widths.partials)
                        )
                    self._sweep(bucket, step, tasks, values, partials)
                case Finish():
                    self._finish(bucket, step, values, partials, spans)
                case Matrix():
                    plain.matrix(bucket, step, values, _only(self.totals))

    def _tasks(self, bucket: Bucket, sweep: Sweep) -> Tasks:
        if self.target == "torch":  # one task per tensor
            rows = torch.arange(len(bucket.members), device=self.device)
            return Tasks(rows, torch.stack((rows, torch.ones_like(rows)), dim=1), 0)
        size = _C_TASK if self.target == "c" else gpu.task_size(sweep)
        return bucket.tasks(self.tables, sweep, size)

    def _sweep(
        self,
        bucket: Bucket,
        step: Sweep,
        tasks: Tasks,
        values: Tensor | None,
        partials: Tensor | None,
    ) -> None:
        if self.target == "torch":
            plain.sweep(bucket, step, values, _only(self.totals), partials)
            return
        found = {"tasks": tasks.table, "values": values, "partials": partials}
        self._launch(bucket, step, len(tasks), len(tasks), found, tasks.elements)

    # ------------------------------------------------------------ finishes

    def _finish(
        self,
        bucket: Bucket,
        step: Finish,
        values: Tensor | None,
        partials: Tensor | None,
        spans: Tensor | None,
    ) -> None:
        if self.target == "torch":
            plain.finish([bucket], step, values, _only(self.totals), partials)
            return
        count = len(bucket.members)
        found = {"values": values, "partials": partials, "spans": spans}
        self._launch(bucket, step, count, count, found)

    def complete(self, parts: Parts) -> None:
        """The finish that stands ahead, of `parts`. What it reads besides slots is the same for all
        tensors, so the tables of one bucket serve."""
        step = self.ahead.pop(0)
        if self.target == "torch":
            plain.finish(self.buckets, step, parts.values, _only(self.totals), parts.partials)
            return
        found = {"values": parts.values, "partials": parts.partials, "spans": parts.spans}
        widest = max(self.buckets, key=lambda bucket: bucket.dtypes[0] is torch.float64)
        self._launch(widest, step, 1, parts.count, found)

    def _launch(
        self,
        bucket: Bucket,
        step: Sweep | Finish,
        grid: int,
        count: int,
        found: dict[str, Tensor | None],
        elements: int = 0,
    ) -> None:
        """Call a kernel of the C or Triton target with the tables it takes."""
        tables: dict[str, Tensor | int] = {"count": count}
        for name in step.tables if self.target == "c" else step.triton_tables:
            match name:
                case "pointers":
                    tables[name] = bucket.pointers(self.tables)
                case "shapes":
                    tables[name] = bucket.shapes(self.tables)
                case "scalars":
                    tables[name] = bucket.scalars(self.tables)
                case "totals":
                    tables[name] = _some(self.totals)
                case "count":
                    pass
                case _:
                    tables[name] = _some(found[name])
        if self.target == "c":
            library = self.libraries[bucket.dtypes]
            given = [_some(tables[name]) for name in step.tables]
            library.launch(step.name, count, given, elements)
        else:
            gpu.launch(step, grid, tables, bucket.dtypes, bucket.aligned)


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


def _only(table: Tensor | None) -> Tensor | None:
    """The one row of the totals."""
    return None if table is None else table[0]


def _some(table: Tensor | int | None) -> Tensor:
    assert isinstance(table, Tensor)
    return table


def _make_temporaries(bucket: Bucket) -> None:
    """Memory for what one sweep leaves to the next: per stream, one piece for all members, each
    beginning at a multiple of 64 numbers."""
    for stream in bucket.path.streams:
        if stream.kind != "temporary":
            continue
        dtype = stored(stream.dtype, *bucket.dtypes)
        shapes = [shape(stream.level, m.fact, m.choice.sizes) for m in bucket.members]
        sizes = [_product(s) for s in shapes]
        padded = [-(-size // 64) * 64 for size in sizes]
        piece = torch.empty(sum(padded), dtype=dtype, device=bucket.device)
        first = 0
        for member, form, size, room in zip(bucket.members, shapes, sizes, padded, strict=True):
            member.tensors[stream.name] = piece[first : first + size].view(form)
            first += room


def _product(form: tuple[int, ...]) -> int:
    product = 1
    for size in form:
        product *= size
    return product
