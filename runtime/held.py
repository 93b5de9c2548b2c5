"""Whether anybody else holds a tensor of a state, or the dict it stands in.

Nobody can change a state without having it, and nobody has it who has not asked its optimizer
(`CompiledOptimizer.state`). So once C has seen that every count of references is what it is of a
tensor that stands in one dict and nowhere else, states need not be looked at until somebody asks.

The counts, and where they stand, are found by trial: each must change when somebody holds what it
counts. What somebody takes without asking (from `gc.get_objects`, or out of `vars(optimizer)`),
changes and lets go between two steps is not seen.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .trial import inside, place_of, storage_of, words

_COUNTS = range(0, 32, 8)  # bytes; a count is one of the first numbers
_OWNER = {"state": dict[str, Any]()}


def _once(owner: Mapping[str, Any]) -> int:
    """References to `owner["state"]`, with those that come and go here."""
    return sys.getrefcount(owner["state"])


_ONCE = _once(_OWNER)


def is_held_once(owner: Mapping[str, Any]) -> bool:
    """Whether nobody but `owner` holds what it has under "state"."""
    return _once(owner) == _ONCE


def counts() -> list[int]:
    """What C calls `users` to `alone`; if they are not found, such that nothing is alone."""
    try:
        return _counts()
    except (StopIteration, AttributeError):
        return UNKNOWN


UNKNOWN = [0] * 5 + [-1] * 4


def _counts() -> list[int]:
    state = {"name": _wrapped()}

    def tensor() -> int:
        return inside(state["name"])

    def storage() -> int:
        return storage_of(state["name"])

    def wrapper() -> int:
        return id(state["name"].untyped_storage())

    users = _place_of_count(tensor, lambda: _as_gradient(state["name"]))
    storage_users = _place_of_count(storage, lambda: state["name"].detach())
    alone = [
        *words(id(state["name"]), 1),
        *words(tensor() + users, 1),
        *words(storage() + storage_users, 1),
        *words(wrapper(), 1),
    ]
    weak = [kind.__weakrefoffset__ for kind in (Tensor, torch.UntypedStorage)]
    named = place_of(storage_of, lambda tensor: [id(tensor.untyped_storage())])
    return [users, storage_users, *weak, named, *alone]


def is_noticed(are_alone: Callable[[dict[int, dict[str, Tensor]]], bool]) -> bool:
    """Whether C notices that somebody holds a state's tensor, or its dict, and lets go."""
    states = {0: {"name": _wrapped()}}
    if not are_alone(states):
        return False
    for hold in _WAYS:
        held = hold(states[0])
        seen = are_alone(states)
        del held
        if seen or not are_alone(states):
            return False
    return True


def _wrapped() -> Tensor:
    """A tensor whose storage has an object in Python, as those that were looked at have."""
    tensor = torch.zeros(2)
    tensor.untyped_storage()
    return tensor


def _as_gradient(tensor: Tensor) -> object:
    """What holds a tensor in C++."""
    param = torch.nn.Parameter(torch.zeros(2))
    param.grad = tensor
    return param


def _place_of_count(begin: Callable[[], int], hold: Callable[[], object]) -> int:
    """How many bytes behind an address the number stands that changes while somebody holds."""
    before = words(begin(), len(_COUNTS))
    held = hold()
    during = words(begin(), len(_COUNTS))
    del held
    after = words(begin(), len(_COUNTS))
    return next(
        place
        for place, *found in zip(_COUNTS, before, during, after, strict=True)
        if found[0] != found[1] and found[0] == found[2]
    )


_WAYS: tuple[Callable[[dict[str, Tensor]], object], ...] = (
    lambda state: state,
    lambda state: state["name"],
    lambda state: state["name"].view(-1),
    lambda state: state["name"].detach(),
    lambda state: state["name"].numpy(),
    lambda state: state["name"].untyped_storage(),
    lambda state: _as_gradient(state["name"]),
    lambda state: weakref.ref(state["name"]),
    lambda state: weakref.ref(state["name"].untyped_storage()),
)
