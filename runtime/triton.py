"""The GPU target: one launch per step of a path, for all tensors of a bucket.

How large tiles and tasks are is decided in `tile_size.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .dtypes import real
from .kernel import Kernel
from .path import Finish, Sweep
from .tile_size import block_of, interpreted, warps_of

_NAMES = {
    torch.float64: "float64", torch.float32: "float32", torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}  # fmt: skip


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
