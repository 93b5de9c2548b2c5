"""Random specs: every target against the interpreter.

`tests/strategies.py` draws typed specs; each runs three steps on tensors of awkward shapes, one of
which gets its first gradient late (unless the spec has a global state: what reaches one must agree
between tensors, the step count too). `--programs N` asks for more than the default.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import specs
from torch.nn import Parameter

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.runtime import use_target

SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (6, 4), (3, 31), (4, 2, 3))
STEPS = 3


def agree(text: str, seed: int, target: str) -> None:
    """Run a spec in one target and in the interpreter; compare after every step."""
    chance = np.random.default_rng(seed)
    start = [chance.standard_normal(shape) for shape in SHAPES]
    params = [Parameter(torch.tensor(value)) for value in start]
    tensors = [Tensor(f"p{k}", v.copy(), dtype="float64") for k, v in enumerate(start)]
    interpreter = Interpreter(load(text), tensors)
    with use_target(target):
        optimizer = stepc.compile(text)(params)
        for step in range(STEPS):
            grads = [chance.standard_normal(shape) for shape in SHAPES]
            late = (2, 0) if "per global" not in text else None
            given_grads = [None if (k, step) == late else g for k, g in enumerate(grads)]
            for param, grad in zip(params, given_grads, strict=True):
                param.grad = None if grad is None else torch.tensor(grad)
            optimizer.step()
            interpreter.step(given_grads)
            for param, tensor in zip(params, tensors, strict=True):
                got, scale = param.detach().numpy(), max(np.abs(tensor.value).max(), 1.0)
                off = np.abs(got - tensor.value).max() / scale
                assert off < 1e-6, f"{target}, step {step}, {tensor.name}: {off:.2e}\n{text}"


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--programs")


@pytest.mark.parametrize("target", ["torch", "c"])
def test_random_specs_agree_with_the_interpreter(target: str, programs: int) -> None:
    examples = programs if target == "torch" else programs // 2

    @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(text=specs(), seed=st.integers(0, 2**16))
    def run(text: str, seed: int) -> None:
        agree(text, seed, target)

    run()
