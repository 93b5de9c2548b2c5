"""Small specs, compiled and interpreted side by side.

    agree(SPEC, [Given("weight", (3, 4)), Given("bias", (5,), joins=2)], target="c")

Every step both get the same gradients; after it parameters and every state (of a tensor, a group,
of all, on the host) are compared, and the compiled side takes the interpreter's numbers, so what is
compared is the error of one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import Parameter

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.runtime import use_target

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-9, "float16": 2.0**-11}
UNITS = 64  # of rounding, at the scale of the tensor

Gradient = Callable[[int, int], float]


@dataclass(frozen=True)
class Given:
    """A parameter; it has gradients from step `joins` on, and not in the steps of `misses`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float64"
    group: int = 0
    joins: int = 0
    misses: tuple[int, ...] = ()


def random_gradient(given: Given, place: int, step: int) -> np.ndarray | None:
    """Numbers that the dtype holds, of another size for each tensor."""
    if step < given.joins or step in given.misses:
        return None
    chance = np.random.default_rng((place, step))
    grad = chance.standard_normal(given.shape) * (1 + place)
    return _held(grad, given.dtype)


def agree(
    spec: str,
    givens: Sequence[Given],
    target: str,
    *,
    groups: Sequence[dict[str, Any]] = ({},),
    steps: int = 4,
    gradient: Callable[[Given, int, int], np.ndarray | None] = random_gradient,
    change: Callable[[int, list[dict[str, Any]]], None] = lambda step, groups: None,
    off: float = 0.0,
    loose: float = 1.0,
    **options: Any,
) -> Any:
    """Run both; `change` may set hypers of the groups before a step, `off` is the share of numbers
    that may differ (a code next to a bound between two), `loose` how many times the usual rounding
    is allowed (where terms cancel). Returns the optimizer."""
    chance = np.random.default_rng(7)
    start = [_held(chance.standard_normal(g.shape), g.dtype) for g in givens]
    tensors = [
        Tensor(g.name, value.copy(), g.dtype, g.group)
        for g, value in zip(givens, start, strict=True)
    ]
    ours = [dict(group) for group in groups]
    interpreter = Interpreter(load(spec, **options), tensors, ours)
    params = [
        Parameter(torch.tensor(value).to(getattr(torch, g.dtype)))
        for g, value in zip(givens, start, strict=True)
    ]
    members = [
        {**group, "params": [p for g, p in zip(givens, params, strict=True) if g.group == k]}
        for k, group in enumerate(groups)
    ]
    with use_target(target):
        optimizer = stepc.compile(spec, **options)(members)
        for step in range(steps):
            change(step, ours)
            change(step, optimizer.param_groups)
            grads = [gradient(g, place, step) for place, g in enumerate(givens)]
            for given, param, grad in zip(givens, params, grads, strict=True):
                param.grad = None
                if grad is not None:
                    param.grad = torch.tensor(grad).to(getattr(torch, given.dtype))
            optimizer.step()
            interpreter.step(grads)
            least = max(UNIT[g.dtype] for g in givens) if _is_joint(spec) else 0.0
            for given, param, tensor, expected in zip(
                givens, params, tensors, interpreter.states, strict=True
            ):
                here = f"{target}, step {step}, {given.name}"
                unit = max(UNIT[given.dtype], least)
                _take(f"{here}, param", param.data, tensor.value, loose * unit, off)
                _take_states(here, optimizer.state.get(param, {}), expected, least, loose)
            for k, expected in enumerate(interpreter.group_states):
                here = f"{target}, step {step}, group {k}"
                _take_states(here, optimizer.param_groups[k], expected, least, loose)
            shared = interpreter.global_states
            kept = optimizer.param_groups[0]
            _take_states(f"{target}, step {step}", kept, shared, least, loose)
    return optimizer


def _is_joint(spec: str) -> bool:
    """Whether tensors read each other, so that the coarsest dtype bounds what all agree to."""
    return "per global" in spec or "per group" in spec


def _held(values: np.ndarray, dtype: str) -> np.ndarray:
    return torch.tensor(values).to(getattr(torch, dtype)).to(torch.float64).numpy()


def _take_states(
    here: str, kept: dict[str, Any], expected: dict[str, Any], least: float, loose: float
) -> None:
    for name, value in expected.items():
        found = kept.get(name.removeprefix("param."))
        if isinstance(found, float | int):
            assert np.isclose(found, value, rtol=1e-12, equal_nan=True), f"{here}, {name}"
            continue
        assert isinstance(found, torch.Tensor), f"{here}: no state {name}, only {list(kept)}"
        if found.dtype == torch.uint8:
            continue
        unit = max(UNIT["float64" if found.dtype == torch.float64 else "float32"], least)
        scale = 1.0 if name == "param.kahan" else 0.0  # what the parameter's rounding left
        value = np.asarray(value).reshape(found.shape)
        _take(f"{here}, {name}", found, value, loose * unit, 0.0, scale)


def _take(
    here: str,
    found: torch.Tensor,
    expected: np.ndarray,
    unit: float,
    off: float,
    scale: float = 0.0,
) -> None:
    got = found.detach().to(torch.float64).numpy()
    largest = np.max(np.abs(expected), initial=1e-30, where=np.isfinite(expected))
    bound = UNITS * unit * max(float(largest), scale)
    differ = ~np.isclose(got, expected, rtol=0, atol=bound, equal_nan=True)
    assert differ.mean() <= off, f"{here}: {got[differ][:4]} for {expected[differ][:4]}"
    found.copy_(torch.tensor(expected))
