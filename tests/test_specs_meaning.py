"""Every shipped spec means what its paper says: the interpreter against the references, in float64.

Eight steps over tensors of every kind, with every setting of variants.py; one tensor gets its first
gradient late and misses one later, and the rate changes on the way, as under a schedule.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.driver import Hypers
from reference.oracles import ORACLES
from reference.variants import MATRICES, NAMED_SHAPES, VARIANTS

from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

CASES = [(name, hypers) for name, variants in VARIANTS.items() for hypers in variants]
ABSENT = {(3, 0), (3, 1), (3, 5)}  # (tensor, step) without a gradient


def grads(shapes: list[tuple[int, ...]], step: int) -> list[np.ndarray | None]:
    """Gradients of very different sizes; some elements are exactly zero."""
    chance = np.random.default_rng(100 + step)
    found: list[np.ndarray | None] = []
    for index, shape in enumerate(shapes):
        grad = chance.standard_normal(shape) * 10.0 ** chance.integers(-4, 2)
        grad = np.where(chance.random(shape) < 0.1, 0.0, grad)
        found.append(None if (index, step) in ABSENT else grad)
    return found


def test_every_reference_has_variants() -> None:
    assert set(VARIANTS) == set(ORACLES)


@pytest.mark.parametrize(
    ("name", "hypers"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
def test_interpreter_agrees_with_reference(name: str, hypers: Hypers) -> None:
    named = MATRICES if name == "MuonMatrix" else NAMED_SHAPES
    names, shapes = [n for n, _ in named], [s for _, s in named]
    chance = np.random.default_rng(1)
    start = [chance.standard_normal(shape) for shape in shapes]
    params = [torch.tensor(value, dtype=torch.float64) for value in start]
    oracle = ORACLES[name](params, hypers, names)
    group = dict(hypers)
    tensors = [
        Tensor(n, value.copy(), dtype="float64") for n, value in zip(names, start, strict=True)
    ]
    interpreter = Interpreter(load(name), tensors, (group,))
    for step in range(8):
        given = grads(shapes, step)
        for param, grad in zip(params, given, strict=True):
            param.grad = None if grad is None else torch.tensor(grad, dtype=torch.float64)
        if step == 4:
            oracle.set(lr=0.5 * hypers["lr"])
            group["lr"] = 0.5 * hypers["lr"]
        oracle.step()
        interpreter.step(given)
    for label, tensor, param in zip(names, tensors, params, strict=True):
        np.testing.assert_allclose(
            tensor.value, param.numpy(), rtol=1e-9, atol=1e-11, err_msg=f"{name}: {label}"
        )
