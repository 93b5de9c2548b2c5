"""Random specs: every target against the interpreter.

`tests/strategies.py` draws typed specs; each runs three steps on tensors of awkward shapes, one of
which gets its first gradient late (unless the spec has a global state: what reaches one must agree
between tensors, the step count too). `--programs N` asks for more than the default, and draws
others each time; the default ones are always the same, so that a change is judged by itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
DEFAULT = 320  # programs
FEW_SHAPES = ((5,), (6, 4))  # Triton's interpreter is slow


def agree(text: str, seed: int, target: str) -> None:
    """Run a spec in one target and in the interpreter; compare after every step."""
    shapes, steps = (FEW_SHAPES, 2) if target == "triton" else (SHAPES, 3)
    chance = np.random.default_rng(seed)
    start = [chance.standard_normal(shape) for shape in shapes]
    params = [Parameter(torch.tensor(value)) for value in start]
    tensors = [Tensor(f"p{k}", v.copy(), "float64", k % 2) for k, v in enumerate(start)]
    interpreter = Interpreter(load(text), tensors, ({}, {}))
    groups = [{"params": params[0::2]}, {"params": params[1::2]}]
    with use_target(target):
        optimizer = stepc.compile(text)(groups)
        for step in range(steps):
            grads = [chance.standard_normal(shape) for shape in shapes]
            late = None if _is_shared(text) else (1, 0)
            given_grads = [None if (k, step) == late else g for k, g in enumerate(grads)]
            for param, grad in zip(params, given_grads, strict=True):
                param.grad = None if grad is None else torch.tensor(grad)
            optimizer.step()
            interpreter.step(given_grads)
            for param, tensor in zip(params, tensors, strict=True):
                got, scale = param.detach().numpy(), max(np.abs(tensor.value).max(), 1.0)
                off = np.abs(got - tensor.value).max() / scale
                assert off < 1e-6, f"{target}, step {step}, {tensor.name}: {off:.2e}\n{text}"


def _is_shared(text: str) -> bool:
    """Whether tensors share a state: then all must give it one value, and `t` must be the same."""
    return bool(re.search("state .*per (global|group)", text))


def run_programs(target: str, count: int) -> None:
    """Draw `count` specs and run each; raises on the first disagreement."""

    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate],
              derandomize=count <= DEFAULT, suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(text=specs(), seed=st.integers(0, 2**16))
    def run(text: str, seed: int) -> None:
        agree(text, seed, target)

    run()


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--programs")


def test_random_specs_agree_in_torch(programs: int) -> None:
    run_programs("torch", programs)


def test_random_specs_agree_in_c(programs: int) -> None:
    run_programs("c", programs // 2)


def test_random_specs_agree_in_triton_s_interpreter(programs: int) -> None:
    count = max(programs // 8, 1)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("running_random.py")), str(count)],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == f"{count} agree", ran.stderr[-4000:]
