"""Counter-based random bits: a hash of (seed, step, tensor, element), the same on every target.

Nothing is stored and nothing is drawn in order, so neither resuming, nor tiling, nor the number of
threads changes a bit.
"""

from __future__ import annotations

from typing import Any

_MASK = 0xFFFFFFFF


def mix(x: Any) -> Any:
    """Murmur3's finalizer: every bit of the result depends on every bit of x. Of a whole number, or
    of an array of 64-bit ones."""
    x = ((x ^ x >> 16) * 0x85EBCA6B) & _MASK
    x = ((x ^ x >> 13) * 0xC2B2AE35) & _MASK
    return x ^ x >> 16


def hash32(*numbers: Any) -> Any:
    """32 bits that depend on every number (or array of numbers) and on their order."""
    h: Any = 0
    for number in numbers:
        h = mix((((h ^ number) & _MASK) * 0x9E3779B1 + 0x7F4A7C15) & _MASK)
    return h
