"""What a scenario is, and the walk through it: start, gradients, schedule, losses.

    run(scenario, hypers)   the reference's parameters after all steps; `watch(step, params)` sees
                            them after each

A test of another implementation does per step what `run` does: `rate(step)` times lr, `gradients`,
`loss(step)`. Tensors start at `start(scenario)`, one of them at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .driver import Hypers, Oracle
from .oracles import MakeOracle

Shapes = tuple[tuple[str, tuple[int, ...]], ...]

SHAPES: Shapes = (
    ("embed.weight", (30, 16)),
    ("layers.0.attn.q_proj.weight", (8, 12)),
    ("layers.0.mlp.weight", (15, 4)),
    ("layers.0.mlp.bias", (15,)),
    ("layers.0.norm.weight", (9,)),
    ("layers.0.conv.weight", (4, 2, 3, 3)),
    ("scale", ()),
    ("lm_head.weight", (5, 16)),
)
FLAT: Shapes = tuple(one for one in SHAPES if len(one[1]) <= 2)
ZERO_AT_FIRST = {"layers.0.mlp.bias"}
LATE = frozenset({(4, 0), (4, 1), (4, 5)})  # (tensor, step) without a gradient: late, then missing


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way through a system. `kind` names the gradients, see `gradients`."""

    row: str
    name: str
    make: MakeOracle
    variants: tuple[Hypers, ...]
    branches: frozenset[str] = frozenset()
    shapes: Shapes = SHAPES
    steps: int = 22
    kind: str = "noise"
    absent: frozenset[tuple[int, int]] = LATE
    wants_loss: bool = False
    seed: int = 0


def rate(step: int) -> float:
    """What the schedule multiplies lr with; steps count from 0."""
    return 1.0 if step < 8 else 0.5 if step < 15 else 0.8


def loss(step: int) -> float:
    return 2.0 / (1 + step) + 0.25


def start(scenario: Scenario) -> list[np.ndarray]:
    chance = np.random.default_rng(1000 + scenario.seed)
    drawn = [(name, chance.standard_normal(shape)) for name, shape in scenario.shapes]
    return [np.zeros_like(x) if name in ZERO_AT_FIRST else np.asarray(x) for name, x in drawn]


def gradients(scenario: Scenario, step: int) -> list[np.ndarray | None]:
    """The gradients of a step, by kind.

    noise       normal, of a size between 1e-4 and 10 drawn for each tensor; a tenth exactly zero
    dense       the same without zeros, size between 0.1 and 10
    spikes      normal of size 1; every fourth step one element in ten is 30 times larger
    drift       a fixed direction plus a third of noise, as far from a minimum
    orthogonal  normal; for matrices and above made orthogonal to the rows of the start, to the
                whole of it, or to nothing, in turn
    """
    chance = np.random.default_rng([scenario.seed, step])
    fixed = np.random.default_rng([scenario.seed, 999])
    found: list[np.ndarray | None] = []
    for index, p in enumerate(start(scenario)):
        g = np.asarray(chance.standard_normal(p.shape))
        match scenario.kind:
            case "noise":
                g = g * 10.0 ** chance.integers(-4, 2)
                g = np.where(chance.random(p.shape) < 0.1, 0.0, g)
            case "dense":
                g = g * 10.0 ** chance.integers(-1, 2)
            case "spikes":
                large = chance.random(p.shape) < 0.1
                g = np.where(large & (step % 4 == 3), 30 * g, g)
            case "drift":
                g = np.asarray(fixed.standard_normal(p.shape)) + g / 3
            case "orthogonal":
                view = (p.shape[0], -1) if p.ndim > 1 and step % 3 == 0 else (1, -1)
                w, h = p.reshape(view), g.reshape(view)
                along = (w * h).sum(1, keepdims=True) / np.maximum(
                    (w * w).sum(1, keepdims=True), 1e-9
                )
                g = (h - along * w).reshape(p.shape) if p.ndim > 1 and step % 3 < 2 else g
            case other:
                raise ValueError(other)
        found.append(None if (index, step) in scenario.absent else g)
    return found


def run(
    scenario: Scenario,
    hypers: Hypers,
    make: MakeOracle | None = None,
    watch: Callable[[int, list[torch.Tensor]], None] | None = None,
) -> tuple[list[torch.Tensor], Oracle]:
    """The parameters in the end and the oracle that moved them."""
    params = [torch.tensor(value, dtype=torch.float64) for value in start(scenario)]
    oracle = (make or scenario.make)(params, hypers, [name for name, _ in scenario.shapes])
    for step in range(scenario.steps):
        oracle.set(lr=hypers["lr"] * rate(step))
        for param, grad in zip(params, gradients(scenario, step), strict=True):
            param.grad = None if grad is None else torch.tensor(grad, dtype=torch.float64)
        oracle.step(loss(step) if scenario.wants_loss else None)
        if watch is not None:
            watch(step, params)
    return params, oracle
