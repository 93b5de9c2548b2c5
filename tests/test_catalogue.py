"""Every optimizer and modifier of the catalogue, as shipped, against an independent reference.

The references (tests/reference/) are float64, written from the papers by somebody who has not seen
the specs. Each scenario takes every branch of its rule in some 22 steps: tensors of every rank, a
schedule, decay, a gradient that comes late and one that is missing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from reference.driver import Hypers
from reference.scenarios import SCENARIOS, Scenario, gradients, loss, rate, run
from reference.spelling import ours as spelled
from torch.nn import Parameter

import stepc
import stepc.generated
from stepc.runtime import use_target

CASES = [(scenario, hypers) for scenario in SCENARIOS for hypers in scenario.variants]
NAMES = [f"{scenario.name}-{scenario.variants.index(hypers)}" for scenario, hypers in CASES]


@cache
def class_of(name: str, capacity: int | None = None) -> Any:
    """The prebuilt class; compiled here: a composition, or AdamCM with room for another number."""
    if capacity:
        return stepc.compile(f"{name}(capacity = {capacity})")
    return stepc.compile(name) if "+" in name else getattr(stepc.generated, name)


def errors(scenario: Scenario, hypers: Hypers, target: str) -> float:
    """Walks both through the scenario; the largest error, relative to each tensor's size."""
    ours: list[Parameter] = []
    optimizer: Any = None
    worst = 0.0

    def watch(step: int, theirs: list[torch.Tensor]) -> None:
        nonlocal worst
        value = torch.tensor(loss(step), dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = hypers["lr"] * rate(step)
        for our, grad in zip(ours, gradients(scenario, step), strict=True):
            our.grad = None if grad is None else torch.tensor(grad, dtype=torch.float64)
        optimizer.step((lambda: value) if scenario.wants_loss else None)
        for our, their in zip(ours, theirs, strict=True):
            assert torch.isfinite(their).all()
            size = max(1e-2, float(their.abs().max()))
            worst = max(worst, float((our.detach() - their).abs().max()) / size)

    def make(params: Any, given: Hypers, names: Any) -> Any:
        nonlocal optimizer
        ours.extend(Parameter(p.clone()) for p in params)
        own = spelled(scenario.row, {k: v for k, v in given.items() if k != "initial_lr"})
        made = class_of(scenario.name, own.pop("capacity", None))
        if "norm_eps" in own:  # called as the rule's eps would be, if that has none
            taken = any(hyper.name == "spike_clip_eps" for hyper in made.hypers)
            own["spike_clip_eps" if taken else "eps"] = own.pop("norm_eps")
        optimizer = made(zip(names, ours, strict=True), **own)
        if "initial_lr" in given:  # what a scheduler leaves in the group
            optimizer.param_groups[0]["initial_lr"] = given["initial_lr"]
        return scenario.make(params, given, names)

    with use_target(target):
        run(scenario, hypers, make, watch)
    return worst


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize(("scenario", "hypers"), CASES, ids=NAMES)
def test_agrees_with_its_reference(scenario: Scenario, hypers: Hypers, target: str) -> None:
    assert errors(scenario, hypers, target) <= 1e-9
