"""The dtypes that parameters, gradients and states may have, and their names in each target."""

from __future__ import annotations

import torch

FLOATS = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.bfloat16: "bf16",
    torch.float16: "f16",
}
_NAMED = {
    "float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16,
    "float16": torch.float16, "uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16,
    "int32": torch.int32,
}  # fmt: skip


def real(param: torch.dtype) -> torch.dtype:
    """The arithmetic's dtype beside a parameter's."""
    return torch.float64 if param is torch.float64 else torch.float32


def stored(name: str, param: torch.dtype, grad: torch.dtype | None = None) -> torch.dtype:
    """The dtype of a stream: `param`, `grad`, `real`, or a plain name."""
    match name:
        case "param":
            return param
        case "grad":
            return grad or param
        case "real":
            return real(param)
        case _:
            return _NAMED[name]
