"""Rules without torch counterpart that treat every element, or one norm per tensor, alike.

Written from the equations of the papers (catalogue: sign family, ADOPT, LaProp, RAdam, StableAdamW,
LAMB, LARS). Letters are the papers': p the parameter, g the gradient, m and v the moments.
"""

from __future__ import annotations

import math

import torch

from .driver import Hypers, OneTensor


def average(old: torch.Tensor | None, new: torch.Tensor, beta: float) -> torch.Tensor:
    """beta * old + (1 - beta) * new; an absent old value is zero."""
    return (1 - beta) * new if old is None else beta * old + (1 - beta) * new


def signsgd(tensor: OneTensor, hypers: Hypers) -> None:
    p, lr = tensor.value, hypers["lr"]
    p.copy_(p - lr * hypers["weight_decay"] * p - lr * torch.sign(tensor.grad))


def signum(tensor: OneTensor, hypers: Hypers) -> None:
    p, lr, s = tensor.value, hypers["lr"], tensor.state
    s["m"] = average(s.get("m"), tensor.grad, hypers["momentum"])
    p.copy_(p - lr * hypers["weight_decay"] * p - lr * torch.sign(s["m"]))


def lion(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, lr, s = tensor.value, tensor.grad, hypers["lr"], tensor.state
    beta1, beta2 = hypers["betas"]
    u = torch.sign(average(s.get("m"), g, beta1))
    p.copy_(p - lr * (u + hypers["weight_decay"] * p))
    s["m"] = average(s.get("m"), g, beta2)


def adopt(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, lr, s = tensor.value, tensor.grad, hypers["lr"], tensor.state
    beta1, beta2 = hypers["betas"]
    if not hypers["decouple"]:
        g = g + hypers["weight_decay"] * p
    if tensor.calls == 1:
        s["v"] = g * g
        return
    k = tensor.calls - 1  # effective updates so far, this one included
    if hypers["decouple"]:
        p.mul_(1 - lr * hypers["weight_decay"])
    n = g / torch.clamp(torch.sqrt(s["v"]), min=hypers["eps"])
    limit = k ** hypers["clip_exponent"]
    n = torch.maximum(torch.minimum(n, torch.full_like(n, limit)), torch.full_like(n, -limit))
    s["m"] = average(s.get("m"), n, beta1)
    p.sub_(lr * s["m"])
    s["v"] = average(s["v"], g * g, beta2)


def laprop(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, lr, s, t = tensor.value, tensor.grad, hypers["lr"], tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    s["v"] = average(s.get("v"), g * g, beta2)
    d = torch.sqrt(s["v"] / (1 - beta2**t)) + hypers["eps"]
    s["m"] = average(s.get("m"), g / d, beta1)
    p.mul_(1 - lr * hypers["weight_decay"])
    p.sub_(lr / (1 - beta1**t) * s["m"])


def radam(tensor: OneTensor, hypers: Hypers) -> None:
    """With a threshold and a fallback; below the threshold, `hold` changes the moments alone."""
    p, g, lr, s, t = tensor.value, tensor.grad, hypers["lr"], tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    decay, decoupled = hypers["weight_decay"], hypers["decoupled_weight_decay"]
    if not decoupled:
        g = g + decay * p
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    longest = 2 / (1 - beta2) - 1
    rho = longest - 2 * t * beta2**t / (1 - beta2**t)
    rectified = rho > hypers["threshold"]
    if not rectified and hypers["fallback"] == "hold":
        return
    if decoupled:
        p.mul_(1 - lr * decay)
    step = s["m"] / (1 - beta1**t)
    if rectified:
        above = (rho - 4) * (rho - 2) * longest
        below = (longest - 4) * (longest - 2) * rho
        step = step * math.sqrt(above / below)
        step = step * math.sqrt(1 - beta2**t) / (torch.sqrt(s["v"]) + hypers["eps"])
    p.sub_(lr * step)


def stable_adamw(tensor: OneTensor, hypers: Hypers) -> None:
    """With debiased betas: beta' = beta (1 - beta^(t-1)) / (1 - beta^t)."""
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    eps = hypers["eps"]
    beta1, beta2 = (b * (1 - b ** (t - 1)) / (1 - b**t) for b in hypers["betas"])
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    r = torch.sqrt(torch.mean(g * g / torch.clamp(s["v"], min=eps * eps))).item()
    rate = hypers["lr"] / max(1.0, r)
    p.mul_(1 - rate * hypers["weight_decay"])
    p.sub_(rate * s["m"] / (torch.sqrt(s["v"]) + eps))


def lamb(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    r = (s["m"] / (1 - beta1**t)) / (torch.sqrt(s["v"] / (1 - beta2**t)) + hypers["eps"])
    u = r + hypers["weight_decay"] * p
    phi, psi = p.norm().item(), u.norm().item()
    ratio = phi / psi if phi > 0 and psi > 0 else 1.0
    p.sub_(hypers["lr"] * ratio * u)


def lars(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s, mu = tensor.value, tensor.grad, tensor.state, hypers["momentum"]
    if p.ndim > 1:
        phi, psi, decay = p.norm().item(), g.norm().item(), hypers["weight_decay"]
        local = 1.0
        if phi > 0 and psi > 0:
            local = hypers["trust"] * phi / (psi + decay * phi + hypers["eps"])
        g = local * (g + decay * p)
    if "b" in s:
        s["b"] = mu * s["b"] + (1 - hypers["dampening"]) * g
    else:
        s["b"] = g.clone()
    p.sub_(hypers["lr"] * (g + mu * s["b"] if hypers["nesterov"] else s["b"]))
