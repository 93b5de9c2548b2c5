"""Codes and scales as the definition has them, by search in float64, and where one code ends.

    layout = layout_of("dynamic4", {"pairs": True})
    layout.store(values, cols)          {"": bytes, "_scale": one number per block}, as in memory
    layout.places(streams, n)           which value of the codec each element has
    layout.borders(streams, n, cols)    between which numbers an element has the code that it has

Nothing here is the compiler's: tables and their search come from dsl/codes.py, and a test holds
what is stored against what the interpreter reads back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from stepc.dsl.codecs import CODECS
from stepc.dsl.codes import (
    LARGEST,
    SMALLEST,
    dynamic_table,
    linear_table,
    nearest,
    power_table,
)
from stepc.dsl.storage import round_to

Array = np.ndarray
Streams = Mapping[str, Array]

UNIT = 2.0**-24  # half a last place of float32
_TABLES = {"dynamic": dynamic_table, "linear": linear_table, "power": power_table}
_FLOATS = {
    "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2, "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}  # fmt: skip
_TOPS = {"e4m3": 448.0, "e5m2": 57344.0}


@dataclass(frozen=True)
class Layout:
    """A codec with its options. Streams are by what follows the state's name: "" are the codes."""

    codec: str
    block: int = 0
    rank1: bool = False
    pairs: bool = False
    asymmetric: bool = False
    signed: bool = True

    @property
    def packed(self) -> bool:
        return self.codec.endswith("4")

    @property
    def plain(self) -> bool:
        """Without a scale."""
        return self.codec in ("bfloat16", "float16")

    @property
    def half(self) -> bool:
        """With scales in float16."""
        return self.codec in ("softsign8", "sqrt8")

    @property
    def zero(self) -> bool:
        """Whether a code stands for 0."""
        return CODECS[self.codec].zero

    @property
    def values(self) -> Array:
        """What codes stand for, over the scale (of sqrt8 the root), ascending."""
        return _values(self.codec, self.signed, self.asymmetric)

    # ------------------------------------------------------------ storing

    def store(self, values: Array, cols: int) -> dict[str, Array]:
        """What a target must have in memory, by the definition."""
        values = values.reshape(-1)
        scales = {suffix: self._kept(x, suffix) for suffix, x in self._measures(values, cols)}
        least, scale = self.spread(scales, values.size, cols)
        values = np.sqrt(np.maximum(values, 0)) if self.codec == "sqrt8" else values - least
        ratios = np.divide(values, scale, out=np.zeros(values.size), where=scale > 0)
        if self.codec in _FLOATS:
            return {"": _as_float(ratios * _TOPS.get(self.codec, 1.0), self.codec), **scales}
        codes = self._nearest(np.clip(ratios, -1, self.values[-1]))
        return {"": self.pack(codes) if self.packed else codes.astype(np.uint8), **scales}

    def _nearest(self, ratios: Array) -> Array:
        """The place of the nearest value, which of two has the even one; softsign8 rounds in its
        own space."""
        if self.codec == "softsign8":
            return np.rint(127 + 127 * 2 * ratios / (1 + np.abs(ratios)))
        return nearest(ratios, self.values)

    def _measures(self, values: Array, cols: int) -> list[tuple[str, Array]]:
        """What the scales are measured as, exactly."""
        if self.plain:
            return []
        if self.rank1:
            sizes = np.abs(values).reshape(-1, cols)
            return [("_row_scale", sizes.max(1)), ("_col_scale", sizes.max(0))]
        count = -(-values.size // self.block)
        filled = np.pad(values, (0, count * self.block - values.size), mode="edge")
        blocks = filled.reshape(count, self.block)
        if self.asymmetric:
            least, most = (round_to(x, "float32") for x in (blocks.min(1), blocks.max(1)))
            return [("_least", blocks.min(1)), ("_step", (most - least) / 15)]
        if self.codec == "sqrt8":
            blocks = np.sqrt(np.maximum(blocks, 0))
        return [("_scale", np.abs(blocks).max(1))]

    def _kept(self, measured: Array, suffix: str) -> Array:
        """A scale as it is stored."""
        if self.half:
            return round_to(np.minimum(measured, 65504), "float16")
        single = round_to(measured, "float32")
        if suffix == "_least":
            return single
        return np.where(single < LARGEST, np.where(single > SMALLEST, single, 0), np.nan)

    def scale_off(self, streams: Streams, values: Array, cols: int) -> float:
        """By how many units of rounding stored scales are off; of float16 ones that are another,
        how far what was measured is from the middle between the two."""
        worst = 0.0
        for suffix, measured in self._measures(values, cols):
            got, wanted = streams[suffix], self._kept(measured, suffix)
            from_ = (got + wanted) / 2 if self.half else got
            off = np.where(got == wanted, 0, np.abs(from_ - measured))
            size = np.abs(measured)
            if suffix == "_step":  # the difference of two that were rounded
                size = np.maximum(size, np.abs(streams["_least"]) / 15)
            worst = max(worst, float((off / (UNIT * np.maximum(size, SMALLEST))).max(initial=0)))
        return worst

    # ------------------------------------------------------------ half bytes

    def pack(self, codes: Array) -> Array:
        """Two to a byte: neighbours, or element j of a block with j + block / 2."""
        count = -(-codes.size // self.block)
        blocks = np.pad(codes, (0, count * self.block - codes.size)).reshape(count, self.block)
        half = self.block // 2
        first, second = (
            (blocks[:, ::2], blocks[:, 1::2])
            if self.pairs
            else (blocks[:, :half], blocks[:, half:])
        )
        return (16 * first + second).astype(np.uint8).reshape(-1)

    def unpack(self, stored: Array, n: int) -> Array:
        """The codes of the n elements that are there."""
        pieces = stored.astype(np.int64).reshape(-1, self.block // 2)
        high, low = pieces // 16, pieces % 16
        if self.pairs:
            return np.stack([high, low], 2).reshape(-1)[:n]
        return np.hstack([high, low]).reshape(-1)[:n]

    # ------------------------------------------------------------ reading

    def places(self, streams: Streams, n: int) -> Array:
        """Of each element the place of its value among `values`."""
        stored = streams[""]
        if self.codec in _FLOATS:
            values = _from_float(stored, self.codec) / _TOPS.get(self.codec, 1.0)
            return np.searchsorted(self.values, values)
        return self.unpack(stored, n) if self.packed else stored.astype(np.int64)

    def read(self, streams: Streams, n: int, cols: int) -> Array:
        """What the codes stand for."""
        least, scale = self.spread(streams, n, cols)
        ratios = self.values[self.places(streams, n)] * scale
        return ratios * ratios if self.codec == "sqrt8" else least + ratios

    def spread(self, scales: Streams, n: int, cols: int) -> tuple[Array, Array]:
        """The least value and the scale that each element is coded by."""
        nothing = np.zeros(n)
        if self.plain:
            return nothing, np.ones(n)
        if self.rank1:
            row, col = scales["_row_scale"], scales["_col_scale"]
            return nothing, np.minimum(row[:, None], col[None, :]).reshape(-1)
        if self.asymmetric:
            least, step = (np.repeat(scales[k], self.block)[:n] for k in ("_least", "_step"))
            return least, step
        return nothing, np.repeat(scales["_scale"], self.block)[:n]

    def borders(self, streams: Streams, n: int, cols: int) -> tuple[Array, Array]:
        """Between which values each element was, if its code is right for its scale."""
        least, scale = self.spread(streams, n, cols)
        place = self.places(streams, n)
        ends = _ends(self.codec, self.signed, self.asymmetric)
        beyond = np.full(n, np.inf)
        low, high = (
            np.where(inside, ends[at % len(ends)] * scale, sign * beyond)
            for sign, at, inside in (
                (-1, place - 1, place > 0),
                (1, place, place < len(ends)),
            )
        )
        if self.codec == "sqrt8":
            low, high = (np.where(x > 0, x * x, x) for x in (low, high))
        none = scale == 0
        return np.where(none, -beyond, least + low), np.where(none, beyond, least + high)


def layout_of(codec: str, options: Mapping[str, Any]) -> Layout:
    """The layout of a codec, with the defaults of the options that are not said."""
    return Layout(codec, **{**CODECS[codec].options, **options})


# ---------------------------------------------------------------- tables


@cache
def _values(codec: str, signed: bool, asymmetric: bool) -> Array:
    if asymmetric:
        return np.arange(16.0)
    if codec == "softsign8":
        bent = np.arange(-127, 128) / 127
        return bent / (2 - np.abs(bent))
    if codec == "sqrt8":
        return np.arange(256) / 255
    if codec in _FLOATS:
        whole, dtype = (256, np.uint8) if codec in _TOPS else (65536, np.uint16)
        every = _from_float(np.arange(whole).astype(dtype), codec)
        return np.unique(every[np.isfinite(every)]) / _TOPS.get(codec, 1.0)
    return _TABLES[codec[:-1]](int(codec[-1]), signed)


@cache
def _ends(codec: str, signed: bool, asymmetric: bool) -> Array:
    """The borders: what lies between ends[k - 1] and ends[k] becomes values[k]."""
    if codec == "softsign8":
        bent = np.arange(-126.5, 127) / 127
        return bent / (2 - np.abs(bent))
    values = _values(codec, signed, asymmetric)
    return (values[1:] + values[:-1]) / 2


def _as_float(values: Array, codec: str) -> Array:
    """Bytes of the 8-bit formats, the values of the others: rounded once, from float64."""
    short = torch.tensor(round_to(values, codec)).to(_FLOATS[codec])
    return short.view(torch.uint8).numpy() if codec in _TOPS else short.double().numpy()


def _from_float(stored: Array, codec: str) -> Array:
    if stored.dtype == np.float64:
        return stored
    signed = stored.astype(np.uint8) if codec in _TOPS else stored.view(np.int16)
    return torch.tensor(signed).view(_FLOATS[codec]).double().numpy()
