"""Where numbers stand in the memory of Python's and torch's objects, found by trial."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def inside(tensor: Any) -> int:
    """Where a tensor's implementation lies."""
    return tensor._cdata


def storage_of(tensor: Any) -> int:
    """Where its storage lies."""
    return tensor.untyped_storage()._cdata


def words(address: int, count: int) -> list[int]:
    """The numbers that stand at an address."""
    return list((ctypes.c_int64 * count).from_address(address))


def place_of(begin: Callable[[Tensor], int], wanted: Callable[[Tensor], list[int]]) -> int:
    """How many bytes behind an address these numbers stand, for each of several tensors."""
    numbers = torch.arange(5000.0)
    tensors: list[Tensor] = [
        numbers.as_strided((2, 3, 4, 5, 6), (7, 900, 2, 11, 300), 13),
        torch.nn.Parameter(torch.ones(6, 5, 4, 3, 2)),
        torch.ones(3, 1, 4, 1, 5).bool(),
    ]
    return next(
        place
        for place in range(0, 128, 8)
        if all(
            words(begin(tensor) + place, len(wanted(tensor))) == wanted(tensor)
            for tensor in tensors
        )
    )
