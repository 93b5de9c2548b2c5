"""Generated Triton kernels, on a machine without a GPU: their machine code, and their results.

Every kernel of every prebuilt optimizer is compiled ahead of time and its listing held to what
makes such a kernel fast: full tiles move exactly the plan's bytes, in vectors, without shared
memory, barriers or spills. Every optimizer also runs in Triton's interpreter and is compared with
its torch form (`running_triton.py`, one process for all).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

from running_triton import optimizers, plans

from stepc.compiler.assembly import assemble
from stepc.compiler.audit import Report, audit
from stepc.runtime import Finish, Stream, Sweep
from stepc.runtime import Path as StepPath
from stepc.runtime.triton import block_of, warps_of

HERE = Path(__file__).parent
WIDTH = {"uint8": 1, "bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
TARGETS = (
    ("sm_80", "float32"), ("sm_90", "float32"), ("sm_90", "bfloat16"), ("sm_100", "float32"),
    ("gfx942", "float32"), ("gfx942", "bfloat16"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One kernel, with the path it serves."""

    path: StepPath
    step: Sweep | Finish

    @property
    def block(self) -> int:
        return block_of(self.step)

    @property
    def warps(self) -> int:
        return warps_of(self.step)

    @property
    def lone_tile(self) -> bool:
        """Whether the sweep is flat, or a cell is one tile: then a full tile is loaded once."""
        return isinstance(self.step, Sweep) and (not self.step.cell or bool(self.step.triton_block))

    def moved(self) -> list[Stream]:
        """Every stream loaded, then every stream stored."""
        by_name = {stream.name: stream for stream in self.path.streams}
        return [by_name[name] for name in (*self.step.loads, *self.step.stores)]

    def width(self, stream: Stream, dtype: str) -> int:
        """Bytes of one value."""
        real = "float64" if dtype == "float64" else "float32"
        return WIDTH[{"param": dtype, "grad": dtype, "real": real}.get(stream.dtype, stream.dtype)]

    def report(self, target: str, dtype: str) -> Report:
        assert self.step.triton is not None
        function = getattr(self.step.triton, "compiled", self.step.triton)
        kernel = assemble(function, (dtype, dtype), target, block=self.block, warps=self.warps)
        return audit(kernel)


def cases() -> Iterator[tuple[str, Case]]:
    """Each kernel once."""
    seen: set[str] = set()
    for kind in optimizers():
        for path in kind.paths:
            for step in path.steps:
                if isinstance(step, Sweep | Finish) and step.name not in seen:
                    seen.add(step.name)
                    yield step.name, Case(path, step)


CASES = dict(cases())
SWEEPS = {name: case for name, case in CASES.items() if isinstance(case.step, Sweep)}
LONE = {name: case for name, case in SWEEPS.items() if case.lone_tile}


def test_there_are_kernels() -> None:
    assert len(CASES) >= 20
    assert {"adamw", "lamb_1", "lamb_2", "lamb_finish"} <= set(CASES)


# ---------------------------------------------------------------- machine code


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_kernels_spill_nothing(name: str, target: str, dtype: str) -> None:
    report = CASES[name].report(target, dtype)
    assert (report.spills, report.stack) == (0, 0), report


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", LONE)
def test_full_tiles_move_the_plans_bytes_in_vectors(name: str, target: str, dtype: str) -> None:
    case = LONE[name]
    report = case.report(target, dtype)
    per_thread = report.full.elements
    lanes = 8 if dtype == "bfloat16" else 4
    if any(case.width(s, dtype) == 4 for s in case.moved() if s.level == "element"):
        lanes = 4
    lanes = min(lanes, case.block // (32 * case.warps))
    expected, allowed = 0.0, set[int]()
    for stream in case.moved():
        width = case.width(stream, dtype)
        if stream.level == "element":
            expected += width
            allowed.add(lanes * width)
        elif case.step.cell == stream.level:  # one number for the cell, read by every thread
            cells = case.block / (case.warps * (64 if target.startswith("gfx") else 32))
            expected += width / cells
            allowed.add(width)
    assert report.full.bytes_per_element == pytest.approx(expected), report
    assert per_thread > 0
    assert set(report.full.loads) | set(report.full.stores) <= allowed | {2 * a for a in allowed}


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", [name for name, case in LONE.items() if not case.step.partials])
def test_elementwise_kernels_stay_in_registers(name: str, target: str, dtype: str) -> None:
    report = LONE[name].report(target, dtype)
    assert (report.shared, report.barriers) == (0, 0), report


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", [name for name, case in SWEEPS.items() if not case.lone_tile])
def test_long_cells_are_read_in_vectors(name: str, target: str, dtype: str) -> None:
    report = SWEEPS[name].report(target, dtype)
    least = 8 if dtype == "bfloat16" else 16
    assert min(report.full.loads, default=16) >= least, report
    assert min(report.full.stores, default=16) >= least, report


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_adamw_leaves_room_for_memory(target: str) -> None:
    """28 bytes are the time of 200 instructions on an H200; registers leave 8 blocks a processor."""
    report = CASES["adamw"].report(target, "float32")
    assert report.full.bytes_per_element == 28
    assert set(report.full.loads) == set(report.full.stores) == {16}
    assert report.full.instructions_per_element <= 30
    assert report.full.special_per_element <= 2
    assert report.registers <= 64


def test_the_audit_sees_scalar_accesses_and_shared_memory() -> None:
    """The gates can fail: without alignment there are no vectors."""
    case = CASES["adamw"]
    assert case.step.triton is not None
    function = getattr(case.step.triton, "compiled", case.step.triton)
    kernel = assemble(function, ("float32", "float32"), "sm_90", block=1024, aligned=False)
    report = audit(kernel)
    assert set(report.full.loads) == {4}
    assert report.full.bytes_per_element == 28


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
    assert errors[f"plan/{name}"] < 3e-5


def test_elementary_functions_are_accurate(errors: dict[str, float]) -> None:
    found = {name: error for name, error in errors.items() if name.startswith("function/")}
    assert len(found) >= 14
    assert max(found.values()) < 2e-6, found


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in optimizers()))
def test_optimizers_agree_with_their_torch_form(name: str, errors: dict[str, float]) -> None:
    """Muon's matrix products are torch's in both, after float32 sums in another order."""
    assert errors[f"optimizer/{name}"] < (1e-3 if name == "Muon" else 1e-4)


