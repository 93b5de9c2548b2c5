"""One step of a plan in every target: a C function, a Triton kernel, a torch function."""

from __future__ import annotations

from dataclasses import dataclass

from ..plan import Finish, MatrixStep, Plan, PlanStep
from .c import CFunction, c_function
from .torch import TorchFunction, torch_function
from .triton import KernelText, kernel_of


@dataclass(frozen=True, slots=True)
class Emitted:
    """One kernel of the module in all targets; `c` and `triton` are None for a matrix step."""

    step: PlanStep
    c: CFunction | None
    triton: KernelText | None
    torch: TorchFunction

    @property
    def texts(self) -> tuple[str, str, str]:
        """What makes two steps the same kernel."""
        c, triton = self.c, self.triton
        return (c.text if c else "", triton.text if triton else "", self.torch.text)


def emitted(plan: Plan, step: PlanStep, values: int, partials: int) -> Emitted:
    """A step in every target; `values` and `partials` are the module's table widths."""
    torch = torch_function(plan, step, f"{step.name}_torch")
    if isinstance(step, MatrixStep):
        return Emitted(step, None, None, torch)
    return Emitted(
        step,
        c_function(plan, step, step.name),
        kernel_of(plan, step, step.name, _title(step), values=values, partials=partials),
        torch,
    )


def _title(step: PlanStep) -> str:
    """One line for a kernel's docstring."""
    if isinstance(step, Finish):
        made = [slot.name for slot, _ in step.completes] + [slot.name for slot, *_ in step.gathers]
        made += [slot.name for slot, _ in step.values] + [s.stream.name for s in step.stores]
        return f"Per {step.level.kind}: {', '.join(dict.fromkeys(made))}."
    reads = ", ".join(s.name for s in step.loads) or "nothing"
    writes = ", ".join(s.stream.name for s in step.stores) or "nothing"
    return f"One pass: reads {reads}; writes {writes}."
