"""A base rule with modifiers around it, in the documented order of a step.

    grad: all modifiers -> the base's direction -> direction: all -> decay: the base's, then all
    -> param -= lr * direction -> after: all

Modifiers apply from left to right. A modifier of decay may take the place of the base's. SGD's
decay is L2 and LAMB's is in its direction: they have none of their own after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch

from .adaptive import moments
from .blocks import polar
from .driver import Hypers, OneTensor, Tensors
from .elementwise import average


class Modifier:
    """What it knows of a tensor is in `memory`; `hypers` are its own and the base's."""

    defaults: ClassVar[Hypers] = {}
    replaces_decay = False

    def __init__(self) -> None:
        self.memory: dict[str, dict[str, torch.Tensor]] = {}
        self.hypers: Hypers = {}

    def of(self, tensor: OneTensor) -> dict[str, torch.Tensor]:
        return self.memory.setdefault(tensor.name, {})

    def grad(self, tensors: list[OneTensor]) -> None:
        """Changes the gradients, before the base sees them."""

    def direction(self, tensor: OneTensor, d: torch.Tensor) -> torch.Tensor:
        return d

    def decay(self, tensor: OneTensor, d: torch.Tensor) -> None:
        """Changes the parameter, before the step."""

    def after(self, tensor: OneTensor) -> None:
        """Changes the parameter, after the step."""


class AdamW:
    defaults: ClassVar[Hypers] = {
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 1e-2,
    }
    decoupled = True

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor:
        m, v, c1, c2 = moments(tensor, hypers)
        return (m / c1) / (torch.sqrt(v) / math.sqrt(c2) + hypers["eps"])


class Lion:
    defaults: ClassVar[Hypers] = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}
    decoupled = True

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor:
        s, (beta1, beta2) = tensor.state, hypers["betas"]
        u = torch.sign(average(s.get("m"), tensor.grad, beta1))
        s["m"] = average(s.get("m"), tensor.grad, beta2)
        return u


class SGD:
    """The first buffer is the first gradient; the L2 term is no part of what modifiers see."""

    defaults: ClassVar[Hypers] = {
        "lr": 1e-3,
        "momentum": 0.0,
        "dampening": 0.0,
        "weight_decay": 0.0,
    }
    decoupled = False

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor:
        s, mu = tensor.state, hypers["momentum"]
        g = tensor.grad + hypers["weight_decay"] * tensor.value
        if mu == 0:
            return g
        s["b"] = mu * s["b"] + (1 - hypers["dampening"]) * g if "b" in s else g
        return s["b"]


class LAMB:
    """Decay is inside the direction, under the trust ratio."""

    defaults: ClassVar[Hypers] = {**AdamW.defaults, "eps": 1e-6}
    decoupled = False

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor:
        p = tensor.value
        u = AdamW.direction(tensor, hypers) + hypers["weight_decay"] * p
        phi, psi = p.norm().item(), u.norm().item()
        return u * (phi / psi) if phi > 0 and psi > 0 else u


class MuonMatrix:
    """Matrices only; Newton-Schulz, and the factor sqrt(max(1, rows / cols))."""

    defaults: ClassVar[Hypers] = {
        "lr": 2e-2,
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5,
        "weight_decay": 0.0,
    }
    decoupled = True

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor:
        s, g, mu = tensor.state, tensor.grad, hypers["momentum"]
        s["m"] = average(s.get("m"), g, mu)
        u = (1 - mu) * g + mu * s["m"] if hypers["nesterov"] else s["m"]
        flat = u.reshape(u.shape[0], -1)
        scale = math.sqrt(max(1.0, flat.shape[0] / flat.shape[1]))
        return (scale * polar(flat, hypers["ns_steps"])).reshape(g.shape)


class _Base(Protocol):
    defaults: ClassVar[Hypers]
    decoupled: bool

    @staticmethod
    def direction(tensor: OneTensor, hypers: Hypers) -> torch.Tensor: ...


BASES: dict[str, type[_Base]] = {one.__name__: one for one in (AdamW, Lion, SGD, LAMB, MuonMatrix)}


class Staged(Tensors):
    """An oracle. The hypers of base and modifiers are one flat dict; no two share a name."""

    def __init__(
        self,
        base: str,
        modifiers: Sequence[Modifier],
        params: Sequence[torch.Tensor],
        hypers: Hypers,
        names: Sequence[str],
    ) -> None:
        self.base, self.modifiers = BASES[base], list(modifiers)
        defaults: Hypers = dict(self.base.defaults)
        for modifier in self.modifiers:
            shared = set(defaults) & set(modifier.defaults)
            if shared:
                raise TypeError(f"two hypers with one name: {sorted(shared)}")
            defaults |= modifier.defaults
        super().__init__(self.base, params, defaults, hypers, names)
        for modifier in self.modifiers:
            modifier.hypers = self.hypers

    @torch.no_grad()
    def step(self, loss: float | None = None) -> None:
        moving = self.moving(loss)
        for modifier in self.modifiers:
            modifier.grad(moving)
        replaced = any(modifier.replaces_decay for modifier in self.modifiers)
        for tensor in moving:
            d = self.base.direction(tensor, self.hypers)
            for modifier in self.modifiers:
                d = modifier.direction(tensor, d)
            if self.base.decoupled and not replaced:
                tensor.value.mul_(1 - self.hypers["lr"] * self.hypers["weight_decay"])
            for modifier in self.modifiers:
                modifier.decay(tensor, d)
            tensor.value.sub_(self.hypers["lr"] * d)
            for modifier in self.modifiers:
                modifier.after(tensor)
