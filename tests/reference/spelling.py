"""The hypers of the references, which are called as their papers' authors do, under our names.

ours("NormLoss", {"strength": 0.5, "lr": 1e-2})   ->   {"rho": 0.5, "lr": 1e-2}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .driver import Hypers

_SAME: dict[str, dict[str, str]] = {
    "AdmetaR": {"lamda": "memory"},
    "AdmetaS": {"lamda": "memory", "beta": "momentum"},
    "AdamCM": {"topc": "capacity", "decay": "fade"},
    "SPAM": {"interval": "reset_every"},
    "StableSPAM": {"interval": "reset_every", "total_steps": "total"},
    "CLASSP": {"power": "p"},
    "AdEMAMix": {"t_alpha_beta3": "warmup"},
    "Ranger21": {
        "agc_clip": "clip", "agc_floor": "floor", "iterations": "total", "min_lr": "least_lr",
        "softplus_beta": "softness", "norm_loss": "rho",
    },
    "UpdateClip": {"threshold": "limit"},
    "MomentumReset": {"interval": "period"},
    "NormLoss": {"strength": "rho"},
    "ElasticAnchor": {"pull": "strength", "rho": "anchor_beta"},
    "WeightEMA": {"ema": "decay"},
}  # fmt: skip

_FIRST = {"zero": "corrected", "gradient": "plain"}
_VALUES: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    **{row: {"first": ("first_step", _FIRST.__getitem__)} for row in ("MARS", "MARSLion")},
    "VarianceReduction": {
        "first": ("first_step", _FIRST.__getitem__),
        "unit_norm": ("limit", lambda on: 1.0 if on else math.inf),
    },
    "Cautious": {"normaliser": ("normaliser", lambda word: {"mean": "share"}.get(word, word))},
    "WeightEMA": {"copy_first": ("start", lambda on: "copy_first" if on else "zero")},
}


def ours(row: str, hypers: Hypers) -> Hypers:
    """The settings of a scenario for the shipped optimizer or modifier `row`."""
    found: Hypers = {}
    for name, value in hypers.items():
        renamed, convert = _VALUES.get(row, {}).get(name, (name, None))
        found[_SAME.get(row, {}).get(renamed, renamed)] = convert(value) if convert else value
    if row in ("StableSPAM", "SpikeClip") and found.keys() & {"gamma1", "gamma2", "theta"}:
        defaults = {"gamma1": 0.7, "gamma2": 0.9, "theta": 0.999}
        found["gammas"] = tuple(found.pop(name, value) for name, value in defaults.items())
    if row == "MARSLion" and "betas" in found:
        found["beta1"] = found.pop("betas")[0]
    if row == "ValueClip" and "fraction" in found:
        found |= {"share": found.pop("fraction"), "form": "largest"}
    if row == "Ranger21":  # two follow from the number of iterations; ours has an eps for each part
        found = {k: v for k, v in found.items() if k not in ("warmup", "warmdown")}
        found |= {"norm_loss_eps": found["eps"]} if "eps" in found else {}
    if row == "MomentumReset":
        found["warmup"] = 0.0
    return found
