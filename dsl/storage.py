"""How values are stored, naively: dtypes, codecs, and the roundings of the parameter.

    round_to(1.2345, "bfloat16")                    1.234375
    ROUND_TRIPS["dynamic8"](x, 256, True)           what x reads back as

A codec is one function from the values of a state, in row-major order, to what they read back as.
Most cut the values into blocks, divide each by its scale (the largest magnitude, kept in float32)
and take the nearest value that the codec has. A block with a value that is not finite reads back as
NaN. The scale 0 reads back as zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .cells import Array
from .codecs import CODECS

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


# ---------------------------------------------------------------- codecs


def dynamic_table(bits: int, signed: bool) -> Array:
    """The dynamic map: in each decade below 1 twice as many evenly spaced values as in the one
    before it, with 0 and 1; ascending, as float32 has them."""
    decades = bits - 1
    values = [0.0, 1.0]
    for decade in range(decades):
        count = 2**decade if signed else 2 ** (decade + 1)
        borders = np.linspace(0.1, 1.0, count + 1)
        middles = 10.0 ** (decade - decades + 1) * (borders[:-1] + borders[1:]) / 2
        values += [*middles, *(-middles if signed else ())]
    return np.sort(np.array(values).astype(np.float32).astype(np.float64))


def linear_table(bits: int, signed: bool) -> Array:
    """Evenly spaced values up to 1. With 4 bits none of them is 0, with 8 bits one is."""
    if bits == 4:
        return np.linspace(-1, 1, 16) if signed else np.arange(1, 17) / 16
    return np.arange(-127, 128) / 127 if signed else np.arange(256) / 255


def nearest(values: Array, table: Array) -> Array:
    """For each value the place of the nearest in the table, the lower one of two."""
    return np.abs(values[:, None] - table[None, :]).argmin(axis=1)


def dynamic8(values: Array, block: int, signed: bool) -> Array:
    table = dynamic_table(8, signed)
    return _in_blocks(values, block, lambda ratios: table[nearest(ratios, table)])


def dynamic4(values: Array, block: int, signed: bool) -> Array:
    table = dynamic_table(4, signed)
    return _in_blocks(values, block, lambda ratios: table[nearest(ratios, table)])


def linear8(values: Array, block: int, signed: bool) -> Array:
    table = linear_table(8, signed)
    return _in_blocks(values, block, lambda ratios: table[nearest(ratios, table)])


def linear4(values: Array, block: int, signed: bool, asymmetric: bool) -> Array:
    """`asymmetric`: sixteen values from the least to the greatest of a block."""
    if asymmetric:
        return _between_ends(values, block, 15)
    table = linear_table(4, signed)
    return _in_blocks(values, block, lambda ratios: table[nearest(ratios, table)])


def e4m3(values: Array, block: int) -> Array:
    return _in_blocks(values, block, lambda ratios: round_to(ratios * 448, "e4m3") / 448)


def e5m2(values: Array, block: int) -> Array:
    return _in_blocks(values, block, lambda ratios: round_to(ratios * 57344, "e5m2") / 57344)


ROUND_TRIPS: dict[str, Callable[..., Array]] = {
    "dynamic8": dynamic8,
    "dynamic4": dynamic4,
    "linear8": linear8,
    "linear4": linear4,
    "e4m3": e4m3,
    "e5m2": e5m2,
    "bfloat16": partial(round_to, dtype="bfloat16"),
    "float16": partial(round_to, dtype="float16"),
}


def read_back(values: Array, dtype: str, codec: str, options: dict[str, Any]) -> Array:
    """What values read back as after they were stored; options left out have their defaults."""
    if codec == "none":
        return round_to(values, dtype)
    options = {**CODECS[codec].options, **options}
    return ROUND_TRIPS[codec](values.reshape(-1), **options).reshape(values.shape)


def _in_blocks(values: Array, block: int, quantize: Callable[[Array], Array]) -> Array:
    """Each block over its scale, quantized, times the scale."""
    pieces: list[Array] = []
    for start in range(0, len(values), block):
        piece = values[start : start + block]
        scale = round_to(np.abs(piece).max(), "float32")
        if scale == 0:
            pieces.append(np.zeros(len(piece)))
        elif np.isfinite(scale):
            pieces.append(quantize(piece / scale) * scale)
        else:
            pieces.append(np.full(len(piece), np.nan))
    return np.concatenate(pieces)


def _between_ends(values: Array, block: int, steps: int) -> Array:
    pieces: list[Array] = []
    for start in range(0, len(values), block):
        piece = values[start : start + block]
        low, high = round_to(piece.min(), "float32"), round_to(piece.max(), "float32")
        width = (high - low) / steps
        code = np.clip(np.rint((piece - low) / width), 0, steps) if width > 0 else 0 * piece
        pieces.append(low + code * width)
    return np.concatenate(pieces)


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
