"""One trial of a compiled optimizer: random tensors, a few steps, every target against the equations.

The interpreter runs the same steps in float64. A difference is measured in roundings: one is the
spacing of the parameter's dtype at the size of the result, or what the exact result itself moves
when its inputs move by one spacing, where that is more. Where a rule decides (`sign`, `where`, a
codec's bins), a few values may fall on the other side; they are counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..dsl.interpret import Interpreter
from ..dsl.interpret import Tensor as Exact
from ..dsl.model import Hyper, Model
from ..runtime import use_target

Array = np.ndarray[Any, np.dtype[np.float64]]

SHAPES = ((), (1,), (7,), (33, 5), (3, 130), (130, 3), (4, 3, 3, 2), (257,), (64, 64), (1100,))
MATRICES = ((5, 3), (3, 5), (16, 24), (24, 16), (33, 33))
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
STEPS = 4
LIMIT = 64.0  # roundings
BORDER = 0.005  # the share of values that may fall on the other side of a decision

GRADIENTS = {
    "normal": lambda r, s: r.standard_normal(s),
    "zero": lambda r, s: np.zeros(s),
    "tiny": lambda r, s: 1e-9 * r.standard_normal(s),
    "huge": lambda r, s: 1e6 * r.standard_normal(s),
    "mostly zero": lambda r, s: r.standard_normal(s) * (r.random(s) < 0.1),
    "of all sizes": lambda r, s: r.standard_normal(s) * 10.0 ** r.uniform(-6, 2, s),
    "positive": lambda r, s: r.random(s) + 0.1,
    "one outlier": lambda r, s: outlier(r.standard_normal(s)),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried: enough to say it again."""

    seed: int
    dtype: str
    gradients: str
    shapes: tuple[tuple[int, ...], ...]
    hypers: dict[str, Any]

    def __str__(self) -> str:
        shapes = " ".join("x".join(map(str, shape)) or "0-d" for shape in self.shapes)
        hypers = ", ".join(f"{name}={value}" for name, value in self.hypers.items())
        return f"seed {self.seed}: {self.dtype} {shapes}, {self.gradients} gradients, {hypers or 'defaults'}"


@dataclass(slots=True)
class Worst:
    """The largest difference seen so far, in roundings, and where; `border`: values that fell on
    the other side of a decision, of `values` compared."""

    roundings: float = 0.0
    where: str = "-"
    border: int = 0
    values: int = 0

    def add(self, other: Worst) -> None:
        if other.roundings > self.roundings:
            self.roundings, self.where = other.roundings, other.where
        self.border += other.border
        self.values += other.values


@dataclass(slots=True)
class Run:
    """The exact run: parameters and states after each step, and how far a rounding moves them."""

    values: list[list[dict[str, Array]]] = field(default_factory=list[list[dict[str, Array]]])


def draw(seed: int, model: Model) -> Trial:
    """A trial at random, nasty one time in two."""
    rng = np.random.default_rng(seed)
    shapes = MATRICES if model.requires else SHAPES
    chosen = rng.choice(len(shapes), size=rng.integers(1, 4))
    return Trial(
        seed,
        str(rng.choice(list(DTYPES), p=(0.7, 0.2, 0.1))),
        "normal" if rng.random() < 0.5 else str(rng.choice(list(GRADIENTS))),
        tuple(shapes[k] for k in chosen),
        {h.name: value for h in model.hypers if (value := other_value(h, rng)) is not None},
    )


def outlier(values: Array) -> Array:
    """One value a million times larger than the others."""
    values = values.copy()
    values.reshape(-1)[:1] *= 1e6
    return values
