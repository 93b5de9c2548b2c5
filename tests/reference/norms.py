"""Rules that need norms or means of a tensor, its rows or its columns: from AdamP to Stable-SPAM.

Written from the equations of the catalogue (elementwise 4 and 7).
"""

from __future__ import annotations

import math

import torch

from .adaptive import decay, moments, rms
from .driver import Hypers, OneTensor


def without_radial_part(
    tensor: OneTensor, u: torch.Tensor, hypers: Hypers
) -> tuple[torch.Tensor, float]:
    """u without its part along the parameter, where the gradient is orthogonal to it, and the
    factor of the decay. Channels are tried before the whole tensor; all of them or none."""
    p, g, eps = tensor.value, tensor.grad, hypers["eps"]
    if p.ndim > 1:
        for what, view in (("channels", (p.shape[0], -1)), ("layer", (1, -1))):
            w, h, x = p.reshape(view), g.reshape(view), u.reshape(view)
            norms = w.norm(dim=1).clamp(min=eps) * h.norm(dim=1).clamp(min=eps)
            cosine = (w * h).sum(dim=1).abs() / norms
            if cosine.max().item() < hypers["delta"] / math.sqrt(w.shape[1]):
                tensor.taken.add(what)
                n = w / (w.norm(dim=1, keepdim=True) + eps)
                x = x - n * (n * x).sum(dim=1, keepdim=True)
                return x.reshape(u.shape), hypers["wd_ratio"]
        tensor.taken.add("not orthogonal")
    return u, 1.0


def adamp(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, lr = tensor.value, tensor.grad, hypers["lr"]
    beta1 = hypers["betas"][0]
    m, v, c1, c2 = moments(tensor, hypers)
    m = beta1 * m + (1 - beta1) * g if hypers["nesterov"] else m
    u = m / (torch.sqrt(v) / math.sqrt(c2) + hypers["eps"])
    u, ratio = without_radial_part(tensor, u, hypers)
    p.mul_(1 - lr * hypers["weight_decay"] * ratio)
    p.sub_(lr / c1 * u)


def sgdp(tensor: OneTensor, hypers: Hypers) -> None:
    """The buffer starts at zero, so the first step is dampened too."""
    p, g, s, lr, mu = tensor.value, tensor.grad, tensor.state, hypers["lr"], hypers["momentum"]
    s["b"] = mu * s.get("b", torch.zeros_like(g)) + (1 - hypers["dampening"]) * g
    u = g + mu * s["b"] if hypers["nesterov"] else s["b"]
    u, ratio = without_radial_part(tensor, u, hypers)
    p.mul_(1 - lr * hypers["weight_decay"] * ratio / (1 - mu))
    p.sub_(lr * u)


def adafactor(tensor: OneTensor, hypers: Hypers) -> None:
    """Row and column means of g^2 + eps1 for tensors of two dimensions or more, else all of it.

    With more than two, each last two are a matrix. alpha = max(eps2, rms(p)) min(lr, 1 / sqrt(t));
    the decay of `weight_decay` is by lr.
    """
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    eps1, eps2 = hypers["eps"]
    beta2 = 1 - t ** hypers["beta2_decay"]
    alpha = max(eps2, rms(p)) * min(hypers["lr"], 1 / math.sqrt(t))
    tensor.taken.add("small parameter" if rms(p) < eps2 else "parameter")
    tensor.taken.add("lr" if hypers["lr"] < 1 / math.sqrt(t) else "1 / sqrt(t)")
    squares = g * g + eps1
    if p.ndim < 2:
        s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * squares
        v = s["v"]
    else:
        s["R"] = beta2 * s.get("R", 0) + (1 - beta2) * squares.mean(dim=-1, keepdim=True)
        s["C"] = beta2 * s.get("C", 0) + (1 - beta2) * squares.mean(dim=-2, keepdim=True)
        v = s["R"] * s["C"] / s["R"].mean(dim=-2, keepdim=True)
    u = g / torch.sqrt(v)
    tensor.taken.add("clipped" if rms(u) > hypers["d"] else "free")
    u = u / max(1.0, rms(u) / hypers["d"])
    decay(tensor, hypers)
    p.sub_(alpha * u)


def spam(tensor: OneTensor, hypers: Hypers) -> None:
    """Moments restart at t = interval, 2 interval, ...; c1 and c2 keep counting; decay comes last.

    From the restart on, `warmup` steps are scaled by 1 - 0.99 (1 + cos(pi (k+1) / (warmup+1))) / 2.
    Spikes are clipped at grace steps after the start and after each restart.
    """
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    interval, warmup, grace = hypers["interval"], hypers["warmup"], hypers["grace"]
    if t % interval == 0:
        tensor.taken.add("restart")
        s["m"], s["v"] = torch.zeros_like(g), torch.zeros_like(g)
    if t >= grace and t % interval >= grace:
        limit = hypers["threshold"] * s.get("v", torch.zeros_like(g))
        spikes = g * g > limit
        tensor.taken.add("spikes" if bool(spikes.any()) else "no spikes")
        tensor.grad = torch.where(spikes, torch.sign(g) * torch.sqrt(limit), g)
    m, v, c1, c2 = moments(tensor, hypers)
    scale, k = 1.0, t % interval
    if t >= interval and k < warmup:
        tensor.taken.add("warm-up")
        scale = 1 - 0.99 * (1 + math.cos(math.pi * (k + 1) / (warmup + 1))) / 2
    rate = hypers["lr"] * scale * math.sqrt(c2) / c1
    p.sub_(rate * m / (torch.sqrt(v) + hypers["eps"]))
    decay(tensor, hypers)


def without_spikes(tensor: OneTensor, theta: float) -> torch.Tensor:
    """AdaClip: |g| above its corrected average maximum comes down to it, in proportion."""
    g, s, t = tensor.grad, tensor.state, tensor.calls
    top = g.abs().max().item()
    s["max"] = theta * s.get("max", g.new_zeros(())) + (1 - theta) * top
    limit = s["max"].item() / (1 - theta**t)
    tensor.taken.add("spikes" if top > limit else "no spikes")
    return torch.where(g.abs() > limit, g / top * limit, g) if top > 0 else g


def with_average_norm(tensor: OneTensor, gammas: tuple[float, float], eps: float) -> torch.Tensor:
    """AdaGN: the gradient with the norm that the averages of norm and squared norm propose."""
    g, s, t = tensor.grad, tensor.state, tensor.calls
    gamma1, gamma2 = gammas
    n = g.norm()
    zero = torch.zeros_like(n)
    s["n"] = gamma1 * s.get("n", zero) + (1 - gamma1) * n
    s["n2"] = gamma2 * s.get("n2", zero) + (1 - gamma2) * n * n
    wanted = s["n"] / (1 - gamma1**t) / (torch.sqrt(s["n2"] / (1 - gamma2**t)) + eps)
    return g / n * wanted if n > 0 else g


def stable_spam(tensor: OneTensor, hypers: Hypers) -> None:
    """AdaClip, AdaGN, then Adam whose moments and counter restart; the averages' counter does not.

    With `total_steps`, beta1 and gamma1 fall by a cosine to half of what they were.
    """
    p, s, t, eps = tensor.value, tensor.state, tensor.calls, hypers["eps"]
    beta1, beta2 = hypers["betas"]
    end, scale = hypers["total_steps"], 1.0
    if end is not None:
        scale = 0.5 + 0.25 * (1 + math.cos(math.pi * min(t, end) / end))
    decay(tensor, hypers)
    tensor.grad = without_spikes(tensor, hypers["theta"])
    tensor.grad = with_average_norm(tensor, (hypers["gamma1"] * scale, hypers["gamma2"]), eps)
    count = t
    if t >= hypers["interval"]:
        count = t % hypers["interval"] + 1
    if t % hypers["interval"] == 0:
        tensor.taken.add("restart")
        s["m"], s["v"] = torch.zeros_like(p), torch.zeros_like(p)
    beta1 = beta1 * scale
    m, v, _, _ = moments(tensor, {"betas": (beta1, beta2)})
    c1, c2 = 1 - beta1**count, 1 - beta2**count
    p.sub_(hypers["lr"] / c1 * m / (torch.sqrt(v) / math.sqrt(c2) + eps))
