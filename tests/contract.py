"""What the contract's checks share: the classes to check, a small model, and a few steps."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import handwritten
import torch
from torch import Tensor
from torch.nn import Parameter

from stepc.runtime import CompiledOptimizer

Optimizer = type[CompiledOptimizer]

# A matrix long enough for quantized states, a convolution, a vector, one number, and odd sizes.
SHAPES = ((64, 80), (8, 4, 3, 3), (33,), (), (7, 13))
NAMES = ("attn.q_proj.weight", "conv.weight", "norm.weight", "scale", "mlp.weight")


def classes() -> list[Optimizer]:
    """The handwritten modules and everything generated."""
    generated = importlib.import_module("stepc.generated")
    names: Iterable[str] = getattr(generated, "__all__", ())
    found = [*handwritten.ALL, *(getattr(generated, name) for name in names)]
    return [cls for cls in found if not cls.reads_loss]  # those have tests/test_loss.py


def make(cls: Optimizer, params: Iterable[Any], **options: Any) -> CompiledOptimizer:
    """An instance; required hypers are 1. Decay is never 0 by default, for 0 hides mistakes."""
    given: dict[str, Any] = {hyper.name: 1 for hyper in cls.hypers if hyper.required}
    if any(hyper.name == "weight_decay" for hyper in cls.hypers):
        given["weight_decay"] = 0.013
    return cls(params, **{**given, **options})  # type: ignore[call-arg]


def parameters(
    cls: Optimizer,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> list[Parameter]:
    """A small model's parameters, the same for the same seed; only matrices where the rule takes
    no vectors."""
    random = torch.Generator().manual_seed(seed)
    if takes_matrices_only(cls):
        shapes = [(1,) * (2 - len(shape)) + tuple(shape) for shape in shapes]
    return [Parameter(torch.randn(shape, generator=random).to(dtype)) for shape in shapes]


@cache
def takes_matrices_only(cls: Optimizer) -> bool:
    """Whether the rule refuses a vector."""
    vector = Parameter(torch.ones(3))
    vector.grad = torch.ones(3)
    try:
        make(cls, [vector]).step()
    except ValueError as error:
        assert "shape (3,)" in str(error)
        return True
    return False


def uncounted(cls: Optimizer) -> int:
    """How many calls a tensor's first steps take without counting (ADOPT's first only looks)."""
    return int(any(not path.counts for path in cls.paths))


def set_gradients(params: Iterable[Tensor], seed: int) -> None:
    """Gradients for one step, the same for the same seed."""
    random = torch.Generator().manual_seed(1000 + seed)
    for param in params:
        grad = torch.randn(param.shape, generator=random).to(param.dtype)
        param.grad = grad.to(param.device)


def train(optimizer: torch.optim.Optimizer, steps: Iterable[int]) -> None:
    """Steps with the gradients that belong to their numbers."""
    for number in steps:
        set_gradients([p for group in optimizer.param_groups for p in group["params"]], number)
        optimizer.step()


def trained(
    cls: Optimizer, steps: int = 3, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[list[Parameter], CompiledOptimizer]:
    """A model and its optimizer after some steps."""
    params = parameters(cls, dtype=dtype)
    optimizer = make(cls, params, **options)
    train(optimizer, range(steps))
    return params, optimizer


def values(params: Iterable[Tensor]) -> list[Tensor]:
    """Copies of what parameters hold."""
    return [param.detach().clone() for param in params]


def same(left: Iterable[Tensor], right: Iterable[Tensor]) -> bool:
    """Whether all bits are the same (NaN equals NaN)."""
    return all(
        torch.equal(torch.nan_to_num(a, nan=1e30), torch.nan_to_num(b, nan=1e30))
        for a, b in zip(left, right, strict=True)
    )


def states(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A copy of all states, flat, by parameter number and name."""
    packed = copy.deepcopy(optimizer.state_dict()["state"])
    return {f"{k}.{name}": value for k, entry in packed.items() for name, value in entry.items()}


def same_states(left: torch.optim.Optimizer, right: torch.optim.Optimizer) -> bool:
    """Whether two optimizers hold the same states, dtypes and bits."""
    one, two = states(left), states(right)
    if one.keys() != two.keys():
        return False
    for name, value in one.items():
        other = two[name]
        if isinstance(value, Tensor):
            if value.dtype != other.dtype or not same([value.double()], [other.double()]):
                return False
        elif value != other:
            return False
    return True


def reaches(cls: Optimizer) -> str:
    """How far one bad gradient may spread by the rule itself: all, tensor, cells, element."""
    if cls.totals:
        return "all"
    steps = [step for path in cls.paths for step in path.steps]
    if cls.values or any(type(step).__name__ != "Sweep" for step in steps):
        return "tensor"
    levels = {stream.level for path in cls.paths for stream in path.streams}
    return "element" if levels == {"element"} else "cells"
