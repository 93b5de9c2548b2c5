"""Matrix factorisations, and places in a vector or matrix: what the interpreter runs and the
compiler does not yet.

    e, Q = eigh(L)     ascending, the largest component of each vector positive
    q, r = qr(x)       with a positive diagonal
    a, s, b = svd(x)   x = a @ diag(s) @ b.T, the largest component of each vector of a positive
    x[:, order]        the columns in another order;  x[:, :r]  the first r of them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .cells import Array

Place = slice | Array


def eigh(x: Array) -> tuple[Array, Array]:
    values, vectors = np.linalg.eigh(x)
    return values, vectors * _signs(vectors)


def qr(x: Array) -> tuple[Array, Array]:
    q, r = np.linalg.qr(x)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return q * signs, r * signs[:, None]


def svd(x: Array) -> tuple[Array, Array, Array]:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    signs = _signs(left)
    return left * signs, values, right.T * signs


def inverse_root(x: Array, p: Array, eps: Array | float = 0.0) -> Array:
    """(x + eps)^(-1/p) of a symmetric matrix."""
    values, vectors = np.linalg.eigh(x)
    return vectors * (values + eps) ** (-1 / p) @ vectors.T


def descending(x: Array) -> Array:
    """The places of the values from the greatest to the least; the first of equals first."""
    return np.argsort(-x, kind="stable").astype(np.float64)


SEVERAL: dict[str, Callable[..., tuple[Array, ...]]] = {"eigh": eigh, "qr": qr, "svd": svd}
ONE: dict[str, Callable[..., Array]] = {
    "inverse": np.linalg.inv,
    "inverse_root": inverse_root,
    "solve": np.linalg.solve,
    "descending": descending,
}


def _signs(vectors: Array) -> Array:
    """What makes the largest component of each column positive."""
    largest = np.abs(vectors).argmax(axis=0)
    return np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def take(array: Array, places: Sequence[Place]) -> Array:
    """What stands at the places, one of them for each axis."""
    for axis in reversed(range(len(places))):
        array = array[(slice(None),) * axis + (places[axis],)]
    return array


def put(array: Array, places: Sequence[Place], value: Array) -> Array:
    """The array with other values at the places."""
    numbers = take(np.arange(array.size).reshape(array.shape), places)
    changed = array.reshape(-1).copy()
    changed[numbers.reshape(-1)] = np.broadcast_to(value, numbers.shape).reshape(-1)
    return changed.reshape(array.shape)
