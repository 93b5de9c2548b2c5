"""The words of the language that nobody may redefine: facts, constants, levels.

    predeclared("t")       == "a fact"
    predeclared("lambda")  == "a keyword of Python"
    predeclared("beta1")   == ""

Functions are in functions.py, keywords in grammar.lark; what a fact is worth, the runtime and the
interpreter know.
"""

from __future__ import annotations

import keyword

from .functions import FUNCTIONS
from .levels import ELEMENT, GLOBAL, TENSOR, Level

FACTS: dict[str, Level] = {
    "t": GLOBAL,
    "first": GLOBAL,
    "base_lr": GLOBAL,
    "lr_scale": GLOBAL,
    "numel": TENSOR,
    "rows": TENSOR,
    "cols": TENSOR,
    "ndim": TENSOR,
    "name": TENSOR,
    "role": TENSOR,
    "worker": GLOBAL,
    "workers": GLOBAL,
    "width": GLOBAL,
    "depth": GLOBAL,
}
"""Every fact with its level; all are host values."""

ARRAYS: dict[str, Level] = {"param": ELEMENT, "grad": ELEMENT}

CONSTANTS: dict[str, float | bool] = {
    "pi": 3.141592653589793,
    "inf": float("inf"),
    "true": True,
    "false": False,
}

PLAIN_LEVELS = ("global", "group", "tensor", "rows", "cols", "element")
"""Levels written without arguments."""

LEVEL_ARGUMENTS = {"heads": 1, "chunks": 1, "tiles": 2, "axis": 1}
"""Levels with arguments, and how many."""

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")
DTYPE_NAMES = {
    "f64": "float64",
    "f32": "float32",
    "fp32": "float32",
    "f16": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
}
"""Short names a spec may use."""


def predeclared(name: str) -> str:
    """What `name` already is, in words; empty when a spec may declare it."""
    if name in FACTS:
        return "a fact"
    if name in ARRAYS or name in ("direction", "step"):
        return "a name every rule has"
    if name in CONSTANTS:
        return "a constant"
    if name in FUNCTIONS:
        return "a function"
    if name in PLAIN_LEVELS or name in LEVEL_ARGUMENTS:
        return "a level"
    if keyword.iskeyword(name):
        return "a keyword of Python"
    return ""
