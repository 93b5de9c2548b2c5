"""Rules whose news is what they average: two momenta, kernels, corrected gradients, gates.

Written from the equations of the catalogue (elementwise 1, 2, 3 and 5).
"""

from __future__ import annotations

import math

import torch

from .adaptive import adamw, decay, moments
from .blocks import polar
from .driver import Hypers, OneTensor
from .elementwise import average


def _looked_both_ways(tensor: OneTensor, g: torch.Tensor, lamda: float) -> torch.Tensor:
    """Admeta's h = kappa g + mu I + 10 lamda^t g_1, where I = lamda I + g; at t = 1 it is 16 g."""
    s, t = tensor.state, tensor.calls
    if t == 1:
        s["first"] = g.clone()
        s["slow"] = tensor.value.clone()
    s["I"] = lamda * s["I"] + g if "I" in s else g.clone()
    kappa, mu = 10 / lamda - 9, 25 - 10 * (lamda + 1 / lamda)
    return kappa * g + mu * s["I"] + 10 * lamda**t * s["first"]


def merge(tensor: OneTensor, k: int) -> None:
    """Every k steps the slow weights come nearer, by a share that falls with t, and are copied."""
    t, s = tensor.calls, tensor.state
    tensor.taken.add("merge" if t % k == 0 else "no merge")
    if t % k == 0:
        share = 0.8 * (1 + 1 / (0.1 * math.sqrt(t) + 3.8))
        s["slow"] = s["slow"] + share * (tensor.value - s["slow"])
        tensor.value.copy_(s["slow"])


def admeta_r(tensor: OneTensor, hypers: Hypers) -> None:
    """As published: not rectified, decay after the step and before the merge."""
    tensor.grad = _looked_both_ways(tensor, tensor.grad, hypers["lamda"])
    m, v, c1, c2 = moments(tensor, hypers)
    rate = hypers["lr"] * math.sqrt(c2) / c1
    tensor.value.sub_(rate * m / (torch.sqrt(v) + hypers["eps"]))
    decay(tensor, hypers)
    merge(tensor, hypers["k"])


def admeta_s(tensor: OneTensor, hypers: Hypers) -> None:
    p, s = tensor.value, tensor.state
    h = _looked_both_ways(tensor, tensor.grad + hypers["weight_decay"] * p, hypers["lamda"])
    s["m"] = average(s.get("m"), h, hypers["beta"])
    p.sub_(hypers["lr"] * s["m"])
    merge(tensor, hypers["k"])


def kernel_gradient(x: torch.Tensor, hypers: Hypers) -> torch.Tensor:
    """The subgradient of Lion-K's kernel; 0 where it is not unique."""
    e, p = hypers["e"], hypers["p"]
    flat = x.reshape(x.shape[0], -1) if x.ndim > 1 else x.reshape(1, -1)
    match hypers["kernel"]:
        case "l1":
            return torch.sign(x)
        case "l2":
            return x / x.norm()
        case "lp":
            norm = (x.abs() ** p).sum() ** (1 / p)
            return torch.sign(x) * x.abs() ** (p - 1) / norm ** (p - 1)
        case "rows":
            return (flat / flat.norm(dim=1, keepdim=True)).reshape(x.shape)
        case "threshold":
            return torch.sign(x) * (x.abs() > e)
        case "huber":
            return x.clamp(-e, e) / e
        case "smooth":
            return x / torch.sqrt(x * x + e * e)
        case "nuclear":
            return polar(flat, 5).reshape(x.shape)
        case other:
            raise ValueError(other)


def lion_k(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s = tensor.value, tensor.grad, tensor.state
    beta1, beta2 = hypers["betas"]
    u = kernel_gradient(average(s.get("m"), g, beta1), hypers)
    p.copy_(p - hypers["lr"] * (u + hypers["weight_decay"] * p))
    s["m"] = average(s.get("m"), g, beta2)


def corrected_gradient(
    tensor: OneTensor, gamma: float, beta1: float, first: str = "zero", clip: bool = True
) -> torch.Tensor:
    """MARS's c = g + gamma beta1 / (1 - beta1) (g - g_before), at most of norm 1.

    The gradient before the first is zero, or, with `first` = "gradient", the first itself.
    """
    g, s = tensor.grad, tensor.state
    before = g if first == "gradient" else torch.zeros_like(g)
    c = g + gamma * beta1 / (1 - beta1) * (g - s.get("before", before))
    s["before"] = g.clone()
    norm = c.norm().item()
    tensor.taken.add("clipped" if clip and norm > 1 else "free")
    return c / norm if clip and norm > 1 else c


def _aside(tensor: OneTensor, hypers: Hypers) -> bool:
    """Tensors that are no matrix take AdamW, with hypers of their own, and say so."""
    if hypers["optimize_1d"] or tensor.value.ndim == 2:
        return False
    start = hypers["initial_lr"]
    tensor.taken.add("AdamW")
    adamw(
        tensor,
        {
            "lr": hypers["lr_1d"] * (1.0 if start is None else hypers["lr"] / start),
            "betas": hypers["betas_1d"],
            "eps": hypers["eps"],
            "weight_decay": hypers["weight_decay_1d"],
        },
    )
    return True


def mars(tensor: OneTensor, hypers: Hypers) -> None:
    if _aside(tensor, hypers):
        return
    tensor.grad = corrected_gradient(
        tensor, hypers["gamma"], hypers["betas"][0], hypers["first"], hypers["clip"]
    )
    adamw(tensor, hypers)


def mars_lion(tensor: OneTensor, hypers: Hypers) -> None:
    if _aside(tensor, hypers):
        return
    s, beta1 = tensor.state, hypers["betas"][0]
    c = corrected_gradient(tensor, hypers["gamma"], beta1, hypers["first"], hypers["clip"])
    s["m"] = average(s.get("m"), c, beta1)
    decay(tensor, hypers)
    tensor.value.sub_(hypers["lr"] * torch.sign(s["m"]))


def classp(tensor: OneTensor, hypers: Hypers) -> None:
    """Only where the gate is open is anything written, the sum included. The gate is of g^2, or
    ("magnitude") of |g|."""
    p, g, s, power = tensor.value, tensor.grad, tensor.state, hypers["power"]
    size = g.abs() if hypers["gate"] == "magnitude" else g * g
    gate = size > hypers["threshold"]
    tensor.taken |= ({"open"} if bool(gate.any()) else set()) | (
        {"shut"} if not gate.all() else set()
    )
    s["S"] = s.get("S", torch.zeros_like(g)) + torch.where(gate, g.abs() ** power, 0.0)
    step = g / (s["S"] + hypers["eps"]) ** (1 / power)
    p.sub_(hypers["lr"] * torch.where(gate, step, 0.0))
