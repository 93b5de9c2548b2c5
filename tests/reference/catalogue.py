"""The references of wave `core` that torch.optim and oracles.py do not have, by class name.

    REFERENCES["AdaMod"](params, hypers, names)      ->  an oracle: set(lr=...), step(loss=...)
    composed("AdamW", "Cautious")(params, hypers)    ->  the same for a base with modifiers

Hypers left out take the defaults written here, which are the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from . import adaptive, momenta, norms, piecewise, together
from .driver import Handwritten, Hypers, Oracle, Rule, RuleOfAll, Together
from .oracles import MakeOracle
from .staged_modifiers import MODIFIERS
from .stages import Staged

INFINITY = float("inf")


def rule(of_one: Rule, **defaults: object) -> MakeOracle:
    def make(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
        return Handwritten(of_one, params, defaults, hypers, names)

    return make


def rule_of_all(of_all: RuleOfAll, **defaults: object) -> MakeOracle:
    def make(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
        return Together(of_all, params, defaults, hypers, names)

    return make


def composed(base: str, *modifiers: str) -> MakeOracle:
    """The base and the modifiers, from left to right; their hypers are one flat dict."""

    def make(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
        return Staged(base, [MODIFIERS[one]() for one in modifiers], params, hypers, names)

    return make


ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
MARS = {
    "lr": 3e-3,
    "betas": (0.95, 0.99),
    "gamma": 0.025,
    "weight_decay": 0.0,
    "first": "zero",  # the gradient before the first; or "gradient": the first itself
    "clip": True,
    "optimize_1d": False,
    "lr_1d": 3e-3,
    "betas_1d": (0.9, 0.95),
    "weight_decay_1d": 0.1,
    "eps": 1e-8,
    "initial_lr": None,  # what a scheduler started from: lr_1d moves in proportion
}
PROJECTED = {"eps": 1e-8, "weight_decay": 0.0, "delta": 0.1, "wd_ratio": 0.1, "nesterov": False}
PRODIGY = {
    "lr": 1.0,
    "betas": (0.9, 0.999),
    "beta3": None,  # the root of beta2
    "eps": 1e-8,
    "weight_decay": 0.0,
    "d0": 1e-6,
    "d_coef": 1.0,
    "growth_rate": INFINITY,
    "use_bias_correction": False,
    "safeguard_warmup": False,
    "slice_p": 1,
}
RANGER21 = {
    "lr": 1e-3,
    "betas": (0.9, 0.999),
    "beta0": 0.9,
    "eps": 1e-8,
    "weight_decay": 1e-4,
    "norm_loss": 1e-4,
    "agc_clip": 1e-2,
    "agc_floor": 1e-3,
    "softplus_beta": 50.0,
    "k": 5,
    "alpha": 0.5,
    "iterations": None,  # steps in all; then warm-up and warm-down are steps too
    "warmup": 2000,
    "warmdown": 0,
    "min_lr": 3e-5,
}
STABLE_SPAM = {
    **ADAM,
    "gamma1": 0.7,
    "gamma2": 0.9,
    "theta": 0.999,
    "interval": 1000,
    "total_steps": None,
}
SPAM = {**ADAM, "eps": 1e-6, "threshold": 5000.0, "interval": 500, "warmup": 150, "grace": 20}
ADAFACTOR = {"lr": 1e-2, "beta2_decay": -0.8, "eps": (1e-30, 1e-3), "d": 1.0, "weight_decay": 0.0}
ADEMAMIX = {**ADAM, "betas": (0.9, 0.999, 0.9999), "alpha": 5.0, "t_alpha_beta3": None}
LION_K = {
    "lr": 1e-4,
    "betas": (0.9, 0.99),
    "weight_decay": 0.0,
    "kernel": "l1",
    "e": 1e-3,
    "p": 1.5,
}
CLASSP = {"lr": 0.2, "threshold": 0.5, "eps": 1e-5, "power": 1.0, "gate": "element"}
FADAM = {**ADAM, "weight_decay": 0.1, "clip": 1.0, "p": 0.5, "eps2": 1e-2}

REFERENCES: dict[str, MakeOracle] = {
    "NAdamW": rule(adaptive.nadamw, **{**ADAM, "weight_decay": 1e-2}),
    "AdaMod": rule(adaptive.adamod, **ADAM, beta3=0.999),
    "DiffGrad": rule(adaptive.diffgrad, **ADAM),
    "FAdam": rule(adaptive.fadam, **FADAM),
    "EXAdam": rule(adaptive.exadam, **ADAM, log_growth=False),
    "AdaMomentum": rule(adaptive.adamomentum, **ADAM),
    "AdmetaR": rule(momenta.admeta_r, **ADAM, lamda=0.2, k=6),
    "AdmetaS": rule(momenta.admeta_s, lr=0.05, beta=0.2, weight_decay=0.0, lamda=0.9, k=6),
    "AdamCM": rule_of_all(together.adam_cm, **ADAM, topc=5, decay=0.7),
    "SWATS": rule_of_all(together.swats, **{**ADAM, "eps": 1e-9}, tolerance=1e-9),
    "LionK": rule(momenta.lion_k, **LION_K),
    "MARS": rule(momenta.mars, **MARS),
    "MARSLion": rule(momenta.mars_lion, **MARS),
    "Ranger21": rule_of_all(together.ranger21, **RANGER21),
    "AdamP": rule(norms.adamp, lr=1e-3, betas=(0.9, 0.999), **PROJECTED),
    "SGDP": rule(norms.sgdp, lr=1e-3, momentum=0.0, dampening=0.0, **PROJECTED),
    "SPAM": rule(norms.spam, **SPAM),
    "StableSPAM": rule(norms.stable_spam, **STABLE_SPAM),
    "CLASSP": rule(momenta.classp, **CLASSP),
    "CoupledAdam": rule(adaptive.coupled_adam, **{**ADAM, "weight_decay": 1e-2}, scale=1.0),
    "Prodigy": rule_of_all(together.prodigy, **PRODIGY),
    "Adafactor": rule(norms.adafactor, **ADAFACTOR),
    "AdEMAMix": rule(adaptive.ademamix, **ADEMAMIX),
    "AdamHyper": rule(adaptive.adam_hyper, **ADAM),
    "NormalizedGD": rule(adaptive.normalized_gd, lr=1e-3, weight_decay=0.0),
    "AdamW + PiecewiseAffine": rule(piecewise.adamw, **{**ADAM, "weight_decay": 1e-2}),
}
