"""Arithmetic without multiplications, and AdamW in it.

A number is 2^e (1 + f) with 0 <= f < 1; where a product adds logarithms, this arithmetic adds
e + f. On the bits of a float that is one integer addition. Zero times anything is zero.
Written from Kosson & Jaggi, arXiv:2305.17190, and the catalogue (schedules 56).
"""

from __future__ import annotations

import torch

from .driver import Hypers, OneTensor


def log2(x: torch.Tensor) -> torch.Tensor:
    """e + f of |x|: log2 at powers of two, straight between them."""
    fraction, exponent = torch.frexp(x.abs())  # 0.5 <= fraction < 1
    return (exponent - 1).to(x.dtype) + (2 * fraction - 1)


def exp2(x: torch.Tensor) -> torch.Tensor:
    whole = torch.floor(x)
    return torch.ldexp(1 + (x - whole), whole.to(torch.int32))


def _tensor(x: torch.Tensor | float) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64)


def times(a: torch.Tensor | float, b: torch.Tensor | float) -> torch.Tensor:
    a, b = _tensor(a), _tensor(b)
    return torch.sign(a) * torch.sign(b) * exp2(log2(a) + log2(b))


def over(a: torch.Tensor | float, b: torch.Tensor | float) -> torch.Tensor:
    a, b = _tensor(a), _tensor(b)
    return torch.sign(a) * torch.sign(b) * exp2(log2(a) - log2(b))


def root(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, exp2(log2(x) / 2), 0.0)


def adamw(tensor: OneTensor, hypers: Hypers) -> None:
    """Every product, quotient and root of the step on tensors; the host's numbers are exact."""
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    zero = torch.zeros_like(p)
    s["m"] = times(beta1, s.get("m", zero)) + times(1 - beta1, g)
    s["v"] = times(beta2, s.get("v", zero)) + times(1 - beta2, times(g, g))
    d = root(over(s["v"], 1 - beta2**t)) + hypers["eps"]
    u = over(over(s["m"], 1 - beta1**t), d)
    decayed = times(p, 1 - hypers["lr"] * hypers["weight_decay"])
    p.copy_(decayed - times(hypers["lr"], u))
