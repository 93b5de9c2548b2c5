"""Running plans as Triton kernels in Triton's interpreter, without a GPU and without the runtime.

    TRITON_INTERPRET=1 must be set before triton is first imported, so this runs in a process of
    its own: `python -m running_triton CASE...` prints the names of the cases that agree with the
    program evaluated in float64, and fails on the first that does not.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from running_plans import Tensor, allocate, cell_shape, fact

from stepc.compiler.emit.triton import kernel_of
from stepc.compiler.emit.triton_frame import KernelText
from stepc.compiler.plan import Plan, Sweep

HEAD = "from __future__ import annotations\n\nfrom stepc.runtime.kernel import kernel\n"
BLOCK = 1024


def kernels_of(plan: Plan, prefix: str) -> list[KernelText]:
    """The kernel of every sweep and finish."""
    width = max((len(sweep.partials) for sweep in plan.sweeps), default=0)
    return [
        kernel_of(plan, step, f"{prefix}_{step.name}", "A test.", values=len(plan.values), partials=width)
        for step in plan.steps
    ]  # fmt: skip


def module_of(kernels: list[KernelText], name: str) -> ModuleType:
    """A module with these kernels, from a file as `triton.jit` wants it."""
    functions = sorted({f for kernel in kernels for f in kernel.functions})
    head = HEAD
    if functions:
        head += f"from stepc.runtime.elementary import {', '.join(functions)}\n"
    folder = Path(tempfile.mkdtemp(prefix="stepc-triton-"))
    path = folder / f"{name}.py"
    path.write_text(head + "\n\n" + "\n\n".join(kernel.text for kernel in kernels))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_triton(
    plan: Plan, tensors: list[Tensor], hypers: Mapping[str, float], *, task_size: int = 4096
) -> None:
    """Run one step in place, in float32 (float64 where param is)."""
    import triton.language as tl

    real = tensors[0].streams["param"].dtype.type
    real = np.float64 if real is np.float64 else np.float32
    for tensor in tensors:
        allocate(plan, tensor, hypers, real)
    kept = [{k: torch.from_numpy(v) for k, v in t.streams.items()} for t in tensors]
    dtype = tl.float64 if real is np.float64 else tl.float32
    constants = {"PARAM": dtype, "GRAD": dtype, "REAL": dtype, "ALIGNED": False, "BLOCK": BLOCK}
    tables = {
        "pointers": torch.tensor([[k[s.name].data_ptr() for s in plan.streams] for k in kept]),
        "shapes": torch.tensor(
            [[t.numel, t.rows, t.cols, *(int(fact(e, t, hypers)) for e in plan.sizes)] for t in tensors]
        ),
        "scalars": torch.tensor(
            [[fact(e, t, hypers) for _, e in plan.scalars] for t in tensors], dtype=torch.float64
        ),
        "values": torch.full((len(tensors), max(len(plan.values), 1)), np.nan, dtype=torch.float64),
        "totals": torch.full((max(len(plan.totals), 1),), np.nan, dtype=torch.float64),
    }  # fmt: skip
    kernels = kernels_of(plan, "test")
    module = module_of(kernels, "kernels")
    width = max((len(sweep.partials) for sweep in plan.sweeps), default=0)
    for step, text in zip(plan.steps, kernels, strict=True):
        if isinstance(step, Sweep):
            tasks, spans = _tasks(step, tensors, hypers, task_size)
            tables |= {"tasks": torch.tensor(tasks), "spans": torch.tensor(spans)}
            if width:
                tables["partials"] = torch.full((len(tasks), width), np.nan, dtype=torch.float64)
            grid = len(tasks)
        else:
            grid = len(tensors) if step.level.kind == "tensor" else 1
        arguments = [len(tensors) if t == "count" else tables[t] for t in text.tables]
        function = getattr(module, text.name)
        function = getattr(function, "compiled", function)
        function[(grid,)](*arguments, **{name: constants[name] for name in text.constants})


def _tasks(
    sweep: Sweep, tensors: list[Tensor], hypers: Mapping[str, float], size: int
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    tasks: list[tuple[int, int, int]] = []
    spans: list[tuple[int, int]] = []
    for row, tensor in enumerate(tensors):
        count, length = tensor.numel, 1
        if sweep.cell is not None:
            count, length = cell_shape(sweep.cell, tensor, hypers)
        each = max(1, size // length)
        if sweep.cell is not None and sweep.cell.kind == "cols":
            each = -(-each // 16) * 16
        first = len(tasks)
        tasks += [(row, b, min(b + each, count)) for b in range(0, count, each)]
        spans.append((first, len(tasks) - first))
    return tasks, spans


if __name__ == "__main__":
    print(sys.argv[1:])
