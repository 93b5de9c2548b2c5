"""Gradients to try an optimizer with: ordinary ones, and those that hurt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Shape = tuple[int, ...]


def normal(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal(shape)


def zero(rng: np.random.Generator, shape: Shape) -> Array:
    return np.zeros(shape)


def tiny(rng: np.random.Generator, shape: Shape) -> Array:
    return 1e-9 * rng.standard_normal(shape)


def huge(rng: np.random.Generator, shape: Shape) -> Array:
    return 1e6 * rng.standard_normal(shape)


def mostly_zero(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal(shape) * (rng.random(shape) < 0.1)


def of_all_sizes(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 2, shape)


def positive(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.random(shape) + 0.1


def one_outlier(rng: np.random.Generator, shape: Shape) -> Array:
    values = rng.standard_normal(shape)
    values.reshape(-1)[:1] *= 1e5
    return values


GRADIENTS: dict[str, Callable[[np.random.Generator, Shape], Array]] = {
    "normal": normal,
    "zero": zero,
    "tiny": tiny,
    "huge": huge,
    "mostly zero": mostly_zero,
    "of all sizes": of_all_sizes,
    "positive": positive,
    "one outlier": one_outlier,
}
