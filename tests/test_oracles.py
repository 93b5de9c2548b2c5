"""Every prebuilt optimizer, as it ships, against an independent float64 reference.

torch.optim where torch has the optimizer, else `tests/reference/`, written from the papers. Eight
steps on tensors of every kind with every setting of variants.py; the rate changes on the way, one
tensor gets its first gradient late and misses one later.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.driver import Hypers
from reference.oracles import ORACLES
from reference.variants import MATRICES, NAMED_SHAPES
from test_specs_meaning import CASES, grads
from torch.nn import Parameter

import stepc
import stepc.generated
from stepc.runtime import use_target

QUANTIZED = 2e-2  # what eight steps through a map of codes may lose, relative to the largest weight


def class_of(name: str, hypers: Hypers):  # type: ignore[no-untyped-def]
    """The prebuilt class, or one compiled here for a composition or another `ns_steps`."""
    if "+" in name:
        return stepc.compile(name)
    steps = hypers.get("ns_steps", 5)
    return (
        getattr(stepc.generated, name)
        if steps == 5
        else stepc.compile(f"{name}(ns_steps = {steps})")
    )


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize(
    ("name", "hypers"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
def test_a_prebuilt_optimizer_agrees_with_its_reference(
    name: str, hypers: Hypers, target: str
) -> None:
    named = MATRICES if name == "MuonMatrix" else NAMED_SHAPES
    names, shapes = [n for n, _ in named], [s for _, s in named]
    chance = np.random.default_rng(1)
    start = [torch.tensor(chance.standard_normal(shape)) for shape in shapes]
    theirs = [value.clone() for value in start]
    ours = [Parameter(value.clone()) for value in start]
    oracle = ORACLES[name](theirs, hypers, names)
    with use_target(target):
        given = {key: value for key, value in hypers.items() if key != "initial_lr"}
        optimizer = class_of(name, hypers)(zip(names, ours, strict=True), **given)
        if "initial_lr" in hypers:  # what a scheduler leaves in the group
            optimizer.param_groups[0]["initial_lr"] = hypers["initial_lr"]
        for step in range(8):
            for our, their, grad in zip(ours, theirs, grads(shapes, step), strict=True):
                our.grad = their.grad = None if grad is None else torch.tensor(grad)
            if step == 4:
                oracle.set(lr=0.5 * hypers["lr"])
                optimizer.param_groups[0]["lr"] = 0.5 * hypers["lr"]
            oracle.step()
            optimizer.step()
    for our, their, shape in zip(ours, theirs, shapes, strict=True):
        coded = "bit" in name and our.numel() >= 4096
        scale = float(their.abs().max()) if their.numel() else 1.0
        atol = QUANTIZED * scale if coded else 1e-11
        torch.testing.assert_close(our.detach(), their, rtol=1e-9, atol=atol, msg=f"{name} {shape}")
