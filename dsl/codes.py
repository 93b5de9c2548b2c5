"""What a codec means, naively: what the values of a state read back as.

    ROUND_TRIPS["dynamic8"](x, cols, block=256, signed=True)

A codec is a function from values in row-major order (of a matrix with so many columns) to what they
read back as. Most cut the values into blocks, divide each by its scale (the largest magnitude, kept
in float32) and take the nearest value that the codec has; of two, that with the even code.

A block whose largest magnitude is not above 1e-33 reads back as zeros; one where it is not below
2^126, or not a number, as NaN. What a float16 scale does: see `softsign8`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .cells import Array
from .codecs import CODECS
from .storage import round_to

SMALLEST, LARGEST = 1e-33, 2.0**126

Quantize = Callable[[Array], Array]


# ---------------------------------------------------------------- tables


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


def power_table(bits: int, signed: bool) -> Array:
    """The squares of the linear values, with their signs."""
    values = linear_table(bits, signed)
    return values * np.abs(values)


def nearest(values: Array, table: Array) -> Array:
    """For each value the place of the nearest in the table, the even one of two."""
    distances = np.abs(values[:, None] - table[None, :])
    least: Array = distances == distances.min(axis=1, keepdims=True)
    first: Array = least.argmax(axis=1)
    last: Array = len(table) - 1 - least[:, ::-1].argmax(axis=1)
    return last + (first - last) * (first % 2 == 0)


# ---------------------------------------------------------------- codecs


def _from_table(
    make: Callable[[int, bool], Array],
    bits: int,
    values: Array,
    cols: int,
    block: int,
    signed: bool,
    rank1: bool = False,
    pairs: bool = False,
) -> Array:
    """The nearest values of a table. `pairs` says which elements share a byte, no more."""
    table = make(bits, signed)

    def quantize(ratios: Array) -> Array:
        return table[nearest(ratios, table)]

    if rank1:
        return _by_rows_and_columns(values, cols, quantize)
    return _in_blocks(values, block, quantize)


def linear4(
    values: Array, cols: int, block: int, signed: bool, asymmetric: bool, rank1: bool, pairs: bool
) -> Array:
    """`asymmetric`: sixteen values from the least to the greatest of a block."""
    if asymmetric:
        return _between_ends(values, block, 15)
    return _from_table(linear_table, 4, values, cols, block, signed, rank1, pairs)


def softsign8(values: Array, cols: int, block: int) -> Array:
    """Evenly spaced in 2x / (1 + |x|), x relative to a scale in float16. That is rounded to
    nearest, so the largest magnitude may lie a little above it, and is at most 65504."""

    def quantize(ratios: Array) -> Array:
        x = np.clip(ratios, -1, 1)
        y = (np.rint(127 + 127 * 2 * x / (1 + np.abs(x))) - 127) / 127
        return y / (2 - np.abs(y))

    return _in_blocks(values, block, quantize, half=True)


def sqrt8(values: Array, cols: int, block: int) -> Array:
    """Evenly spaced roots, relative to a scale in float16; negative values read back as 0."""

    def quantize(ratios: Array) -> Array:
        return np.rint(255 * np.minimum(ratios, 1)) / 255

    roots = np.sqrt(np.where(values < 0, 0, values))
    return _in_blocks(roots, block, quantize, half=True) ** 2


def e4m3(values: Array, cols: int, block: int) -> Array:
    return _in_blocks(values, block, lambda ratios: round_to(ratios * 448, "e4m3") / 448)


def e5m2(values: Array, cols: int, block: int) -> Array:
    return _in_blocks(values, block, lambda ratios: round_to(ratios * 57344, "e5m2") / 57344)


def _plain(dtype: str, values: Array, cols: int) -> Array:
    return round_to(values, dtype)


ROUND_TRIPS: dict[str, Callable[..., Array]] = {
    "dynamic8": partial(_from_table, dynamic_table, 8),
    "dynamic4": partial(_from_table, dynamic_table, 4),
    "linear8": partial(_from_table, linear_table, 8),
    "linear4": linear4,
    "power4": partial(_from_table, power_table, 4),
    "softsign8": softsign8,
    "sqrt8": sqrt8,
    "e4m3": e4m3,
    "e5m2": e5m2,
    "bfloat16": partial(_plain, "bfloat16"),
    "float16": partial(_plain, "float16"),
}


def read_back(
    values: Array, dtype: str, codec: str, options: dict[str, Any], cols: int | None = None
) -> Array:
    """What values read back as after they were stored; options left out have their defaults."""
    if codec == "none":
        return round_to(values, dtype)
    options = {**CODECS[codec].options, **options}
    if cols is None:
        cols = values.shape[-1] if values.ndim else 1
    return ROUND_TRIPS[codec](values.reshape(-1), cols, **options).reshape(values.shape)


# ---------------------------------------------------------------- scales


def _in_blocks(values: Array, block: int, quantize: Quantize, half: bool = False) -> Array:
    """Each block over its scale, quantized, times the scale."""
    pieces: list[Array] = []
    for start in range(0, len(values), block):
        piece = values[start : start + block]
        largest = float(round_to(np.abs(piece).max(), "float32"))
        if not largest < LARGEST:
            pieces.append(np.full(len(piece), np.nan))
            continue
        if half:
            scale = float(round_to(np.asarray(min(largest, 65504.0)), "float16"))
        else:
            scale = largest if largest > SMALLEST else 0.0
        pieces.append(quantize(piece / scale) * scale if scale else np.zeros(len(piece)))
    return np.concatenate(pieces)


def _by_rows_and_columns(values: Array, cols: int, quantize: Quantize) -> Array:
    """Each element over the lesser of its row's and its column's scale."""
    matrix = values.reshape(-1, cols)
    sizes = round_to(np.abs(matrix), "float32")
    scales = [sizes.max(axis=axis, keepdims=True) for axis in (0, 1)]
    kept = [np.where(s < LARGEST, np.where(s > SMALLEST, s, 0), np.nan) for s in scales]
    scale = np.broadcast_to(np.minimum(*kept), matrix.shape).reshape(-1)
    some = scale > 0
    read = np.where(np.isnan(scale), np.nan, 0.0)
    read[some] = quantize(values[some] / scale[some]) * scale[some]
    return read


def _between_ends(values: Array, block: int, steps: int) -> Array:
    """Each block as steps from its least value."""
    pieces: list[Array] = []
    for start in range(0, len(values), block):
        piece = values[start : start + block]
        low, high = round_to(piece.min(), "float32"), round_to(piece.max(), "float32")
        width = round_to((high - low) / steps, "float32")
        if not width < LARGEST:
            pieces.append(np.full(len(piece), np.nan))
            continue
        step = width if width > SMALLEST else np.float64(0)
        code = np.clip(np.rint((piece - low) / step), 0, steps) if step else 0 * piece
        pieces.append(low + code * step)
    return np.concatenate(pieces)
