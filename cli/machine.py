"""The stages below a Triton kernel, and what its machine code says. No GPU is needed.

kernels("Lion", "float32", "sm_90")[0].record["bytes/element"]   ->   20.0
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..compiler.assembly import assemble
from ..compiler.audit import Report, audit
from ..compiler.door import module_from_text
from ..compiler.pipeline import build
from ..dsl.load import load
from ..runtime.triton import block_of, warps_of

MACHINE = ("ttir", "ttgir", "llir", "ptx", "sass", "amdgcn")
TARGETS = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120", "gfx90a", "gfx942", "gfx950")


@dataclass(frozen=True, slots=True)
class Kernel:
    name: str
    target: str
    stages: dict[str, str]
    report: Report

    @property
    def record(self) -> dict[str, Any]:
        """The report as one row of a table."""
        r = self.report
        return {
            "kernel": self.name,
            "registers": r.registers,
            "spills": r.spills,
            "shared": r.shared,
            "barriers": r.barriers,
            "loads": widths(r.full.loads),
            "stores": widths(r.full.stores),
            "instructions/element": round(r.full.instructions_per_element, 1),
            "bytes/element": round(r.full.bytes_per_element, 3),
        }


def kernels(what: str, dtype: str, target: str) -> list[Kernel]:
    """Every Triton kernel of `what`, compiled for `target`."""
    made = build(load(what))
    optimizer = getattr(module_from_text(made.model.name, made.module), made.model.name)
    steps: dict[str, Any] = {}
    for path in optimizer.paths:
        for step in path.steps:
            if getattr(step, "triton", None) is not None:
                steps.setdefault(step.triton.function.__name__, step)
    found: list[Kernel] = []
    for name, step in steps.items():
        block, warps = block_of(step), warps_of(step)
        assembly = assemble(step.triton.compiled, (dtype, dtype), target, block=block, warps=warps)
        found.append(Kernel(name, target, assembly.stages, audit(assembly)))
    return found


def widths(counts: Counter[int]) -> str:
    """`8 x 16 B`, the accesses to global memory in the loop over full tiles, by width."""
    found = sorted(counts.items(), reverse=True)
    return ", ".join(f"{number} x {width} B" for width, number in found) or "-"
