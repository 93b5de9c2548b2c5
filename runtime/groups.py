"""Which tensors of a bucket the C target takes through several sweeps before it begins with others.

    sweep, finish per tensor, sweep     over tensors 0 to 3, then over tensors 4 to 9, ...

What a sweep has read or written is in the processor's cache when the next one over the same tensors
wants it, unless more has come since than the cache holds. Each tensor's tasks and sums are the same
in any grouping, so the results are as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from .batch import Bucket, Tasks
from .dtypes import stored
from .path import Finish, Matrix, Sweep

# With this many bytes of memory a group is full. Last-level caches have 16 to 36 MB, shared with
# all else that runs: full groups of small tensors fit with room to spare. A group costs two
# barriers; in less than the 50 us that this much memory takes they would show. Tensors that no
# cache holds gain nothing by themselves, so neighbours among them are one group.
_FULL = 4 << 20
_HUGE = 32 << 20


def groups(bucket: Bucket, steps: Sequence[Sweep | Finish | Matrix]) -> list[slice]:
    """The rows of each group. All rows are one group where memory is walked only once (over columns
    C walks twice in a sweep), and where a matrix step wants all tensors."""
    sweeps = [step for step in steps if isinstance(step, Sweep)]
    count = len(bucket.members)
    once = len(sweeps) < 2 and all(sweep.cell != "cols" for sweep in sweeps)
    if once or any(isinstance(step, Matrix) for step in steps):
        return [slice(0, count)]
    touched = {name for sweep in sweeps for name in (*sweep.loads, *sweep.stores)}
    width = sum(
        stored(stream.dtype, *bucket.dtypes).itemsize
        for stream in bucket.path.streams
        if stream.level == "element" and stream.name in touched
    )
    found: list[slice] = []
    sizes = [member.fact.numel * width for member in bucket.members]
    first, size = 0, 0
    for row, (own, next_) in enumerate(zip(sizes, [*sizes[1:], 0], strict=True), 1):
        size += own
        if row == count or (size >= _FULL and not own >= _HUGE <= next_):
            found.append(slice(first, row))
            first, size = row, 0
    return found


def tasks_of(tasks: Tasks, rows: slice) -> slice:
    """The tasks of a group of rows: those of a tensor lie behind those of the tensor before."""
    if rows == slice(0, len(tasks.spans)):
        return slice(0, len(tasks))
    last = tasks.spans[rows.stop - 1]
    return slice(int(tasks.spans[rows.start, 0]), int(last.sum()))
