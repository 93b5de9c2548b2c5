"""Which tensors of a bucket the C target takes through several sweeps before it begins with others.

    sweep, finish per tensor, sweep     over tensors 0 to 3, then over tensors 4 to 9, ...

What a sweep has read or written is in the processor's cache when the next one over the same tensors
wants it, unless more has come since than the cache holds. Each tensor's tasks and sums are the same
in any grouping, so the results are as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from .batch import Bucket, Tasks
from .dtypes import stored
from .path import Finish, Matrix, Sweep

# Bytes that a group of tensors has in memory. A last level of 16 to 36 MB, which a few cores share
# with all else that runs, keeps half of the smallest; a launch (10 us with its barrier) for every 8
# MB (100 us at 80 GB/s) is paid back many times, and one for every 1 MB would not be.
_CACHED = 8 << 20


def groups(bucket: Bucket, steps: Sequence[Sweep | Finish | Matrix]) -> list[slice]:
    """The rows of each group: as many as fit, or one that does not. All rows are one group where
    there is only one sweep, and where a matrix step needs all tensors at once."""
    sweeps = [step for step in steps if isinstance(step, Sweep)]
    members = bucket.members
    if len(sweeps) < 2 or any(isinstance(step, Matrix) for step in steps):
        return [slice(0, len(members))]
    touched = {name for sweep in sweeps for name in (*sweep.loads, *sweep.stores)}
    width = sum(
        stored(stream.dtype, *bucket.dtypes).itemsize
        for stream in bucket.path.streams
        if stream.level == "element" and stream.name in touched
    )
    ends = list(accumulate(member.fact.numel * width for member in members))
    found: list[slice] = []
    first, before = 0, 0
    for row in range(1, len(members)):
        if ends[row] - before > _CACHED:
            found.append(slice(first, row))
            first, before = row, ends[row - 1]
    return [*found, slice(first, len(members))]


def tasks_of(tasks: Tasks, rows: slice) -> slice:
    """The tasks of a group of rows: those of a tensor lie behind those of the tensor before."""
    if rows == slice(0, len(tasks.spans)):
        return slice(0, len(tasks))
    last = tasks.spans[rows.stop - 1]
    return slice(int(tasks.spans[rows.start, 0]), int(last.sum()))
