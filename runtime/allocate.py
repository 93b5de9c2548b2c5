"""Making states: the tensor that a stream needs, filled with what it begins with.

    m, like param           zeros of the parameter's shape, in the arithmetic's dtype
    v, per rows             one number per row
    m (codes), m_scale      uint8 codes of the parameter's shape, one float32 per block

States of one tensor live in `optimizer.state[param]`; those of a group, or of all, in
`param_groups`, under the name that the spec gives them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .cells import kind, shape
from .dtypes import stored
from .facts import Facts
from .path import Choice, Path, Stream


def make(stream: Stream, param: Tensor, fact: Facts, sizes: tuple[int, ...]) -> Tensor:
    """A new state. Its elements lie in memory as the parameter's do."""
    dtype = stored(stream.dtype, param.dtype)
    if stream.initial == "param" and kind(stream.level) != "element":
        raise ValueError(f"{fact}: a state per {kind(stream.level)} cannot begin as the parameter")
    if kind(stream.level) == "element":
        if stream.initial == "param":
            return param.detach().to(dtype, copy=True)
        new = torch.empty_like(param, dtype=dtype, requires_grad=False)
    else:
        form = shape(stream.level, fact, sizes)
        if stream.initial == "identity":
            return torch.eye(*form, dtype=dtype, device=param.device)
        new = torch.empty(form, dtype=dtype, device=param.device)
    return new.fill_(float(stream.initial))


def home(
    stream: Stream, state: dict[str, Any], group: dict[str, Any], first: dict[str, Any]
) -> dict[str, Any]:
    """Where a state is kept: with its tensor, its group, or the first group."""
    return first if stream.level == "global" else group if stream.level == "group" else state


def tensors(
    path: Path,
    choice: Choice,
    param: Tensor,
    fact: Facts,
    state: dict[str, Any],
    group: dict[str, Any],
    first: dict[str, Any],
) -> None:
    """Make the states of a path that do not exist yet; raise where one does not fit."""
    found: dict[str, Tensor] = {}
    for stream in path.streams:
        if stream.kind == "state":
            place = home(stream, state, group, first)
            tensor = place.get(stream.name)
            if tensor is None:
                tensor = place[stream.name] = make(stream, param, fact, choice.sizes)
            found[stream.name] = tensor
    seen = (param.dtype, param.device, choice.sizes, *map(id, found.values()))
    if fact.sound != seen:
        _check(path, choice, param, fact, found)
        fact.sound = seen


def _check(
    path: Path, choice: Choice, param: Tensor, fact: Facts, found: dict[str, Tensor]
) -> None:
    """Raise if a state does not go with its parameter any more (which was moved to another device
    or dtype since): kernels trust addresses."""
    for stream in path.streams:
        if stream.kind != "state":
            continue
        tensor, dtype = found[stream.name], stored(stream.dtype, param.dtype)
        form = shape(stream.level, fact, choice.sizes)
        for word, is_, should in (
            ("dtype", tensor.dtype, dtype),
            ("device", tensor.device, param.device),
            ("shape", tuple(tensor.shape), form),
        ):
            if is_ != should:
                raise ValueError(
                    f"{fact}: its state `{stream.name}` has {word} {is_}, not {should}; was the "
                    "parameter changed after the optimizer's first step, or is the state shared "
                    "by parameters that differ in it?"
                )
