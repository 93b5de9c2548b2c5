"""The codecs and roundings a spec may name, with their options.

    CODECS["dynamic8"].options == {"block": 256, "signed": True}

`zero` says that a code stands for exactly zero, so that a small value may read back as 0. The
arithmetic is in storage.py (naively) and in the runtime (fast).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CodecKind:
    name: str
    doc: str
    zero: bool
    options: dict[str, int | bool] = field(default_factory=dict[str, "int | bool"])


def _codecs(*kinds: CodecKind) -> dict[str, CodecKind]:
    return {kind.name: kind for kind in kinds}


CODECS = _codecs(
    CodecKind("none", "stored plainly", False),
    CodecKind("dynamic8", "8 bits, dynamic exponent", True, {"block": 256, "signed": True}),
    CodecKind("dynamic4", "4 bits, dynamic exponent", True, {"block": 128, "signed": True}),
    CodecKind("linear8", "8 bits, evenly spaced", True, {"block": 256, "signed": True}),
    CodecKind(
        "linear4",
        "4 bits, evenly spaced",
        False,
        {"block": 128, "signed": True, "asymmetric": False},
    ),
    CodecKind("e4m3", "8-bit floating point, 3 bits of mantissa", True, {"block": 256}),
    CodecKind("e5m2", "8-bit floating point, 2 bits of mantissa", True, {"block": 256}),
    CodecKind("bfloat16", "16-bit floating point, the exponents of float32", True),
    CodecKind("float16", "16-bit floating point", True),
)

ROUNDINGS: dict[str, dict[str, int]] = {
    "nearest": {},
    "stochastic": {},
    "kahan": {},
    "master": {"bits": 16},
}
