"""Rules in which all tensors share a number: Prodigy, AdamCM, SWATS, Ranger21.

Written from the equations of the catalogue (elementwise 1, 3 and 7).
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .adaptive import decay, moments
from .driver import Hypers, OneTensor
from .elementwise import average


def prodigy(tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers) -> None:
    """d is found from all tensors before any moves; the rate has the old d, eps the new one."""
    beta1, beta2 = hypers["betas"]
    beta3 = math.sqrt(beta2) if hypers["beta3"] is None else hypers["beta3"]
    d0, lr, every = hypers["d0"], hypers["lr"], hypers["slice_p"]
    shared["t"] = t = shared.get("t", 0) + 1
    d = shared.setdefault("d", d0)
    rate = d * lr
    if hypers["use_bias_correction"]:
        rate *= math.sqrt(1 - beta2**t) / (1 - beta1**t)
    numerator, denominator = beta3 * shared.get("numerator", 0.0), 0.0
    for tensor in tensors:
        p, g, s = tensor.value, tensor.grad, tensor.state
        some, slopes = p.reshape(-1)[::every], g.reshape(-1)[::every]
        start = s.setdefault("start", some.clone())
        numerator += d / d0 * rate * (slopes * (start - some)).sum().item()
        s["m"] = beta1 * s.get("m", 0) + d * (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0) + d * d * (1 - beta2) * g * g
        weight = d / d0 * (d if hypers["safeguard_warmup"] else rate)
        s["s"] = beta3 * s.get("s", 0) + weight * slopes
        denominator += s["s"].abs().sum().item()
    if denominator == 0:
        return
    shared["numerator"] = numerator
    found = hypers["d_coef"] * numerator / denominator
    grown = max(d, found) if d == d0 else d
    shared["largest"] = max(shared.get("largest", d0), found)
    shared["d"] = min(shared["largest"], grown * hypers["growth_rate"])
    kept = "d grows" if shared["d"] > d else "d stays"
    capped = {"growth is capped"} if shared["d"] < shared["largest"] else set[str]()
    for tensor in tensors:
        tensor.taken |= {kept} | capped
        p, s = tensor.value, tensor.state
        p.mul_(1 - rate * hypers["weight_decay"])
        p.sub_(rate * s["m"] / (torch.sqrt(s["v"]) + shared["d"] * hypers["eps"]))


def adam_cm(tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers) -> None:
    """Each tensor keeps the momenta of the same `topc` steps: the largest sums of norms."""
    priorities: list[float] = shared.setdefault("priorities", [])
    found = sum(tensor.grad.norm().item() for tensor in tensors)
    place: int | None = None
    if len(priorities) < hypers["topc"]:
        place, what = len(priorities), "filled"
        priorities.append(found)
    elif priorities and found > min(priorities):
        place, what = priorities.index(min(priorities)), "replaced"
        priorities[place] = found
    else:
        what = "passed"
    shared["priorities"] = [hypers["decay"] * one for one in priorities]
    for tensor in tensors:
        tensor.taken.add(what)
        s, t = tensor.state, tensor.calls
        beta1, beta2 = hypers["betas"]
        decay(tensor, hypers)
        s["m"] = average(s.get("m"), tensor.grad, beta1)
        kept = list(s["kept"]) if "kept" in s else []
        a = s["m"] + torch.stack(kept).mean(dim=0) if kept else s["m"]
        if place is not None:
            kept[place : place + 1] = [s["m"]]
            s["kept"] = torch.stack(kept)
        s["v"] = average(s.get("v"), a * a, beta2)
        d = torch.sqrt(s["v"]) / math.sqrt(1 - beta2**t) + hypers["eps"]
        tensor.value.sub_(hypers["lr"] / (1 - beta1**t) * a / d)


def swats(tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers) -> None:
    """Adam until the SGD rate that its step is worth settles; then SGD with that rate for good."""
    lr, eps = hypers["lr"], hypers["eps"]
    beta1, beta2 = hypers["betas"]
    shared["t"] = t = shared.get("t", 0) + 1
    for tensor in tensors:
        tensor.grad = tensor.grad + hypers["weight_decay"] * tensor.value
    if "rate" in shared:
        for tensor in tensors:
            tensor.taken.add("SGD")
            s = tensor.state
            s["b"] = beta1 * s.get("b", 0) + tensor.grad
            tensor.value.sub_((1 - beta1) * shared["rate"] * s["b"])
        return
    pp = pg = 0.0
    for tensor in tensors:
        tensor.taken.add("Adam")
        m, v, c1, c2 = moments(tensor, hypers)
        step = -lr * math.sqrt(c2) / c1 * m / (torch.sqrt(v) + eps)
        tensor.value.add_(step)
        pp, pg = pp + (step * step).sum().item(), pg + (step * tensor.grad).sum().item()
    if pg == 0:
        return
    gamma = pp / -pg
    shared["average"] = beta2 * shared.get("average", 0.0) + (1 - beta2) * gamma
    mean = shared["average"] / (1 - beta2**t)
    if t > 1 and abs(mean - gamma) < hypers["tolerance"]:
        shared["rate"] = mean


def rows(x: torch.Tensor) -> torch.Tensor:
    """One row for each output: the first axis by all the others; a vector is one row."""
    return x.reshape(x.shape[0], -1) if x.ndim > 1 else x.reshape(1, -1)


def clip_by_unit(tensor: OneTensor, clip: float, floor: float) -> torch.Tensor:
    """Adaptive gradient clipping: a row's norm is at most `clip` times its parameter's."""
    p, g = rows(tensor.value), rows(tensor.grad)
    most = clip * p.norm(dim=1, keepdim=True).clamp(min=floor)
    norm = g.norm(dim=1, keepdim=True)
    tensor.taken |= {"rows clipped"} if bool((norm > most).any()) else set()
    tensor.taken |= {"rows free"} if bool((norm <= most).any()) else set()
    clipped = torch.where(norm > most, g * most / norm.clamp(min=1e-6), g)
    return clipped.reshape(tensor.grad.shape)


def centred(g: torch.Tensor) -> torch.Tensor:
    """Matrices and above without their rows' means."""
    if g.ndim < 2:
        return g
    return (rows(g) - rows(g).mean(dim=1, keepdim=True)).reshape(g.shape)


def to_unit_rows(p: torch.Tensor, lr: float, strength: float, eps: float) -> torch.Tensor:
    """Norm loss: every row's norm is drawn towards 1."""
    norm = rows(p).norm(dim=1, keepdim=True)
    return (rows(p) * (1 - 2 * strength * lr * (1 - 1 / (norm + eps)))).reshape(p.shape)


def _scheduled(lr: float, t: int, hypers: Hypers) -> float:
    """Linear warm-up, flat, linear warm-down; as it is without `iterations`."""
    end = hypers["iterations"]
    if end is None:
        return lr
    warm, down = hypers["warmup"], hypers["warmdown"]
    lr = lr * min(1.0, t / warm)
    if t >= end - down:
        share = min((t + 1 - (end - down)) / (down + 1), 1.0)
        lr = max(lr - (lr - hypers["min_lr"]) * share, hypers["min_lr"])
    return lr


def ranger21(tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers) -> None:
    """Clip, centre, scale and average every gradient; then move with decay over sigma, the root
    of the mean corrected second moment of all elements."""
    beta1, beta2 = hypers["betas"]
    beta0, eps = hypers["beta0"], hypers["eps"]
    total = 0.0
    for tensor in tensors:
        s, t = tensor.state, tensor.calls
        s.setdefault("slow", tensor.value.clone())
        g = centred(clip_by_unit(tensor, hypers["agc_clip"], hypers["agc_floor"]))
        if g.numel() > 2:
            g = g / (g.std() + 1e-8)
        tensor.grad = g
        s["v"] = average(s.get("v"), g * g, beta2)
        total += s["v"].sum().item() / (1 - beta2**t)
    sigma = math.sqrt(total / sum(tensor.value.numel() for tensor in tensors))
    for tensor in tensors:
        p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
        lr = _scheduled(hypers["lr"], t, hypers)
        p.mul_(1 - hypers["weight_decay"] * lr / sigma)
        p.copy_(to_unit_rows(p, lr, hypers["norm_loss"], eps))
        s["vmax"] = torch.maximum(s.get("vmax", torch.zeros_like(p)), s["v"])
        root = torch.sqrt(s["vmax"]) / math.sqrt(1 - beta2**t) + eps
        sharpness = hypers["softplus_beta"]
        d = torch.logaddexp(sharpness * root, torch.zeros_like(root)) / sharpness
        new, old = ("m1", "m2") if t % 2 == 1 else ("m2", "m1")
        tensor.taken |= {new, "merge" if t % hypers["k"] == 0 else "no merge"}
        s[new] = average(s.get(new), g, beta1**2)
        u = (1 + beta0) * s[new] - beta0 * s.get(old, torch.zeros_like(p))
        p.sub_(lr / (1 - beta1**t) * u / math.sqrt((1 + beta0) ** 2 + beta0**2) / d)
        if t % hypers["k"] == 0:
            p.copy_(s["slow"] + hypers["alpha"] * (p - s["slow"]))
            s["slow"] = p.clone()
