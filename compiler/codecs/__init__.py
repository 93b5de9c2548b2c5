"""Codecs as arithmetic: how a block of numbers becomes codes with a scale, and back.

    CODECS["dynamic8"](block = 256, signed = True)     ->  Codec

One file for each family; `codec.py` says what a codec is, `scales.py` how blocks get their scale.
What they mean is defined, naively and by other means, in dsl/codes.py.
"""

from __future__ import annotations

from collections.abc import Callable

from .codec import Codec as Codec
from .companded import softsign8, sqrt8
from .dynamic import dynamic4, dynamic8
from .dynamic import plain as plain
from .floats import bfloat16, e4m3, e5m2, float16
from .linear import linear4, linear8
from .power import power4

CODECS: dict[str, Callable[..., Codec]] = {
    "dynamic8": dynamic8,
    "dynamic4": dynamic4,
    "linear8": linear8,
    "linear4": linear4,
    "power4": power4,
    "softsign8": softsign8,
    "sqrt8": sqrt8,
    "e4m3": e4m3,
    "e5m2": e5m2,
    "bfloat16": bfloat16,
    "float16": float16,
}
