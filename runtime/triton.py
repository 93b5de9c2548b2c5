"""The GPU target: one launch per step of a path, for all tensors of a bucket.

How large things are is decided here, and only here:

- BLOCK = 1024 with 4 warps: 8 elements per thread, so that bfloat16 streams move 16 bytes per
  thread and float32 ones twice that; more would cost registers, less would cost full-width loads.
- Half of that where a sweep carries partial sums: they live in registers from tile to tile. (AMD's
  processors have twice the threads in a warp, and more registers.)
- A task is 8 tiles: enough to hide reading the tables (three dependent loads), few enough that
  even a model of 10 million parameters keeps every multiprocessor busy.
- A cell that is one tile takes one warp for 256 elements, so its reductions need no shared memory.
- The interpreter (TRITON_INTERPRET=1) pays per operation, not per element: large tiles.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .dtypes import real
from .kernel import Kernel
from .path import Finish, Sweep

_BLOCK = 1024
_SUMMING_BLOCK = 512
_TILES = 8
_INTERPRETED_BLOCK = 16384
_NAMES = {
    torch.float64: "float64", torch.float32: "float32", torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}  # fmt: skip


def interpreted() -> bool:
    """Whether Triton kernels run in its interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")


def block_of(step: Sweep | Finish) -> int:
    """The tile's length."""
    if isinstance(step, Sweep) and step.triton_block:
        return step.triton_block
    if interpreted():
        return _INTERPRETED_BLOCK
    sums = isinstance(step, Sweep) and bool(step.partials) and torch.version.hip is None
    return _SUMMING_BLOCK if sums else _BLOCK


def warps_of(step: Sweep | Finish) -> int:
    """Warps per program: four, but one for every 256 elements where a tile is a cell."""
    if isinstance(step, Sweep) and step.triton_block:
        return max(1, step.triton_block // 256)
    return 4


def task_size(sweep: Sweep) -> int:
    """Elements per task; a multiple of the tile's length."""
    return _TILES * (_BLOCK if sweep.triton_block else block_of(sweep))


def launch(
    step: Sweep | Finish,
    grid: int,
    tables: Mapping[str, Tensor | int],
    dtypes: tuple[torch.dtype, torch.dtype],
    aligned: bool,
) -> None:
    """Run a kernel as `grid` programs."""
    import triton.language as tl

    function: Kernel = step.triton
    param, grad = dtypes
    block = block_of(step)
    constants: dict[str, Any] = {
        "PARAM": getattr(tl, _NAMES[param]),
        "GRAD": getattr(tl, _NAMES[grad]),
        "REAL": getattr(tl, _NAMES[real(param)]),
        "ALIGNED": aligned,
        "BLOCK": block,
    }
    code = function.function.__code__
    names = code.co_varnames[: code.co_argcount]
    given = {name: constants[name] for name in names if name in constants}
    if not interpreted():
        given["num_warps"] = warps_of(step)
    args = [tables[name] for name in step.triton_tables]
    with _on(next(table.device for table in args if isinstance(table, Tensor))):
        function.compiled[(grid,)](*args, **given)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the current device; switching costs time, so only where needed."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(device)
