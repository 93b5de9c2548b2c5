"""Modifiers by hand: Cautious inside AdamW, Lookahead and GlobalNormClip around any oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .driver import Hypers, OneTensor, Oracle
from .elementwise import average


def cautious_adamw(tensor: OneTensor, hypers: Hypers) -> None:
    """The mask is of the corrected momentum against the gradient; decay goes unmasked before."""
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    lr = hypers["lr"]
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    mask = (s["m"] * g > 0).to(p.dtype)
    scale = 1 / max(mask.mean().item(), hypers["floor"])
    p.mul_(1 - lr * hypers["weight_decay"])
    d = torch.sqrt(s["v"] / (1 - beta2**t)) + hypers["eps"]
    p.sub_(lr * scale * mask * (s["m"] / (1 - beta1**t)) / d)


class Lookahead:
    """Every k steps of a tensor: slow += alpha * (fast - slow), fast = slow."""

    def __init__(
        self, inner: Oracle, params: Sequence[torch.Tensor], k: int = 5, alpha: float = 0.5
    ) -> None:
        self.inner, self.params, self.k, self.alpha = inner, list(params), k, alpha
        self.slow: dict[int, torch.Tensor] = {}
        self.steps = [0] * len(self.params)

    def set(self, **hypers: Any) -> None:
        self.inner.set(**hypers)

    @torch.no_grad()
    def step(self, loss: float | None = None) -> None:
        moving = [i for i, param in enumerate(self.params) if param.grad is not None]
        for i in moving:
            self.slow.setdefault(i, self.params[i].detach().clone())
            self.steps[i] += 1
        self.inner.step(loss)
        for i in moving:
            if self.steps[i] % self.k == 0:
                self.slow[i] += self.alpha * (self.params[i] - self.slow[i])
                self.params[i].copy_(self.slow[i])


class GlobalNormClip:
    """torch.nn.utils.clip_grad_norm_ before the step; the caller's gradients stay as they were."""

    def __init__(
        self, inner: Oracle, params: Sequence[torch.Tensor], max_norm: float = 1.0
    ) -> None:
        self.inner, self.params, self.max_norm = inner, list(params), max_norm

    def set(self, **hypers: Any) -> None:
        self.inner.set(**hypers)

    def step(self, loss: float | None = None) -> None:
        given = [param.grad for param in self.params]
        for param in self.params:
            param.grad = None if param.grad is None else param.grad.clone()
        torch.nn.utils.clip_grad_norm_(self.params, self.max_norm)
        self.inner.step(loss)
        for param, grad in zip(self.params, given, strict=True):
            param.grad = grad
