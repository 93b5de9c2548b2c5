"""The torch target: the plain form of a step, tensor by tensor; and matrix steps on every device.

An element stream reaches a form as a (rows, cols) view in the arithmetic's dtype, one per row as
(rows, 1), per column as (1, cols), any other cells as a vector, one per tensor as a number (0-d).
Codes (integers) come as they are. What a form returns is written back in the stream's own dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .batch import Bucket, Member
from .cells import arguments, kind
from .dtypes import real
from .forms import pack, unpack
from .path import Finish, Matrix, Stream, Sweep
from .scalar import number


def sweep(
    bucket: Bucket,
    step: Sweep,
    values: Tensor | None,
    totals: Tensor | None,
    partials: Tensor | None,
) -> None:
    """One pass over every member; row k of `partials` is member k's."""
    form = _form(step.torch)
    for row, member in enumerate(bucket.members):
        numbers = _numbers(step, member, _row(values, row), totals)
        sizes: list[Any] = [int(member.choice.sizes[k]) for k in step.sizes]
        if _takes(form, "dtype"):
            sizes.append(bucket.dtypes[0])
        if _takes(form, "like"):
            sizes += _loads(bucket, ("param",), member)
        results = form(*_loads(bucket, step.loads, member), *numbers, *sizes)
        stores, parts = results[: len(step.stores)], results[len(step.stores) :]
        _write(bucket, step.stores, member, stores)
        for column, part in enumerate(parts):
            assert partials is not None
            partials[row, column] = part


def finish(
    buckets: Sequence[Bucket],
    step: Finish,
    values: Tensor | None,
    totals: Tensor | None,
    partials: Tensor | None,
) -> None:
    """Combine what the sweep left, then run the form: per tensor, or once for several."""
    if step.level != "tensor":
        for column, how, part in step.completes:
            assert partials is not None and totals is not None
            totals[column] = combine(how, partials[:, part])
        for column, how, value in step.gathers:
            assert values is not None and totals is not None
            totals[column] = combine(how, values[:, value])
        _compute(buckets[0], step, buckets[0].members[0], values, totals, totals)
        return
    (bucket,) = buckets
    for row, member in enumerate(bucket.members):
        mine = _row(values, row)
        for column, how, part in step.completes:
            assert partials is not None and mine is not None
            mine[column] = combine(how, partials[row : row + 1, part])
        _compute(bucket, step, member, mine, totals, mine)


def _compute(
    bucket: Bucket,
    step: Finish,
    member: Member,
    values: Tensor | None,
    totals: Tensor | None,
    slots: Tensor | None,
) -> None:
    if not step.results and not step.stores:
        return
    mine = values if step.level == "tensor" else None
    form = _form(step.torch)
    like = _loads(bucket, ("param",), member) if _takes(form, "like") else []
    numbers = _numbers(step, member, mine, totals)
    results = form(*_loads(bucket, step.loads, member), *numbers, *like)
    made, stored = results[: len(step.results)], results[len(step.results) :]
    for column, result in zip(step.results, made, strict=True):
        assert slots is not None
        slots[column] = result
    _write(bucket, step.stores, member, stored)


_COMBINE: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
}


def combine(how: str, parts: Tensor) -> Tensor:
    """All numbers to one."""
    return _COMBINE[how](parts)


# ---------------------------------------------------------------- matrices


def matrix(bucket: Bucket, step: Matrix, values: Tensor | None, totals: Tensor | None) -> None:
    """Whole tensors, those of one shape stacked."""
    form = _form(step.torch)
    stacks: dict[tuple[object, ...], list[int]] = {}
    for row, member in enumerate(bucket.members):
        key = (member.fact.rows, member.fact.cols, member.choice.sizes)
        stacks.setdefault(key, []).append(row)
    for rows in stacks.values():
        members = [bucket.members[row] for row in rows]
        columns = zip(*(_loads(bucket, step.loads, member) for member in members), strict=True)
        loads = [_stack(column) for column in columns]
        numbers = zip(
            *(
                _numbers(step, m, _row(values, row), totals)
                for m, row in zip(members, rows, strict=True)
            ),
            strict=True,
        )
        like = next((load for load in loads if load.is_floating_point()), loads[0])
        stacked = [_numbers_stack(column, like) for column in numbers]
        sizes: list[Any] = [int(members[0].choice.sizes[k]) for k in step.sizes]
        if _takes(form, "like"):
            sizes.append(like)
        results = form(*loads, *stacked, *sizes)
        for place, member in enumerate(members):
            _write(bucket, step.stores, member, [result[place] for result in results])


def _stack(tensors: tuple[Tensor, ...]) -> Tensor:
    if tensors[0].ndim < 2:  # one number, or one for each head, chunk or tile
        return torch.stack(tensors).view(len(tensors), 1, tensors[0].numel())
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


def _numbers_stack(numbers: tuple[Any, ...], like: Tensor) -> Tensor:
    column = [number(x, like.device) for x in numbers]
    return torch.stack(column).to(like.dtype).view(-1, 1, 1)


# ---------------------------------------------------------------- reading and writing


def _form(form: Callable[..., Any] | None) -> Callable[..., Any]:
    if form is None:
        raise ValueError("this step has no torch form")
    return form


@cache
def _takes(form: Callable[..., Any], name: str) -> bool:
    """Whether a form asks for the parameter's `dtype`, to round to it, or for one `like` it."""
    return name in form.__code__.co_varnames[: form.__code__.co_argcount]


def _row(table: Tensor | None, row: int) -> Tensor | None:
    return None if table is None else table[row]


def _loads(bucket: Bucket, names: Sequence[str], member: Member) -> list[Tensor]:
    return [_seen(bucket.streams[name], member, bucket.dtypes[0]) for name in names]


def _seen(stream: Stream, member: Member, param: torch.dtype) -> Tensor:
    tensor = _shaped(stream, member, member.tensors[stream.name])
    if kind(stream.level) == "packed":
        codes = unpack(tensor, *arguments(stream.level, ()))
        return codes[: member.fact.numel].view(member.fact.rows, member.fact.cols)
    return tensor.to(real(param)) if tensor.is_floating_point() else tensor


def _shaped(stream: Stream, member: Member, tensor: Tensor) -> Tensor:
    match kind(stream.level):
        case "element":
            return tensor.view(member.fact.rows, member.fact.cols)
        case "rows":
            return tensor.view(-1, 1)
        case "cols":
            return tensor.view(1, -1)
        case _:
            return tensor


def _numbers(
    step: Sweep | Finish | Matrix, member: Member, values: Tensor | None, totals: Tensor | None
) -> list[Any]:
    """Host scalars as floats, slots as 0-d tensors, in the order that the form takes them."""
    numbers: list[Any] = [member.choice.scalars[k] for k in step.scalars]
    for table, columns in ((values, step.values), (totals, step.totals)):
        for column in columns:
            assert table is not None
            numbers.append(table[column].clone())
    return numbers


def _write(bucket: Bucket, names: Sequence[str], member: Member, results: Sequence[Tensor]) -> None:
    """All results are made before any is written: one may be another stream as it was loaded."""
    places = {member.tensors[name].data_ptr() for name in names}
    made = [result.clone() if result.data_ptr() in places else result for result in results]
    for name, result in zip(names, made, strict=True):
        if kind(bucket.streams[name].level) == "packed":
            result = pack(result.flatten(), *arguments(bucket.streams[name].level, ()))
        target = _shaped(bucket.streams[name], member, member.tensors[name])
        target.copy_(result if target.ndim > 1 else result.squeeze())
