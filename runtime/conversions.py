"""States between codes and numbers: for checkpoints of other precisions.

    plain_state_dict(optimizer)     every coded state as the numbers it stands for, no remainders
    encode(...)                     codes for the numbers that such a checkpoint left in a state

A state that is a plain tensor where a path wants codes is encoded when the path is first taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import allocate
from .batch import Bucket, Member
from .dtypes import real, stored
from .facts import Facts
from .path import Choice, Coded, Matrix, Path, Stream
from .torch import matrix

if TYPE_CHECKING:
    from .optimizer import CompiledOptimizer

_PLAIN = Stream("plain")


def encode(
    coded: Sequence[Coded], path: Path, param: Tensor, fact: Facts, state: dict[str, Any]
) -> None:
    """Replace numbers by codes in the states that a path keeps as codes."""
    for codec in coded:
        value = state.get(codec.state)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        if set(codec.streams) <= set(path.streams):
            given = {_PLAIN.name: value}
            state.update(_convert(codec.encode, [_PLAIN], codec.streams, param, fact, given))


def plain_state_dict(optimizer: CompiledOptimizer) -> dict[str, Any]:
    """`state_dict()` as the same rule without codecs and roundings has it."""
    saved = optimizer.state_dict()
    params = [param for group in optimizer.param_groups for param in group["params"]]
    places = [place for group in saved["param_groups"] for place in group["params"]]
    states = dict(saved["state"])
    for place, param in zip(places, params, strict=True):
        if place in states:
            states[place] = _plain(optimizer, param, states[place])
    return {**saved, "state": states}


def _plain(optimizer: CompiledOptimizer, param: Tensor, state: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in state.items() if name not in optimizer.remainders}
    fact = Facts(type(optimizer).__name__, 0, tuple(param.shape), "", "")
    for codec in optimizer.coded:
        if _is_coded(codec, plain, param):
            given = {stream.name: plain.pop(stream.name) for stream in codec.streams}
            made = _convert(codec.decode, codec.streams, [_PLAIN], param, fact, given)
            plain[codec.state] = made[_PLAIN.name]
    for name, value in plain.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            plain[name] = value.to(torch.promote_types(value.dtype, real(param.dtype)))
    return plain


def _is_coded(codec: Coded, state: Mapping[str, Any], param: Tensor) -> bool:
    """Whether a state is kept by this codec."""
    return all(
        isinstance(value := state.get(stream.name), Tensor)
        and value.dtype == stored(stream.dtype, param.dtype)
        for stream in codec.streams
    )


def _convert(
    form: Callable[..., Any],
    loads: Sequence[Stream],
    stores: Sequence[Stream],
    param: Tensor,
    fact: Facts,
    given: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Run a conversion; what it makes, by name."""
    made = {stream.name: allocate.make(stream, param, fact, ()) for stream in stores}
    tensors = {name: tensor.contiguous() for name, tensor in {**given, **made}.items()}
    step = Matrix("", tuple(given), tuple(made), torch=form)
    dtypes = (param.dtype, param.dtype)
    member = Member(param, fact, 0, 0, 0, Choice(0), tensors)
    path = Path((*loads, *stores), (step,))
    matrix(Bucket((), path, param.device, dtypes, True, members=[member]), step, None, None)
    return {name: tensor.copy_(tensors[name]) for name, tensor in made.items()}
