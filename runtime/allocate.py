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
    if kind(stream.level) == "element":
        if stream.initial == "param":
            return param.detach().to(dtype, copy=True)
        new = torch.empty_like(param, dtype=dtype, requires_grad=False)
    else:
        new = torch.empty(shape(stream.level, fact, sizes), dtype=dtype, device=param.device)
    if stream.initial == "param":
        raise ValueError(f"{fact}: a state per {kind(stream.level)} cannot begin as the parameter")
    return new.fill_(float(stream.initial))


def owner(
    stream: Stream, state: dict[str, Any], group: dict[str, Any], first: dict[str, Any]
) -> dict[str, Any]:
    """Where a state is kept: with the tensor, its group, or the first group for all."""
    match kind(stream.level):
        case "global":
            return first
        case "group":
            return group
        case _:
            return state


def tensors(
    path: Path,
    choice: Choice,
    param: Tensor,
    fact: Facts,
    state: dict[str, Any],
    group: dict[str, Any],
    first: dict[str, Any],
) -> dict[str, Tensor]:
    """The states of a path by name; those that do not exist yet are made."""
    found: dict[str, Tensor] = {}
    for stream in path.streams:
        if stream.kind == "state":
            home = owner(stream, state, group, first)
            if stream.name not in home:
                home[stream.name] = make(stream, param, fact, choice.sizes)
            tensor = found[stream.name] = home[stream.name]
            if tensor.dtype is not stored(stream.dtype, param.dtype):
                raise ValueError(
                    f"{fact}: `{stream.name}` is {tensor.dtype}, which does not go with "
                    f"{param.dtype} parameters; a state they share needs them all alike"
                )
    return found
