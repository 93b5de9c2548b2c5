"""Settings that between them take every branch of every optimizer, with decay that is not zero.

    VARIANTS["SGD"]  ->  plain, with momentum and dampening, with nesterov
    NAMED_SHAPES     ->  tensors of every kind: matrices both ways, vectors, a scalar, a convolution

The first tensor and the last are large enough for quantized states (4096 elements).
"""

from __future__ import annotations

from .driver import Hypers

NAMED_SHAPES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("embed.weight", (70, 64)),
    ("layers.0.attn.q_proj.weight", (8, 12)),
    ("layers.0.attn.v_proj.weight", (6, 8)),
    ("layers.0.mlp.weight", (15, 4)),
    ("layers.0.mlp.bias", (15,)),
    ("layers.0.norm.weight", (9,)),
    ("layers.0.conv.weight", (4, 2, 3, 3)),
    ("scale", ()),
    ("lm_head.weight", (5, 8)),
    ("long.bias", (4100,)),
)
MATRICES = tuple(one for one in NAMED_SHAPES if len(one[1]) >= 2)

_L2: Hypers = {"lr": 1e-2, "weight_decay": 0.1}
_BETAS: Hypers = {**_L2, "betas": (0.7, 0.9), "eps": 1e-3}
_DECOUPLED: Hypers = {**_L2, "decoupled_weight_decay": True}

VARIANTS: dict[str, tuple[Hypers, ...]] = {
    "SGD": (
        _L2,
        {**_L2, "momentum": 0.9},
        {**_L2, "momentum": 0.9, "dampening": 0.4},
        {**_L2, "momentum": 0.9, "nesterov": True},
    ),
    "Adam": (_L2, _BETAS),
    "AMSGrad": (_L2, _BETAS),
    "AdaMax": (_L2, _BETAS),
    "AdamW": (_L2, _BETAS),
    "RAdam": (
        _L2,
        _BETAS,
        _DECOUPLED,
        {**_L2, "threshold": 4.0, "fallback": "hold"},
        {**_DECOUPLED, "fallback": "hold"},
    ),
    "NAdam": (_L2, _BETAS, {**_DECOUPLED, "momentum_decay": 0.1}),
    "Adagrad": (_L2, {**_L2, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    "RMSprop": (
        {**_L2, "alpha": 0.9},
        {**_L2, "alpha": 0.9, "centered": True},
        {**_L2, "momentum": 0.8},
        {**_L2, "alpha": 0.9, "momentum": 0.8, "centered": True, "eps": 1e-3},
    ),
    "SignSGD": (_L2,),
    "Signum": (_L2,),
    "Lion": (_L2, {**_L2, "betas": (0.7, 0.95)}),
    "ADOPT": (_L2, _BETAS, {**_L2, "decouple": True, "clip_exponent": 0.1}),
    "LaProp": (_L2, _BETAS),
    "StableAdamW": (_L2, _BETAS),
    "LAMB": (_L2, _BETAS),
    "LARS": (
        _L2,
        {**_L2, "trust": 0.1, "momentum": 0.8, "dampening": 0.3},
        {**_L2, "nesterov": True, "eps": 1e-2},
    ),
    "AdamMini": ({**_L2, "num_heads": 4}, {**_BETAS, "num_heads": 2}),
    "AdamW8bit": (_L2, _BETAS),
    "Lion8bit": (_L2,),
    "Factor4bit": (_L2, _BETAS),
    "Muon": (
        {**_L2, "adamw_lr": 1e-2, "adamw_weight_decay": 0.2},
        {**_L2, "nesterov": False, "ns_steps": 3, "adamw_betas": (0.7, 0.9), "adamw_eps": 1e-3},
        {**_L2, "initial_lr": 5e-3, "adamw_lr": 1e-2},
    ),
    "MuonMatrix": (_L2, {**_L2, "nesterov": False, "momentum": 0.5}),
    "AdamW + Cautious": (_L2, {**_BETAS, "floor": 0.9}),
    "AdamW + Lookahead": (_L2, {**_L2, "k": 2, "alpha": 0.3}),
    "AdamW + GlobalNormClip": (_L2, {**_L2, "max_norm": 0.5}, {**_L2, "max_norm": 1e9}),
    "AdamW + Cautious + Lookahead": ({**_L2, "k": 3},),
}
