"""A step ready to be called: what the target runs, and the tables it takes.

plain_call(bucket, work)                    tensor by tensor through torch; any matrix step
kernel_call(library, bucket, work, rows)    a C function over these rows of the bucket, or,
                                            without a library, a Triton kernel over all
joint_call(library, bucket, work, count)    a finish over `count` tensors
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from . import torch as plain
from . import triton as gpu
from .batch import Bucket, Tasks
from .c import Library
from .groups import tasks_of
from .path import Finish, Matrix, Sweep

Call = Callable[[], None]

_PER_TASK = ("tasks", "partials")
_PER_TENSOR = ("pointers", "shapes", "scalars", "values", "spans")


@dataclass(frozen=True, slots=True)
class Work:
    """A step, its tasks if it is a sweep, and the numbers that passes leave to each other: partial
    results (those of a tensor in the rows that `spans` names), values per tensor, totals."""

    step: Sweep | Finish | Matrix
    tasks: Tasks | None
    spans: Tensor | None
    partials: Tensor | None
    values: Tensor | None
    totals: Tensor | None


def plain_call(bucket: Bucket, work: Work) -> Call:
    """A step as plain torch code."""
    step, values = work.step, work.values
    totals = None if work.totals is None else work.totals[0]
    match step:
        case Sweep():
            return partial(plain.sweep, bucket, step, values, totals, work.partials)
        case Finish():
            return partial(plain.finish, [bucket], step, values, totals, work.partials)
        case Matrix():
            return partial(plain.matrix, bucket, step, values, totals)


def kernel_call(library: Library | None, bucket: Bucket, work: Work, rows: slice) -> Call:
    """A sweep or finish per tensor. A task names its tensor by the row among all, so a sweep over
    some rows takes a part of the tasks; a finish counts rows from the first, so it takes a part of
    all that has a row per tensor."""
    found, elements = _found(bucket, work), 0
    if work.tasks is None:
        part, names = rows, _PER_TENSOR
    else:
        part, names = tasks_of(work.tasks, rows), _PER_TASK
        elements = sum(member.fact.numel for member in bucket.members[rows])
    count = part.stop - part.start
    if library is None:
        return _call(None, bucket, work, count, count, found, 0)
    parts = {name: table[part] for name in names if (table := found[name]) is not None}
    return _call(library, bucket, work, count, count, found | parts, elements)


def joint_call(library: Library | None, bucket: Bucket, work: Work, count: int) -> Call:
    """A finish over several tensors, once."""
    return _call(library, bucket, work, 1, count, _found(bucket, work), 0)


def _call(
    library: Library | None,
    bucket: Bucket,
    work: Work,
    grid: int,
    count: int,
    found: dict[str, Tensor | None],
    elements: int,
) -> Call:
    step = work.step
    assert not isinstance(step, Matrix)
    if library is not None:
        tables = [_some(found[name]) for name in step.tables]
        return partial(library.launch, step.name, count, tables, elements)
    given = {n: count if n == "count" else _some(found[n]) for n in step.triton_tables}
    return partial(gpu.launch, step, grid, given, bucket.dtypes, bucket.aligned)


def _found(bucket: Bucket, work: Work) -> dict[str, Tensor | None]:
    return {
        "pointers": bucket.pointers,
        "shapes": bucket.shapes,
        "scalars": bucket.scalars,
        "tasks": None if work.tasks is None else work.tasks.table,
        "spans": work.spans,
        "partials": work.partials,
        "values": work.values,
        "totals": work.totals,
    }


def _some(table: Tensor | None) -> Tensor:
    assert table is not None
    return table
