"""The host's arithmetic on numbers that may lie on a device: a Python number, or a 0-d tensor.

    choose(t == 1, 1, 1 - dampening)      no branch, so a graph can hold it
    sqrt(1 - beta2**t)

Tensors are float64, like the host's own numbers, and nothing here waits for a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Number = Any  # a float, or a 0-d float64 tensor


def number(value: Number, device: torch.device) -> Tensor:
    """A 0-d float64 tensor on a device, a new one unless the value is such a tensor already."""
    if isinstance(value, Tensor):
        return value.detach().reshape(()).to(device, torch.float64)
    return torch.full((), value, dtype=torch.float64, device=device)


def choose(condition: Number, a: Number, b: Number) -> Number:
    """`a` where the condition holds, else `b`; both have been computed."""
    if not isinstance(condition, Tensor):
        return a if condition else b
    return torch.where(condition, number(a, condition.device), b)


def minimum(a: Number, b: Number) -> Number:
    """The smaller of two."""
    if isinstance(a, Tensor):
        return torch.minimum(a, b) if isinstance(b, Tensor) else a.clamp(max=b)
    return b.clamp(max=a) if isinstance(b, Tensor) else min(a, b)


def maximum(a: Number, b: Number) -> Number:
    """The greater of two."""
    if isinstance(a, Tensor):
        return torch.maximum(a, b) if isinstance(b, Tensor) else a.clamp(min=b)
    return b.clamp(min=a) if isinstance(b, Tensor) else max(a, b)


def opposite(condition: Number) -> Number:
    """Whether a condition does not hold."""
    return condition.logical_not() if isinstance(condition, Tensor) else not condition


def binade(x: Number) -> Number:
    """The greatest power of two not above x > 0."""
    if isinstance(x, Tensor):
        return torch.ldexp(number(0.5, x.device), torch.frexp(x).exponent)
    return math.ldexp(0.5, math.frexp(x)[1])


def _on_either(
    on_tensor: Callable[[Tensor], Tensor], on_float: Callable[[float], float]
) -> Callable[[Number], Number]:
    def of(x: Number) -> Number:
        return on_tensor(x) if isinstance(x, Tensor) else on_float(x)

    return of


sqrt = _on_either(torch.sqrt, math.sqrt)
exp = _on_either(torch.exp, math.exp)
log = _on_either(torch.log, math.log)
log2 = _on_either(torch.log2, math.log2)
floor = _on_either(torch.floor, math.floor)
ceil = _on_either(torch.ceil, math.ceil)
tanh = _on_either(torch.tanh, math.tanh)
sin = _on_either(torch.sin, math.sin)
cos = _on_either(torch.cos, math.cos)
