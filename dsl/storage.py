"""How values are stored, naively: dtypes, and the roundings of the parameter.

    round_to(1.2345, "bfloat16")        1.234375

Codecs are in codes.py.
"""

from __future__ import annotations

import numpy as np

from .cells import Array

# ---------------------------------------------------------------- dtypes

# name: (bits of the mantissa, lowest exponent of a normal number, the largest number)
_FLOATS = {
    "float16": (10, -14, 65504.0),
    "bfloat16": (7, -126, (2 - 2.0**-7) * 2.0**127),
    "float32": (23, -126, (2 - 2.0**-23) * 2.0**127),
    "e4m3": (3, -6, 448.0),
    "e5m2": (2, -14, 57344.0),
}


def round_to(values: Array, dtype: str) -> Array:
    """The nearest values that a dtype has, halves to even; integers hold at their ends."""
    values = np.asarray(values, dtype=np.float64)
    if dtype == "float64":
        return values
    if dtype.startswith("int"):
        ends = np.iinfo(dtype)
        return np.clip(np.rint(values), ends.min, ends.max)
    mantissa, lowest, largest = _FLOATS[dtype]
    _, exponent = np.frexp(values)  # values = f * 2^exponent, 0.5 <= |f| < 1
    step = np.ldexp(1.0, np.maximum(exponent - 1, lowest) - mantissa)
    with np.errstate(all="ignore"):
        rounded = np.where(np.isfinite(values), np.rint(values / step) * step, values)
    return np.where(np.abs(rounded) > largest, np.copysign(np.inf, rounded), rounded)


# ---------------------------------------------------------------- the parameter


def stochastic(values: Array, dtype: str, seed: int, t: int, tensor: int) -> Array:
    """Rounded up or down, with the probability that keeps the mean; defined for bfloat16, whose 16
    missing bits are filled by adding 16 random ones. Other dtypes round to nearest."""
    if dtype != "bfloat16":
        return round_to(values, dtype)
    single = np.asarray(values).astype(np.float32)
    chance = random_bits(seed, t, tensor, single.size).reshape(single.shape) & 0xFFFF
    bits = (single.view(np.uint32).astype(np.uint64) + chance) & 0xFFFF0000
    rounded = bits.astype(np.uint32).view(np.float32).reshape(single.shape)
    return np.where(np.isfinite(single), rounded, single).astype(np.float64)


def kahan(old: Array, new: Array, lost: Array, dtype: str) -> tuple[Array, Array]:
    """The rounded parameter, and what the rounding lost of the change."""
    change = (new - old) + lost
    rounded = round_to(old + change, dtype)
    return rounded, round_to(change - (rounded - old), dtype)


def half_ulp(values: Array, dtype: str) -> Array:
    """Half a unit in the last place of numbers of a narrow dtype; 1 for wide ones."""
    if dtype not in ("bfloat16", "float16"):
        return np.ones_like(values)
    mantissa, lowest, _ = _FLOATS[dtype]
    _, exponent = np.frexp(values)
    power = np.where(values == 0, lowest, np.maximum(exponent - 1, lowest))
    return np.ldexp(1.0, power - mantissa - 1)


def split(values: Array, dtype: str, bits: int) -> tuple[Array, Array]:
    """The rounded parameter, and what is left in counts of half a unit in its last place: 127 of
    them, or 32767 in 16 bits; halves away from 0."""
    narrow = round_to(values, dtype)
    share = np.clip((values - narrow) / half_ulp(narrow, dtype), -1, 1) * _counts(bits)
    return narrow, np.copysign(np.floor(np.abs(share) + 0.5), share)


def joined(narrow: Array, remainder: Array, dtype: str, bits: int) -> Array:
    """The number that was split."""
    return narrow + half_ulp(narrow, dtype) * remainder / _counts(bits)


def _counts(bits: int) -> int:
    return 2 ** (bits - 1) - 1


# ---------------------------------------------------------------- counter-based randomness

_WORD = 0xFFFFFFFF


def random_bits(seed: int, t: int, tensor: int, count: int) -> Array:
    """32 random bits for each element, a function of where and when it is and of nothing else."""
    key = hash32(seed, t, tensor)
    return np.array([_element_bits(key, element) for element in range(count)], dtype=np.uint64)


def hash32(*words: int) -> int:
    h = 0
    for word in words:
        h = _mix(((h ^ word) * 0x9E3779B1 + 0x7F4A7C15) & _WORD)
    return h


def _element_bits(key: int, element: int) -> int:
    low, high = element & _WORD, element >> 32
    return _mix((low * 0x9E3779B1 + key + (_mix(high) if high else 0)) & _WORD)


def _mix(h: int) -> int:
    """The finalizer of MurmurHash3 for 32 bits."""
    h = (h ^ (h >> 16)) * 0x85EBCA6B & _WORD
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & _WORD
    return h ^ (h >> 16)
