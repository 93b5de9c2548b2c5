"""Bugs of published implementations, each as a rule of its own, so that a test can tell them apart.

BUGS says on which scenario, and on which of its settings, each differs from the reference: whoever
agrees with the reference there does not have the bug (README.md tells the stories).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from . import adaptive, momenta, norms, together
from .catalogue import REFERENCES, rule, rule_of_all
from .driver import Handwritten, Hypers, OneTensor, Rule, RuleOfAll, Together
from .elementwise import adopt, average, lamb
from .oracles import ORACLES, MakeOracle


def cautious_mask_of_itself(tensor: OneTensor, hypers: Hypers) -> None:
    """The mask compares the momentum with itself, so it hides nothing: plain AdamW."""
    adaptive.adamw(tensor, hypers)


def ranger21_stale_tensor(tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers) -> None:
    """Decay and norm loss reach the last tensor only."""
    together.ranger21(tensors[:-1], shared, {**hypers, "weight_decay": 0.0, "norm_loss": 0.0})
    together.ranger21(tensors[-1:], shared, hypers)


def stable_spam_shared_counter(tensor: OneTensor, hypers: Hypers) -> None:
    """The counter of the averaged maxima and norms restarts with Adam's; the averages do not."""
    s, calls, interval = tensor.state, tensor.calls, hypers["interval"]
    if calls % interval == 0:
        s["m"], s["v"] = torch.zeros_like(tensor.value), torch.zeros_like(tensor.value)
    tensor.calls = calls % interval + 1 if calls >= interval else calls
    norms.stable_spam(tensor, {**hypers, "interval": 10**9})
    tensor.calls = calls


def stable_spam_stale_moments(tensor: OneTensor, hypers: Hypers) -> None:
    """The step of the restart still uses the old moments; they are zero after it."""
    s = tensor.state
    if tensor.calls % hypers["interval"]:
        norms.stable_spam(tensor, hypers)
        return
    p, eps, (beta1, beta2) = tensor.value, hypers["eps"], hypers["betas"]
    adaptive.decay(tensor, hypers)
    tensor.grad = norms.without_spikes(tensor, hypers["theta"])
    gammas = (hypers["gamma1"], hypers["gamma2"])
    tensor.grad = g = norms.with_average_norm(tensor, gammas, eps)
    m, v = average(s["m"], g, beta1), average(s["v"], g * g, beta2)
    p.sub_(hypers["lr"] / (1 - beta1) * m / (torch.sqrt(v) / math.sqrt(1 - beta2) + eps))
    s["m"], s["v"] = torch.zeros_like(p), torch.zeros_like(p)


def fadam_lost_state(tensor: OneTensor, hypers: Hypers) -> None:
    """The Fisher average is never stored: it is one before every step."""
    tensor.state["F"] = torch.ones_like(tensor.value)
    adaptive.fadam(tensor, hypers)


def diffgrad_alias(tensor: OneTensor, hypers: Hypers) -> None:
    """The gradient before is the storage of this one: the friction is one half everywhere."""
    tensor.state["before"] = tensor.grad + hypers["weight_decay"] * tensor.value
    adaptive.diffgrad(tensor, hypers)


def adopt_late_clip(tensor: OneTensor, hypers: Hypers) -> None:
    """The clip counts the first call, which moves nothing: 2^(1/4), 3^(1/4), ..."""
    if tensor.calls == 1 or hypers["decouple"]:
        adopt(tensor, hypers)
        return
    s, p, beta1, beta2 = tensor.state, tensor.value, *hypers["betas"]
    g = tensor.grad + hypers["weight_decay"] * p
    limit = tensor.calls ** hypers["clip_exponent"]
    n = (g / torch.clamp(torch.sqrt(s["v"]), min=hypers["eps"])).clamp(-limit, limit)
    s["m"] = average(s.get("m"), n, beta1)
    p.sub_(hypers["lr"] * s["m"])
    s["v"] = average(s["v"], g * g, beta2)


def classp_tensor_gate(tensor: OneTensor, hypers: Hypers) -> None:
    """The gate asks whether any gradient of the tensor is not zero, and the power is lost."""
    p, g, s = tensor.value, tensor.grad, tensor.state
    if bool((g * g).any()) > hypers["threshold"]:
        s["S"] = s.get("S", torch.zeros_like(g)) + g.abs()
        p.sub_(hypers["lr"] * g / (s["S"] + hypers["eps"]) ** (1 / hypers["power"]))


def admeta_without_i(tensor: OneTensor, hypers: Hypers) -> None:
    """mu is added as a number, and I is never read."""
    s, t, lamda, g = tensor.state, tensor.calls, hypers["lamda"], tensor.grad
    first = s.setdefault("g", g.clone())
    s.setdefault("slow", tensor.value.clone())
    tensor.grad = (10 / lamda - 9) * g + (25 - 10 * (lamda + 1 / lamda)) + 10 * lamda**t * first
    m, v, c1, c2 = adaptive.moments(tensor, hypers)
    rate = hypers["lr"] * math.sqrt(c2) / c1
    tensor.value.sub_(rate * m / (torch.sqrt(v) + hypers["eps"]))
    adaptive.decay(tensor, hypers)
    momenta.merge(tensor, hypers["k"])


def adam_cm_idle_first_step(
    tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers
) -> None:
    """The first step keeps the gradients, not the momenta, which stay zero, and moves nothing."""
    if shared:
        together.adam_cm(tensors, shared, hypers)
        return
    total = sum(tensor.grad.norm().item() for tensor in tensors)
    shared["priorities"] = [hypers["decay"] * total]
    for tensor in tensors:
        tensor.state["kept"] = tensor.grad[None].clone()


def sgdp_projects_its_buffer(tensor: OneTensor, hypers: Hypers) -> None:
    """Without Nesterov the projection is written into the momentum itself."""
    s, p, g, lr, mu = tensor.state, tensor.value, tensor.grad, hypers["lr"], hypers["momentum"]
    b = mu * s.get("b", torch.zeros_like(g)) + (1 - hypers["dampening"]) * g
    s["b"], ratio = norms.without_radial_part(tensor, b, hypers)
    p.mul_(1 - lr * hypers["weight_decay"] * ratio / (1 - mu))
    p.sub_(lr * s["b"])


def mars_gradient_by_reference(tensor: OneTensor, hypers: Hypers) -> None:
    """The last gradient is the storage of this one: no correction after the first step."""
    momenta.mars(tensor, {**hypers, "gamma": hypers["gamma"] if tensor.calls == 1 else 0.0})


def swats_first_tensor_decides(
    tensors: list[OneTensor], shared: dict[str, Any], hypers: Hypers
) -> None:
    """Inner products of a tensor at a time; whichever settles first switches all, with its rate."""
    for i, tensor in enumerate(tensors):
        own: dict[str, Any] = shared.setdefault(str(i), {})
        together.swats([tensor], own, hypers)
    found = next(
        (shared[str(i)]["rate"] for i in range(len(tensors)) if "rate" in shared[str(i)]), 0
    )
    for i in range(len(tensors)):
        if found:
            shared[str(i)]["rate"] = found


def lamb_correction_outside(tensor: OneTensor, hypers: Hypers) -> None:
    """1 / c1 multiplies the step after the trust ratio: the first is ten times too large."""
    lamb(tensor, {**hypers, "lr": hypers["lr"] / (1 - hypers["betas"][0] ** tensor.calls)})


def hyperball_shrinks(tensor: OneTensor, hypers: Hypers) -> None:
    """Decay comes before the radius is measured: the sphere shrinks."""
    if tensor.value.ndim != 2 or "embed" in tensor.name:
        adaptive.adam_hyper(tensor, hypers)
        return
    adaptive.decay(tensor, hypers)
    adaptive.adam_hyper(tensor, hypers)


class Bug(NamedTuple):
    """A scenario, the number of its variant, and the rule that is wrong there."""

    name: str
    variant: int
    rule: Rule | RuleOfAll
    of_all: bool = False

    def make(self) -> MakeOracle:
        """The wrong rule with the defaults of the right one."""
        right = (REFERENCES | ORACLES).get(self.name, REFERENCES["NAdamW"])
        made = right([], {}, [])
        defaults = made.hypers if isinstance(made, (Handwritten, Together)) else {}
        return (rule_of_all if self.of_all else rule)(self.rule, **defaults)  # type: ignore[operator]


BUGS = (
    Bug("AdamW + Cautious", 0, cautious_mask_of_itself),
    Bug("Ranger21", 0, ranger21_stale_tensor, of_all=True),
    Bug("StableSPAM", 0, stable_spam_shared_counter),
    Bug("StableSPAM", 0, stable_spam_stale_moments),
    Bug("FAdam", 0, fadam_lost_state),
    Bug("DiffGrad", 0, diffgrad_alias),
    Bug("ADOPT", 1, adopt_late_clip),
    Bug("CLASSP", 1, classp_tensor_gate),
    Bug("AdmetaR", 0, admeta_without_i),
    Bug("AdamCM", 0, adam_cm_idle_first_step, of_all=True),
    Bug("SGDP", 0, sgdp_projects_its_buffer),
    Bug("MARS", 1, mars_gradient_by_reference),
    Bug("SWATS", 0, swats_first_tensor_decides, of_all=True),
    Bug("LAMB", 0, lamb_correction_outside),
    Bug("AdamHyper", 0, hyperball_shrinks),
)
