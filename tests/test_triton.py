"""Generated Triton kernels, on a machine without a GPU: those of compositions as machine code, and
the results of all.

Every optimizer runs in Triton's interpreter and is compared with its torch form
(`running_triton.py`, one process for all). The machine code of prebuilt kernels: test_kernels.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

from running_triton import optimizers, plans

from stepc.cli.machine import subjects

HERE = Path(__file__).parent

COMPOSED = (
    ("AdamW", {"rounding": "stochastic"}), ("AdamW", {"rounding": "kahan"}),
    ("AdamW + Cautious + Lookahead(k = 5)", {}), ("LAMB + GlobalNormClip", {}),
    ("LAMB", {"quantize": "dynamic8"}), ("AdamW8bit", {"rounding": "stochastic"}),
)  # fmt: skip


@pytest.mark.parametrize(("what", "options"), COMPOSED, ids=lambda part: str(part))
def test_compositions_compile_as_well(what: str, options: dict[str, str]) -> None:
    """The plan's bytes in vectors, no spills, no shared memory where nothing is reduced. (What the
    arithmetic of codecs and rounding costs is measured for prebuilt optimizers.)"""
    for subject in subjects(what, **options):
        found = subject.examine("sm_90", "bfloat16").excess
        assert set(found) <= {"instructions", "special", "registers"}, (subject.name, found)


# ---------------------------------------------------------------- results


@pytest.fixture(scope="session")
def errors() -> dict[str, float]:
    """What `running_triton.py` prints."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(HERE / "running_triton.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    found: dict[str, float] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("name", [name for name, _ in plans()])
def test_plans_compute_their_program(name: str, errors: dict[str, float]) -> None:
    assert errors[f"plan/{name}"] < 1e-4


def test_elementary_functions_are_accurate(errors: dict[str, float]) -> None:
    found = {name: error for name, error in errors.items() if name.startswith("function/")}
    assert len(found) >= 15
    assert max(found.values()) < 2e-6, found


# In units of the steps taken; 1e-4 for all others. Muon's matrix products are torch's in both, but
# of float32 sums in another order. A projection multiplies whole weights by such a sum: one unit in
# the last place of a weight of 4 is 2e-4 of the small steps that these take.
LIMITS = {"Muon": 1e-3, "AdamHyper": 3e-4, "Ranger21": 3e-4, "SphereProjectionAdamW": 3e-4}
FEW_UNITS = 4.0  # of 2^-24 of what was added: as in test_codes.py


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in optimizers()))
def test_optimizers_agree_with_their_torch_form(name: str, errors: dict[str, float]) -> None:
    assert errors[f"optimizer/{name}"] < LIMITS.get(name, 1e-4)


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in optimizers()))
def test_another_code_than_the_definition_s_is_at_its_border(
    name: str, errors: dict[str, float]
) -> None:
    """Of FlashSGD's 16,509 codes one is the next one in Triton's interpreter, where `inverse` is
    the square of rsqrt: the exact value lies 1.47 units beyond the border. Of all other optimizers'
    one is, of RMSprop8bit, by 0.02 units."""
    assert errors[f"border/{name}"] <= FEW_UNITS
