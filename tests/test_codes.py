"""Codes bit for bit: every codec with seven optimizers, on every target, step by step against the
interpreter.

Each step begins with the same codes. What is stored must be the definition's; but where a target's
float32 value falls on the other side of a border between two codes, it is the neighbour, on at most
1e-5 of all elements, and the exact value is within a few roundings of that border.

    pytest tests/test_codes.py --product        all cases in Triton's interpreter too
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from stepping_codes import CASES, ROTATION, SHAPE, STEPS, Found, found, layouts, trajectory

from stepc.dsl.load import load

HERE = Path(__file__).parent
IDS = [f"{what}-{codec}" for what, codec in CASES]
ALL = pytest.mark.parametrize(("what", "codec"), CASES, ids=IDS)
FEW_UNITS = 4.0  # of rounding, half a last place each
pytestmark = pytest.mark.filterwarnings("ignore")  # W405: sqrt8 of what may be negative


@cache
def of(what: str, codec: str, target: str) -> Found:
    return found(what, codec, target)


def hold(case: Found) -> None:
    """Only neighbours, only at borders; scales and parameters within rounding."""
    assert case.wrong == 0, case
    assert case.farthest <= FEW_UNITS, case
    assert case.scale_off <= 2 * FEW_UNITS, case
    assert case.param_off <= 2e-4, case


@pytest.mark.parametrize("target", ["torch", "c"])
@ALL
def test_a_step_stores_the_codes_of_the_definition(what: str, codec: str, target: str) -> None:
    hold(of(what, codec, target))


@pytest.mark.parametrize("target", ["torch", "c"])
def test_codes_differ_on_one_of_a_hundred_thousand(target: str) -> None:
    """Of all elements of all cases."""
    total = Found()
    for what, codec in CASES:
        total.add(of(what, codec, target))
    assert total.elements > 2_000_000
    assert total.differ <= 1e-5 * total.elements, total


def test_triton_stores_the_codes_of_the_definition(request: pytest.FixtureRequest) -> None:
    """In its interpreter, a process of its own. No bfloat16, which it truncates."""
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    whole = request.config.getoption("--product")
    command = [sys.executable, "-W", "ignore", str(HERE / "stepping_codes.py"), "triton"]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, *(["--product"] if whole else [])],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results = {name: Found(**one) for name, one in json.loads(run.stdout).items()}
    wanted = {f"{w}, {c}" for w, c in (CASES if whole else ROTATION) if c != "bfloat16"}
    assert set(results) == wanted
    for name, case in results.items():
        hold(case)
        assert case.differ == 0, (name, case)


def test_the_rotation_has_every_optimizer_and_every_codec() -> None:
    for place in (0, 1):
        assert {case[place] for case in ROTATION} >= {case[place] for case in CASES[:84]}


@ALL
def test_the_definitions_codes_read_back_as_the_interpreter_says(what: str, codec: str) -> None:
    """What `naive_codes.py` stores is what dsl/codes.py means."""
    coded = layouts(load(what, quantize=codec))
    assert coded
    for step in trajectory(what, codec, SHAPE, STEPS):
        for name, layout in coded.items():
            streams = {k: v.reshape(-1) for k, v in step.codes[name].items()}
            read = layout.read(streams, step.after[name].size, SHAPE[-1])
            want = step.after[name].reshape(-1)
            np.testing.assert_allclose(read, want, rtol=1e-14, atol=0, err_msg=name)
