"""Steps that a CUDA graph can hold: what changes from step to step lies on the device.

    optimizer = AdamW(parameters, lr=torch.tensor(1e-3, device="cuda"), capturable=True)
    optimizer.step(); optimizer.step()              warm up: states and tables are made
    with torch.cuda.graph(graph): optimizer.step()
    graph.replay()                                  t counts on, lr is what the tensor holds then

In a group with `capturable`, t, lr and the host's states are 0-d float64 tensors. `on_device`
computes the step's scalars from them, and they are written into the tables there. A graph goes on
reading the tables it was captured with, so `Tables` keeps what they were sent from, and the
optimizer keeps the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import hyper
from .path import Hyper
from .scalar import number

if TYPE_CHECKING:
    from .cohorts import Cohort
    from .optimizer import CompiledOptimizer


def is_capturing() -> bool:
    """Whether a CUDA graph is being captured on the current stream."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def check(optimizer: CompiledOptimizer, group: Mapping[str, Any]) -> None:
    """Raise if the rule cannot keep its numbers on the device, as the group wants."""
    name, wanted = type(optimizer).__name__, group["capturable"]
    if not isinstance(wanted, bool):
        raise TypeError(f"{name}: capturable = {wanted!r} is not True or False")
    if wanted and optimizer.on_device is None:
        raise ValueError(f"{name} cannot be capturable: {optimizer.uncapturable}")


def check_groups(groups: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raise if a graph is being captured of what would never change in it."""
    if not all(group["capturable"] for group in groups):
        raise RuntimeError(
            f"a CUDA graph is being captured of a step of {name} whose groups are not all "
            "capturable: t and lr would be the same in every replay; construct it with "
            "capturable=True"
        )
    for group in groups:
        lr = group.get("lr")
        if isinstance(lr, Tensor) and lr.device.type == "cpu":
            raise RuntimeError(f"{name}: the lr tensor of a captured step lies on the CPU")


def not_warm(name: str) -> RuntimeError:
    """What to raise when a captured step would have to make something."""
    return RuntimeError(
        f"{name} must be warm before a CUDA graph is captured: the two steps before must be like "
        "it, with gradients of the same parameters, which lie in memory without gaps"
    )


# ---------------------------------------------------------------- numbers


def hypers(
    given: Sequence[Hyper], group: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """A group's hypers as `on_device` reads them: a tensor lr there, all else as numbers."""
    lr = group.get("lr")
    if not isinstance(lr, Tensor):
        return hyper.numbers(given, group)
    others = hyper.numbers([h for h in given if h.name != "lr"], group)
    return {**others, "lr": number(lr, device)}


def plain(value: Any, known: dict[int, float]) -> Any:
    """A number of a state as Python has it; each tensor is waited for once."""
    if not isinstance(value, Tensor):
        return value
    if id(value) not in known:
        known[id(value)] = float(value)
    return known[id(value)]


def place(optimizer: CompiledOptimizer, cohorts: Sequence[Cohort]) -> None:
    """Bring the numbers of states where their groups want them: one tensor that the tensors of a
    cohort count with and nobody else does, or a Python number."""
    names = ("step", *(n for n, level in optimizer.host_states.items() if level == "tensor"))
    users = Counter(
        id(value)
        for state in optimizer.state.values()
        for name in names
        if isinstance(value := state.get(name), Tensor)
    )
    for cohort in cohorts:
        group, device = optimizer.param_groups[cohort.place], cohort.params[0].device
        if not users and not group["capturable"]:
            continue
        states = [optimizer.state[param] for param in cohort.params if param in optimizer.state]
        for name in names if states else ():
            old = states[0].get(name)
            own = isinstance(old, Tensor) and users[id(old)] == len(states)
            if old is None or (group["capturable"] and own and _serves(old, states, name, device)):
                continue
            new = int(old) if name == "step" else float(old)
            value = number(new, device) if group["capturable"] else new
            for state in states:
                state[name] = value


def _serves(
    value: Tensor, states: Sequence[Mapping[str, Any]], name: str, device: torch.device
) -> bool:
    """Whether a tensor is a number on this device, and all of these states hold it."""
    is_number = (value.dtype, value.device, value.ndim) == (torch.float64, device, 0)
    return is_number and all(state[name] is value for state in states)
