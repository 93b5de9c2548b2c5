"""The modifiers by hand, each at its place in a step (see stages.py).

Written from the equations of the catalogue (elementwise 2 to 4 and 6, schedules 51 to 60).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from .adaptive import rms
from .driver import Hypers, OneTensor
from .momenta import corrected_gradient
from .norms import with_average_norm, without_spikes
from .stages import Modifier
from .together import centred, clip_by_unit, to_unit_rows


class Cautious(Modifier):
    """The direction where it agrees in sign with the gradient, zero where not (also where either
    is zero), over the share that agrees. `normaliser` "count" is the first version's."""

    defaults: ClassVar[Hypers] = {"floor": 1e-3, "normaliser": "mean"}

    def direction(self, tensor: OneTensor, d: torch.Tensor) -> torch.Tensor:
        agree = d * tensor.grad > 0
        share = agree.double().mean().item()
        if self.hypers["normaliser"] == "count":
            scale = d.numel() / (agree.sum().item() + 1)
        else:
            tensor.taken.add("floor" if share < self.hypers["floor"] else "share")
            scale = 1 / max(share, self.hypers["floor"])
        return torch.where(agree, d, 0.0) * scale


class CautiousDecay(Modifier):
    """Decay only where the direction agrees in sign with the parameter, or one of them is zero."""

    replaces_decay = True

    def decay(self, tensor: OneTensor, d: torch.Tensor) -> None:
        p = tensor.value
        agree = d * p >= 0
        tensor.taken |= {"decayed"} if bool(agree.any()) else set()
        tensor.taken |= {"kept"} if not agree.all() else set()
        rate = self.hypers["lr"] * self.hypers["weight_decay"]
        p.copy_(torch.where(agree, p - rate * p, p))


class Lookahead(Modifier):
    """Every k steps of a tensor the slow weights go `alpha` of the way, and are copied."""

    defaults: ClassVar[Hypers] = {"k": 5, "alpha": 0.5}

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            self.of(tensor).setdefault("slow", tensor.value.clone())

    def after(self, tensor: OneTensor) -> None:
        if tensor.calls % self.hypers["k"] == 0:
            tensor.taken.add("merge")
            memory = self.of(tensor)
            memory["slow"] += self.hypers["alpha"] * (tensor.value - memory["slow"])
            tensor.value.copy_(memory["slow"])


class GradientCentralization(Modifier):
    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            tensor.grad = centred(tensor.grad)


class AdaptiveGradientClipping(Modifier):
    defaults: ClassVar[Hypers] = {"clip": 1e-2, "floor": 1e-3}

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            tensor.grad = clip_by_unit(tensor, self.hypers["clip"], self.hypers["floor"])


class GlobalNormClip(Modifier):
    """As torch.nn.utils.clip_grad_norm_: one factor for all, at most 1, with its 1e-6."""

    defaults: ClassVar[Hypers] = {"max_norm": 1.0}

    def grad(self, tensors: list[OneTensor]) -> None:
        norm = math.sqrt(sum((tensor.grad**2).sum().item() for tensor in tensors))
        factor = min(1.0, self.hypers["max_norm"] / (norm + 1e-6))
        for tensor in tensors:
            tensor.taken.add("clipped" if factor < 1 else "free")
            tensor.grad = factor * tensor.grad


class ValueClip(Modifier):
    """To plus or minus `limit`, or, with a `fraction`, to the size that this share of the tensor's
    elements exceeds (between two elements, linearly)."""

    defaults: ClassVar[Hypers] = {"limit": 1.0, "fraction": None}

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            limit, share = self.hypers["limit"], self.hypers["fraction"]
            if share is not None:
                limit = torch.quantile(tensor.grad.abs().reshape(-1), 1 - share).item()
            tensor.taken.add("clipped" if bool((tensor.grad.abs() > limit).any()) else "free")
            tensor.grad = tensor.grad.clamp(-limit, limit)


class UpdateClip(Modifier):
    """The direction over max(1, rms / threshold): its own rms, or ("gradient") that of the gradient
    over the root of AdamW's corrected second moment, as in StableAdamW. Decay is not scaled."""

    defaults: ClassVar[Hypers] = {"threshold": 1.0, "measure": "update"}

    def direction(self, tensor: OneTensor, d: torch.Tensor) -> torch.Tensor:
        found = rms(d)
        if self.hypers["measure"] == "gradient":
            v = tensor.state["v"] / (1 - self.hypers["betas"][1] ** tensor.calls)
            found = rms(tensor.grad / torch.sqrt(v.clamp(min=self.hypers["eps"] ** 2)))
        tensor.taken.add("clipped" if found > self.hypers["threshold"] else "free")
        return d / max(1.0, found / self.hypers["threshold"])


class TrustRatio(Modifier):
    """The direction with the parameter's norm; as it is if either norm is zero."""

    def direction(self, tensor: OneTensor, d: torch.Tensor) -> torch.Tensor:
        phi, psi = tensor.value.norm().item(), d.norm().item()
        tensor.taken.add("scaled" if phi > 0 and psi > 0 else "zero norm")
        return d * (phi / psi) if phi > 0 and psi > 0 else d


class SpikeClip(Modifier):
    """Stable-SPAM's AdaClip, then its AdaGN."""

    defaults: ClassVar[Hypers] = {"theta": 0.999, "gamma1": 0.7, "gamma2": 0.9, "norm_eps": 1e-8}

    def grad(self, tensors: list[OneTensor]) -> None:
        h = self.hypers
        for tensor in tensors:
            tensor.grad = without_spikes(tensor, h["theta"])
            tensor.grad = with_average_norm(tensor, (h["gamma1"], h["gamma2"]), h["norm_eps"])


class MomentumReset(Modifier):
    """At t = interval, 2 interval, ... the base's states are zero before the step; t goes on."""

    defaults: ClassVar[Hypers] = {"interval": 500}

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            if tensor.calls % self.hypers["interval"] == 0:
                tensor.taken.add("restart")
                for name in {"m", "v"} & set(tensor.state):
                    tensor.state[name] = torch.zeros_like(tensor.value)


class NormLoss(Modifier):
    """Every row is drawn towards norm 1, after the base's decay."""

    defaults: ClassVar[Hypers] = {"strength": 1e-4, "row_eps": 1e-8}

    def decay(self, tensor: OneTensor, d: torch.Tensor) -> None:
        h = self.hypers
        tensor.value.copy_(to_unit_rows(tensor.value, h["lr"], h["strength"], h["row_eps"]))


class SphereProjection(Modifier):
    """Matrices and above have after every step the norm they had before the first."""

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            self.of(tensor).setdefault("radius", tensor.value.norm())

    def after(self, tensor: OneTensor) -> None:
        tensor.taken.add("sphere" if tensor.value.ndim >= 2 else "free")
        if tensor.value.ndim >= 2:
            tensor.value.mul_(self.of(tensor)["radius"] / tensor.value.norm())


class ElasticAnchor(Modifier):
    """param -= pull * F (param - A) with F the average of g^2, before the step; then A follows."""

    defaults: ClassVar[Hypers] = {"pull": 0.1, "rho": 0.99, "fisher_beta": 0.9}

    def decay(self, tensor: OneTensor, d: torch.Tensor) -> None:
        h, memory = self.hypers, self.of(tensor)
        squares = tensor.grad**2
        beta = h["fisher_beta"]
        memory["F"] = beta * memory.get("F", torch.zeros_like(squares)) + (1 - beta) * squares
        tensor.value.sub_(h["pull"] * memory["F"] * (tensor.value - memory["A"]))

    def grad(self, tensors: list[OneTensor]) -> None:
        for tensor in tensors:
            self.of(tensor).setdefault("A", tensor.value.clone())

    def after(self, tensor: OneTensor) -> None:
        rho, memory = self.hypers["rho"], self.of(tensor)
        memory["A"] = rho * memory["A"] + (1 - rho) * tensor.value


class VarianceReduction(Modifier):
    """MARS's corrected gradient, of every tensor, with the base's first beta."""

    defaults: ClassVar[Hypers] = {"gamma": 0.025, "first": "zero", "unit_norm": True}

    def grad(self, tensors: list[OneTensor]) -> None:
        h = self.hypers
        for tensor in tensors:
            beta1 = h["betas"][0]
            tensor.grad = corrected_gradient(tensor, h["gamma"], beta1, h["first"], h["unit_norm"])


class WeightEMA(Modifier):
    """An average of the weights after each step, to be read; the weights do not feel it.

    With `copy_first` the first average is the first weights; else it starts from zero and is read
    over 1 - ema^t.
    """

    defaults: ClassVar[Hypers] = {"ema": 0.999, "copy_first": True}

    def after(self, tensor: OneTensor) -> None:
        ema, memory = self.hypers["ema"], self.of(tensor)
        if self.hypers["copy_first"]:
            memory.setdefault("average", tensor.value.clone())
        old = memory.get("average", torch.zeros_like(tensor.value))
        memory["average"] = ema * old + (1 - ema) * tensor.value

    def average(self, tensor: OneTensor) -> torch.Tensor:
        """What the view of the average shows."""
        found = self.of(tensor)["average"]
        return (
            found if self.hypers["copy_first"] else found / (1 - self.hypers["ema"] ** tensor.calls)
        )


MODIFIERS: dict[str, type[Modifier]] = {
    one.__name__: one
    for one in (
        *(Cautious, CautiousDecay, Lookahead, GradientCentralization, AdaptiveGradientClipping),
        *(GlobalNormClip, ValueClip, UpdateClip, TrustRatio, SpikeClip, MomentumReset, NormLoss),
        *(SphereProjection, ElasticAnchor, VarianceReduction, WeightEMA),
    )
}
