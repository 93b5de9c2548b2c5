"""The codecs and roundings a spec may name, with their options.

    CODECS["dynamic8"].options == {"block": 256, "signed": True}

`zero` says that a code stands for exactly zero, so that a small value may read back as 0; `signed`
whether negative values have codes. What each means is defined in codes.py; its arithmetic is in
compiler/codecs/.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Options = dict[str, int | bool]


@dataclass(frozen=True, slots=True)
class CodecKind:
    """A codec. A state that no spec line says otherwise of is coded with or without a sign by
    whether it can be negative, if the codec leaves the choice (`"signed" in options`)."""

    name: str
    doc: str
    zero: bool
    options: Options = field(default_factory=Options)
    signed: bool = True


def _codecs(*kinds: CodecKind) -> dict[str, CodecKind]:
    return {kind.name: kind for kind in kinds}


_BYTES: Options = {"block": 256, "signed": True}
LARGEST_PACKED = 4096  # the largest block of 4-bit codes
_PACKED: Options = {"block": 128, "signed": True, "pairs": False}

CODECS = _codecs(
    CodecKind("none", "stored plainly", False),
    CodecKind("dynamic8", "8 bits, dynamic exponent", True, _BYTES),
    CodecKind("dynamic4", "4 bits, dynamic exponent", True, _PACKED),
    CodecKind("linear8", "8 bits, evenly spaced", True, {**_BYTES, "rank1": False}),
    CodecKind(
        "linear4",
        "4 bits, evenly spaced",
        False,
        {**_PACKED, "asymmetric": False, "rank1": False},
    ),
    CodecKind("power4", "4 bits, squares", False, {**_PACKED, "rank1": False}),
    CodecKind("softsign8", "8 bits, companded by x / (1 + |x|)", True, {"block": 32}),
    CodecKind("sqrt8", "8 bits, companded by the root", True, {"block": 32}, signed=False),
    CodecKind("e4m3", "8-bit floating point, 3 bits of mantissa", True, {"block": 256}),
    CodecKind("e5m2", "8-bit floating point, 2 bits of mantissa", True, {"block": 256}),
    CodecKind("bfloat16", "16-bit floating point, the exponents of float32", True),
    CodecKind("float16", "16-bit floating point", True),
)

ROUNDINGS: dict[str, dict[str, int]] = {
    "nearest": {},
    "stochastic": {},
    "kahan": {},
    "master": {"bits": 32},
}
