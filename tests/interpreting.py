"""Running small specs through the interpreter: what the tests of its meaning have in common.

run = interpreter(rule("direction = m", "state m: like param"), [(3, 4)])
run.step(random_grads([(3, 4)], 1)[0])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

Grads = list[np.ndarray]


def random_grads(shapes: Sequence[tuple[int, ...]], steps: int) -> list[Grads]:
    chance = np.random.default_rng(0)
    return [[chance.standard_normal(shape) for shape in shapes] for _ in range(steps)]


def interpreter(
    spec: str,
    shapes: Sequence[tuple[int, ...]] = ((3, 4),),
    hypers: dict[str, Any] | None = None,
    dtype: str = "float64",
    names: Sequence[str] = (),
    **options: str,
) -> Interpreter:
    """A spec on random tensors of the given shapes."""
    chance = np.random.default_rng(99)
    labels = names or [f"p{index}" for index in range(len(shapes))]
    tensors = [
        Tensor(name, chance.standard_normal(shape), dtype)
        for name, shape in zip(labels, shapes, strict=True)
    ]
    return Interpreter(load(spec, **options), tensors, [dict(hypers or {})])


def values(run: Interpreter) -> list[np.ndarray]:
    return [tensor.value for tensor in run.tensors]
