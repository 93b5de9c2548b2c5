"""The table of references: every shipped optimizer, and some compositions, in float64.

    oracle = ORACLES["AdamW"](params, {"lr": 1e-2, "weight_decay": 0.1})
    params[0].grad = ...
    oracle.step()

`params` are float64 tensors, changed in place; `hypers` uses the constructor's names and may leave
any out. `names` (one per tensor) matter to AdamMini and Muon only. Where torch.optim has the
optimizer it is the oracle; the rest is written by hand from the equations, never from the specs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from . import blocks, elementwise, modifiers
from .driver import Handwritten, Hypers, Oracle, Rule, TorchOptimizer


class MakeOracle(Protocol):
    def __call__(
        self, params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()
    ) -> Oracle: ...


_ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
_ADAMW = {**_ADAM, "weight_decay": 1e-2}
_LION = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}
_MUON_MATRIX = {
    "lr": 2e-2,
    "momentum": 0.95,
    "nesterov": True,
    "ns_steps": 5,
    "weight_decay": 0.0,
}
_MUON = {
    **_MUON_MATRIX,
    "adamw_lr": 3e-4,
    "adamw_betas": (0.9, 0.95),
    "adamw_eps": 1e-10,
    "adamw_weight_decay": 0.0,
    "initial_lr": None,
}
_RADAM = {**_ADAM, "decoupled_weight_decay": False, "threshold": 5.0, "fallback": "sgd"}
_LARS = {
    "lr": 1.0,
    "momentum": 0.9,
    "dampening": 0.0,
    "weight_decay": 5e-4,
    "nesterov": False,
    "trust": 1e-3,
    "eps": 1e-8,
}
_ADOPT = {
    "lr": 1e-3,
    "betas": (0.9, 0.9999),
    "eps": 1e-6,
    "clip_exponent": 0.25,
    "weight_decay": 0.0,
    "decouple": False,
}


def _torch(kind: type[torch.optim.Optimizer], **fixed: bool) -> MakeOracle:
    def make(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
        return TorchOptimizer(kind(list(params), **hypers, **fixed))

    return make


def _rule(rule: Rule, **defaults: object) -> MakeOracle:
    def make(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
        return Handwritten(rule, params, defaults, hypers, names)

    return make


def _radam(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
    """torch's, unless what torch has not is asked for."""
    if "threshold" in hypers or "fallback" in hypers:
        return Handwritten(elementwise.radam, params, _RADAM, hypers, names)
    return TorchOptimizer(torch.optim.RAdam(list(params), **hypers))


def _lookahead(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
    outer = {key: hypers[key] for key in ("k", "alpha") if key in hypers}
    inner = {key: value for key, value in hypers.items() if key not in outer}
    return modifiers.Lookahead(ORACLES["AdamW"](params, inner), params, **outer)


def _clipped(params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()) -> Oracle:
    outer = {key: hypers[key] for key in ("max_norm",) if key in hypers}
    inner = {key: value for key, value in hypers.items() if key not in outer}
    return modifiers.GlobalNormClip(ORACLES["AdamW"](params, inner), params, **outer)


def _cautious_lookahead(
    params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()
) -> Oracle:
    outer = {key: hypers[key] for key in ("k", "alpha") if key in hypers}
    inner = {key: value for key, value in hypers.items() if key not in outer}
    return modifiers.Lookahead(ORACLES["AdamW + Cautious"](params, inner), params, **outer)


ORACLES: dict[str, MakeOracle] = {
    "SGD": _torch(torch.optim.SGD),
    "Adam": _torch(torch.optim.Adam),
    "AMSGrad": _torch(torch.optim.Adam, amsgrad=True),
    "AdaMax": _torch(torch.optim.Adamax),
    "AdamW": _torch(torch.optim.AdamW),
    "RAdam": _radam,
    "NAdam": _torch(torch.optim.NAdam),
    "Adagrad": _torch(torch.optim.Adagrad),
    "RMSprop": _torch(torch.optim.RMSprop),
    "SignSGD": _rule(elementwise.signsgd, lr=1e-3, weight_decay=0.0),
    "Signum": _rule(elementwise.signum, lr=1e-3, momentum=0.9, weight_decay=0.0),
    "Lion": _rule(elementwise.lion, **_LION),
    "ADOPT": _rule(elementwise.adopt, **_ADOPT),
    "LaProp": _rule(elementwise.laprop, **{**_ADAM, "lr": 4e-4, "eps": 1e-15}),
    "StableAdamW": _rule(
        elementwise.stable_adamw, lr=1e-3, betas=(0.9, 0.99), eps=1e-6, weight_decay=1e-2
    ),
    "LAMB": _rule(elementwise.lamb, **{**_ADAMW, "eps": 1e-6}),
    "LARS": _rule(elementwise.lars, **_LARS),
    "AdamMini": _rule(blocks.adam_mini, **_ADAMW, num_heads=1),
    "AdamW8bit": _rule(blocks.adamw_8bit, **_ADAMW),
    "Lion8bit": _rule(blocks.lion_8bit, **_LION),
    "Factor4bit": _rule(blocks.factor_4bit, **_ADAMW),
    "Muon": _rule(blocks.muon, **_MUON),
    "MuonMatrix": _rule(blocks.muon_matrix, **_MUON_MATRIX),
    "AdamW + Cautious": _rule(modifiers.cautious_adamw, **_ADAMW, floor=1e-3),
    "AdamW + Lookahead": _lookahead,
    "AdamW + GlobalNormClip": _clipped,
    "AdamW + Cautious + Lookahead": _cautious_lookahead,
}
