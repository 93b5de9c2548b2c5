"""Triton kernels down to machine code, and what it says about their speed. No GPU is needed.

subjects("Lion")[0].examine("sm_90", "float32").figures["bytes"]   ->   20.0
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from ..compiler.assembly import assemble, warp
from ..compiler.audit import Report, audit
from ..compiler.budget import excess
from ..compiler.door import class_from_text
from ..compiler.emit.module import kernels_of
from ..compiler.emit.triton_frame import KernelText
from ..compiler.fingerprint import fingerprint
from ..compiler.pipeline import build
from ..compiler.plan import Finish, MatrixStep, Plan, Sweep
from ..dsl.load import load
from ..runtime.tile_size import block_of, warps_of

MACHINE = ("ttir", "ttgir", "llir", "ptx", "sass", "amdgcn")
TARGETS = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120", "gfx90a", "gfx942", "gfx950")


@dataclass(frozen=True, slots=True)
class Examined:
    """A kernel compiled for one target and dtype: every stage's text, the report, and what it has
    too much of."""

    name: str
    target: str
    stages: dict[str, str]
    report: Report
    excess: dict[str, str]

    @property
    def figures(self) -> dict[str, Any]:
        return self.report.figures

    @property
    def record(self) -> dict[str, Any]:
        """The report as one row of a table."""
        found = self.figures
        return {
            "kernel": self.name,
            "bytes/element": found["bytes"],
            "loads": widths(found["loads"]),
            "stores": widths(found["stores"]),
            "instructions/element": found["instructions"],
            "special/element": found["special"],
            "units": " ".join(found["units"]) or "-",
            "registers": found["registers"],
            "spills": found["spills"],
            "shared": found["shared"],
            "barriers": found["barriers"],
            "in flight": f"{found['flight'] / 1000:.0f} KB",
            "over budget": "; ".join(self.excess.values()) or "-",
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """One kernel of an optimizer: its step of a plan, its text, and the step that launches it."""

    name: str
    plan: Plan
    step: Sweep | Finish
    text: KernelText
    launched: Any

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.text)

    @property
    def variants(self) -> int:
        """How often it is compiled for one pair of dtypes: for aligned streams and others, and
        for what else Triton tells apart in arguments (multiples of 16; 1 and the like)."""
        parameters: Any = self.launched.triton.compiled.params
        free = [p.name for p in parameters if not (p.is_constexpr or p.do_not_specialize)]
        others = prod(3 if name == "count" else 2 for name in free)
        return others * (2 if "ALIGNED" in self.text.constants else 1)

    def block(self, target: str) -> int:
        """Elements to a tile on such a device."""
        return block_of(self.launched, warp(target))

    @property
    def warps(self) -> int:
        return warps_of(self.launched)

    def each(self, target: str) -> float:
        """Values of a stream that a thread takes at once."""
        return self.block(target) / (self.warps * warp(target))

    def excess(self, figures: dict[str, Any], target: str, dtype: str) -> dict[str, str]:
        """What a kernel with such figures has too much of."""
        return excess(figures, self.plan, self.step, dtype, target, self.each(target))

    def examine(self, target: str, dtype: str) -> Examined:
        """Compile it for parameters and gradients of one dtype."""
        made = assemble(
            self.launched.triton.compiled, (dtype, dtype), target,
            block=self.block(target), warps=self.warps,
        )  # fmt: skip
        report = audit(made)
        found = self.excess(report.figures, target, dtype)
        return Examined(self.name, target, made.stages, report, found)


def subjects(what: str, **options: Any) -> list[Subject]:
    """Every Triton kernel of a spec, once. `options` are those of `load`."""
    made = build(load(what, **options))
    optimizer: Any = class_from_text(made.model.name, made.module)
    launched: dict[str, Any] = {s.name: s for path in optimizer.paths for s in path.steps}
    kernels, emitted = kernels_of(made.model, made.plans)
    found: list[Subject] = []
    for kernel in kernels.all:
        text = emitted[kernel.name].triton
        if text is not None and not isinstance(kernel.step, MatrixStep):
            step = launched[kernel.name]
            found.append(Subject(kernel.name, kernel.plan, kernel.step, text, step))
    return found


def widths(counts: dict[str, int]) -> str:
    """`8 x 16 B`: accesses of a thread and tile to global memory, by width, the widest first."""
    found = sorted(counts.items(), key=lambda item: -int(item[0]))
    return ", ".join(f"{number} x {width} B" for width, number in found) or "-"
