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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

from running_triton import optimizers, plans

from stepc.compiler.assembly import assemble
from stepc.compiler.audit import Report, audit
from stepc.compiler.door import module_from_text
from stepc.compiler.pipeline import build
from stepc.dsl.load import load
from stepc.runtime import CompiledOptimizer, Finish, Stream, Sweep
from stepc.runtime import Path as StepPath
from stepc.runtime.triton import block_of, warps_of

HERE = Path(__file__).parent
WIDTH = {"uint8": 1, "bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
TARGETS = (
    ("sm_80", "float32"), ("sm_90", "float32"), ("sm_90", "bfloat16"), ("gfx942", "float32"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One kernel, with the path it serves."""

    path: StepPath
    step: Sweep | Finish

    def block(self, target: str) -> int:
        """The tile's length that the runtime chooses on such a device."""
        fixed = isinstance(self.step, Sweep) and self.step.triton_block
        return 1024 if target.startswith("gfx") and not fixed else block_of(self.step)

    def threads(self, target: str) -> int:
        return warps_of(self.step) * (64 if target.startswith("gfx") else 32)

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

    def compiled(self, target: str, dtype: str, aligned: bool = True) -> Report:
        assert self.step.triton is not None
        function = getattr(self.step.triton, "compiled", self.step.triton)
        block, warps = self.block(target), warps_of(self.step)
        return audit(
            assemble(function, (dtype, dtype), target, block=block, warps=warps, aligned=aligned)
        )


def cases(kinds: Iterable[type[CompiledOptimizer]]) -> Iterator[tuple[str, Case]]:
    """Each kernel once."""
    seen: set[str] = set()
    for kind in kinds:
        for path in kind.paths:
            for step in path.steps:
                if isinstance(step, Sweep | Finish) and step.name not in seen:
                    seen.add(step.name)
                    yield step.name, Case(path, step)


CASES = dict(cases(optimizers()))
SWEEPS = {name: case for name, case in CASES.items() if isinstance(case.step, Sweep)}


@cache
def report(name: str, target: str, dtype: str) -> Report:
    """What a kernel's listing says."""
    return CASES[name].compiled(target, dtype)


LONE = {name: case for name, case in SWEEPS.items() if case.lone_tile}


def test_there_are_kernels() -> None:
    assert len(CASES) >= 20
    assert {"adamw", "lamb_1", "lamb_2", "lamb_finish"} <= set(CASES)


# ---------------------------------------------------------------- machine code


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_kernels_spill_nothing(name: str, target: str, dtype: str) -> None:
    found = report(name, target, dtype)
    assert (found.spills, found.stack) == (0, 0), found


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", LONE)
def test_full_tiles_move_the_plans_bytes_in_vectors(name: str, target: str, dtype: str) -> None:
    case, found = LONE[name], report(name, target, dtype)
    each = case.block(target) / case.threads(target)
    element = [stream for stream in case.moved() if stream.level == "element"]
    lanes = min(each, 16 / max(case.width(stream, dtype) for stream in element))
    expected, vectors = 0.0, set[float]()
    for stream in case.moved():
        width = case.width(stream, dtype)
        if stream.level == "element":
            expected += width
            vectors |= {lanes * width, 2 * lanes * width}
        elif case.step.cell == stream.level:  # one number for the cell, read by every thread
            expected += width / each
            vectors.add(width)
    assert found.full.bytes_per_element == pytest.approx(expected), found
    assert set(found.full.loads) | set(found.full.stores) <= vectors, found


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", [name for name, case in LONE.items() if not case.step.partials])
def test_elementwise_kernels_stay_in_registers(name: str, target: str, dtype: str) -> None:
    found = report(name, target, dtype)
    assert (found.shared, found.barriers) == (0, 0), found


@pytest.mark.parametrize(("target", "dtype"), TARGETS)
@pytest.mark.parametrize("name", [name for name, case in SWEEPS.items() if not case.lone_tile])
def test_long_cells_are_read_in_vectors(name: str, target: str, dtype: str) -> None:
    found = report(name, target, dtype)
    least = 8 if dtype == "bfloat16" else 16
    assert min(found.full.loads, default=16) >= least, found
    assert min(found.full.stores, default=16) >= least, found


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_adamw_leaves_room_for_memory(target: str) -> None:
    """28 bytes take an H200 as long as 200 instructions; 64 registers leave room for 8 blocks."""
    found = report("adamw", target, "float32")
    assert found.full.bytes_per_element == 28
    assert set(found.full.loads) == set(found.full.stores) == {16}
    assert found.full.instructions_per_element <= 30
    assert found.full.special_per_element <= 2
    assert found.registers <= 64


COMPOSED = (
    ("AdamW", {"rounding": "stochastic"}), ("AdamW", {"rounding": "kahan"}),
    ("AdamW + Cautious + Lookahead(k = 5)", {}), ("LAMB + GlobalNormClip", {}),
    ("LAMB", {"quantize": "dynamic8"}), ("AdamW8bit", {"rounding": "stochastic"}),
)  # fmt: skip


@pytest.mark.parametrize(("what", "options"), COMPOSED, ids=lambda part: str(part))
def test_compositions_compile_as_well(what: str, options: dict[str, str]) -> None:
    made = build(load(what, **options))
    kind = getattr(module_from_text(made.model.name, made.module), made.model.name)
    for _, case in cases([kind]):
        found = case.compiled("sm_90", "bfloat16")
        assert (found.spills, found.stack) == (0, 0), found
        if case.lone_tile and not case.step.partials:
            assert (found.shared, found.barriers) == (0, 0), found


def test_the_audit_sees_scalar_accesses() -> None:
    """The gates can fail: without alignment there are no vectors."""
    found = CASES["adamw"].compiled("sm_90", "float32", aligned=False)
    assert set(found.full.loads) == set(found.full.stores) == {4}
    assert found.full.bytes_per_element == 28


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


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in optimizers()))
def test_optimizers_agree_with_their_torch_form(name: str, errors: dict[str, float]) -> None:
    """Muon's matrix products are torch's in both, after float32 sums in another order."""
    assert errors[f"optimizer/{name}"] < (1e-3 if name == "Muon" else 1e-4)
