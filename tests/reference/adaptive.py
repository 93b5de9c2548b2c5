"""Relatives of Adam that treat every element alike, and those with one norm or mean in addition.

Written from the equations of the catalogue (elementwise 1 and 6, low-bit 1.5). Letters: p the
parameter, g the gradient, m and v the moments, c1 and c2 their corrections 1 - beta^t.
"""

from __future__ import annotations

import math

import torch

from .driver import Hypers, OneTensor
from .elementwise import average

EMBEDDINGS = ("embed", "embd", "wte", "wpe")


def moments(tensor: OneTensor, hypers: Hypers) -> tuple[torch.Tensor, torch.Tensor, float, float]:
    """Adam's two averages of this gradient and their corrections: m, v, c1, c2."""
    s, g, t = tensor.state, tensor.grad, tensor.calls
    beta1, beta2 = hypers["betas"][:2]
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    return s["m"], s["v"], 1 - beta1**t, 1 - beta2**t


def decay(tensor: OneTensor, hypers: Hypers) -> None:
    """Decoupled decay by lr * weight_decay."""
    tensor.value.mul_(1 - hypers["lr"] * hypers["weight_decay"])


def adamw(tensor: OneTensor, hypers: Hypers) -> None:
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    tensor.value.sub_(hypers["lr"] * (m / c1) / (torch.sqrt(v / c2) + hypers["eps"]))


def nadamw(tensor: OneTensor, hypers: Hypers) -> None:
    """The look-ahead momentum is divided by c1 of this step, not of the next."""
    beta1 = hypers["betas"][0]
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    ahead = beta1 * m + (1 - beta1) * tensor.grad
    d = torch.sqrt(v) / math.sqrt(c2) + hypers["eps"]
    tensor.value.sub_(hypers["lr"] / c1 * ahead / d)


def adamod(tensor: OneTensor, hypers: Hypers) -> None:
    """The element's rate, lr included, is bounded by its own average, which starts at zero."""
    s = tensor.state
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    rate = hypers["lr"] * math.sqrt(c2) / c1 / (torch.sqrt(v) + hypers["eps"])
    s["s"] = average(s.get("s"), rate, hypers["beta3"])
    tensor.taken |= {"bounded"} if bool((s["s"] < rate).any()) else set()
    tensor.taken |= {"free"} if bool((s["s"] > rate).any()) else set()
    tensor.value.sub_(torch.minimum(rate, s["s"]) * m)


def diffgrad(tensor: OneTensor, hypers: Hypers) -> None:
    """Friction sigmoid(|g_before - g|); the gradient before the first is zero; decay is L2."""
    p, s = tensor.value, tensor.state
    tensor.grad = g = tensor.grad + hypers["weight_decay"] * p
    m, v, c1, c2 = moments(tensor, hypers)
    friction = torch.sigmoid((s.get("before", torch.zeros_like(g)) - g).abs())
    p.sub_(hypers["lr"] * math.sqrt(c2) / c1 * friction * m / (torch.sqrt(v) + hypers["eps"]))
    s["before"] = g.clone()


def rms(x: torch.Tensor) -> float:
    return math.sqrt((x * x).mean().item())


def fadam(tensor: OneTensor, hypers: Hypers) -> None:
    """Three mean squares a step: of g (for eps), of the natural gradient, of the natural decay."""
    p, g, s, t, clip = tensor.value, tensor.grad, tensor.state, tensor.calls, hypers["clip"]
    beta1, beta2 = hypers["betas"]
    power = hypers["p"]
    debiased = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
    s["F"] = average(s.get("F"), g * g, debiased)
    small = hypers["eps2"] * rms(g)
    tensor.taken.add("eps of the gradient" if 0 < small < hypers["eps"] else "eps given")
    eps = small if 0 < small < hypers["eps"] else hypers["eps"]
    d = s["F"] ** power + eps ** (2 * power)

    def clipped(x: torch.Tensor, what: str) -> torch.Tensor:
        tensor.taken.add(f"{what} clipped" if rms(x) > clip else f"{what} free")
        return x / max(1.0, rms(x) / clip)

    s["m"] = average(s.get("m"), clipped(g / d, "gradient"), beta1)
    p.sub_(hypers["lr"] * (s["m"] + hypers["weight_decay"] * clipped(p / d, "decay")))


def exadam(tensor: OneTensor, hypers: Hypers) -> None:
    """Each moment is corrected by the other; `log_growth` is the rate of the first revision."""
    t, eps, lr = tensor.calls, hypers["eps"], hypers["lr"]
    beta1, beta2 = hypers["betas"]
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    d1 = 1 + beta2**t * v / (v + eps)
    d2 = 1 + beta1**t * m**2 / (m**2 + eps)
    u = (m / c1 * d1 + tensor.grad / c1 * d1) / (torch.sqrt(v / c2 * d2) + eps)
    rate = lr * math.log(math.sqrt(2) * math.sqrt(t + 1)) if hypers["log_growth"] else lr
    tensor.value.sub_(rate * u)


def adamomentum(tensor: OneTensor, hypers: Hypers) -> None:
    """The second moment is of the new first moment, and eps is added to the state every step."""
    s, t = tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    decay(tensor, hypers)
    s["m"] = average(s.get("m"), tensor.grad, beta1)
    s["v"] = average(s.get("v"), s["m"] ** 2, beta2) + hypers["eps"]
    tensor.value.sub_(
        hypers["lr"] * (s["m"] / (1 - beta1**t)) / torch.sqrt(s["v"] / (1 - beta2**t))
    )


def ademamix(tensor: OneTensor, hypers: Hypers) -> None:
    """A fast and a slow momentum; with `t_alpha_beta3`, both its numbers grow so long."""
    s, t, end = tensor.state, tensor.calls, hypers["t_alpha_beta3"]
    beta1, _, beta3 = hypers["betas"]
    alpha = hypers["alpha"]
    if end is not None:
        share = t / end
        tensor.taken.add("growing" if share < 1 else "grown")
        slow, fast = math.log(beta3), math.log(beta1)
        beta3 = min(math.exp(fast * slow / ((1 - share) * slow + share * fast)), beta3)
        alpha = min(share * alpha, alpha)
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    s["slow"] = average(s.get("slow"), tensor.grad, beta3)
    d = torch.sqrt(v) / math.sqrt(c2) + hypers["eps"]
    tensor.value.sub_(hypers["lr"] * (m / c1 + alpha * s["slow"]) / d)


def adam_hyper(tensor: OneTensor, hypers: Hypers) -> None:
    """Matrices that are no embedding keep the norm they have, and take no decay, which on a sphere
    does nothing; everything else is AdamW."""
    p, eps = tensor.value, hypers["eps"]
    if p.ndim != 2 or any(word in tensor.name.lower() for word in EMBEDDINGS):
        tensor.taken.add("AdamW")
        adamw(tensor, hypers)
        return
    tensor.taken.add("sphere")
    m, v, c1, c2 = moments(tensor, hypers)
    u = (m / c1) / (torch.sqrt(v) / math.sqrt(c2) + eps)
    radius = p.norm().item()
    p.sub_(hypers["lr"] * radius * u / max(u.norm().item(), eps))
    p.mul_(radius / max(p.norm().item(), eps))


def coupled_adam(tensor: OneTensor, hypers: Hypers) -> None:
    """AdamW; an embedding's second moment is averaged over the vocabulary, its first axis."""
    if not any(word in tensor.name.lower() for word in EMBEDDINGS):
        tensor.taken.add("AdamW")
        adamw(tensor, hypers)
        return
    tensor.taken.add("coupled")
    decay(tensor, hypers)
    m, v, c1, c2 = moments(tensor, hypers)
    shared = hypers["scale"] * v.mean(dim=0, keepdim=True)
    d = torch.sqrt(shared) / math.sqrt(c2) + hypers["eps"]
    tensor.value.sub_(hypers["lr"] / c1 * m / d)


def normalized_gd(tensor: OneTensor, hypers: Hypers) -> None:
    """Gradient descent over the loss of the step."""
    decay(tensor, hypers)
    tensor.value.sub_(hypers["lr"] * tensor.grad / hypers["loss"])
