"""Every kernel of a module once: steps of different paths that read the same share one kernel.

AdamW       -> adamw
LAMB        -> lamb_1, lamb_finish, lamb_2
Lookahead   -> two paths, two sweeps each with a number
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..plan import Finish, MatrixStep, Plan, PlanStep, Sweep
from ..rounding import NARROW

_PLACEHOLDER = "kernel_name"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One named step of a module; `plan` is the first path that runs it. `narrow`: whether all
    that do are for 16-bit parameters only, or for wider ones only."""

    name: str
    plan: Plan
    step: PlanStep
    narrow: bool | None = None


@dataclass(slots=True)
class Kernels:
    """The distinct kernels of a module, by what their text says."""

    optimizer: str
    emit: Callable[[Plan, PlanStep], str]
    by_text: dict[str, Kernel] = field(default_factory=dict[str, Kernel])
    _of_step: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])

    def collect(self, plans: tuple[Plan, ...]) -> None:
        """Find the distinct kernels and name them."""
        for place, plan in enumerate(plans):
            for number, step in enumerate(plan.steps):
                text = self.emit(plan, replace(step, name=_PLACEHOLDER))
                self._of_step[place, number] = text
                narrow = dict(plan.program.decisions).get(NARROW)
                known = self.by_text.setdefault(text, Kernel("", plan, step, narrow))
                if known.narrow != narrow:
                    self.by_text[text] = replace(known, narrow=None)
        stem = snake(self.optimizer)
        for kind, word in ((Sweep, ""), (Finish, "_finish"), (MatrixStep, "_matrix")):
            texts = [t for t, kernel in self.by_text.items() if type(kernel.step) is kind]
            for number, text in enumerate(texts, 1):
                kernel = self.by_text[text]
                name = f"{stem}{word}" + (f"_{number}" if len(texts) > 1 else "")
                step = replace(kernel.step, name=name)
                self.by_text[text] = replace(kernel, name=name, step=step)

    def of(self, place: int, number: int) -> Kernel:
        """The kernel that runs step `number` of the plan at `place`."""
        return self.by_text[self._of_step[place, number]]

    @property
    def all(self) -> list[Kernel]:
        return list(self.by_text.values())


def snake(name: str) -> str:
    """`AdamW8bit` -> `adamw8bit`, `MuonMatrix` -> `muon_matrix`: words, not every capital."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()
