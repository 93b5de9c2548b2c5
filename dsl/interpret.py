"""The naive interpreter: it defines what a spec means.

    tensors = [Tensor("weight", np.ones((3, 4))), Tensor("bias", np.zeros(3))]
    run = Interpreter(load("AdamW"), tensors, [{"lr": 1e-2}])
    run.step([grad_of_weight, None])          # None: no gradient, the tensor is left untouched
    tensors[0].value, run.states[0]["m"]

Everything is float64, in the order of the text, for all tensors in lockstep: a statement runs for
every tensor that reaches it before the next one runs, so a reduction `per global` sees them all.
Values are rounded to their storage once, at the end of the step. It is meant to be read: nothing is
fused, cached or reused, and it shares no code with the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .cells import ELEMENT, GLOBAL, Array, Cells, Shape, Value, carry
from .diagnostics import Diagnostic, SpecError
from .evaluate import reduce
from .groups import check_group, hypers_of
from .model import (
    Apply,
    Assign,
    Branch,
    Expr,
    Guard,
    Model,
    Read,
    Repeat,
    Reset,
    Skip,
    State,
    Stmt,
    When,
    walk,
)
from .storage import kahan, read_back, round_to, stochastic
from .visit import Keep, Visit, Waiting

KAHAN, MASTER = "param.kahan", "param.master"


@dataclass(slots=True)
class Tensor:
    """A parameter. `value` holds values that `dtype` has; `group` is the place of its group;
    without a `role` it has the one that the spec's rules find."""

    name: str
    value: Array
    dtype: str = "float32"
    group: int = 0
    role: str | None = None


@dataclass(slots=True)
class _Place:
    """A tensor between steps: its steps taken, and whether it was called at all."""

    index: int
    tensor: Tensor
    own: Keep
    t: int = 0
    called: bool = False
