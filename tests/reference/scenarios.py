"""For every row of wave `core`: settings and gradients that take every branch in some 22 steps.

    for scenario in SCENARIOS:
        scenario.row        the name in the catalogue's table
        scenario.name       the class, or the composition, to compile: "AdamW + Cautious"
        scenario.variants   settings, each a dict of hypers for the constructor
        scenario.branches   what the reference must have marked after all variants (`oracle.taken`)

trajectory.py walks through one.
"""

from __future__ import annotations

from .catalogue import REFERENCES, composed
from .driver import Hypers
from .oracles import ORACLES
from .trajectory import FLAT, LATE, SHAPES, Scenario, Shapes, gradients, loss, rate, run, start
from .variants import VARIANTS

__all__ = ["LATE", "SCENARIOS", "SHAPES", "Scenario", "gradients", "loss", "rate", "run", "start"]

_DECAY: Hypers = {"lr": 1e-2, "weight_decay": 0.1}
_BETAS: Hypers = {**_DECAY, "betas": (0.7, 0.9), "eps": 1e-3}
_LION: Hypers = {**_DECAY, "betas": (0.7, 0.95)}
_SGD: Hypers = {**_DECAY, "momentum": 0.9}
_THIRTY = {"iterations": 30, "warmup": 6, "warmdown": 9}  # what 30 steps imply
_NONE = frozenset[tuple[int, int]]()


def _old(row: str, *branches: str) -> Scenario:
    """A row that oracles.py has, with its variants."""
    return Scenario(row, row, ORACLES[row], VARIANTS[row], frozenset(branches))


def _new(
    row: str,
    *variants: Hypers,
    branches: str = "",
    shapes: Shapes = SHAPES,
    kind: str = "noise",
    together: bool = False,
    name: str = "",
    wants_loss: bool = False,
) -> Scenario:
    """A row of catalogue.py; `branches` has commas. With `together` no gradient is missing."""
    return Scenario(
        row,
        name or row,
        REFERENCES[name or row],
        variants,
        frozenset(one.strip() for one in branches.split(",") if one),
        shapes,
        kind=kind,
        absent=_NONE if together else LATE,
        wants_loss=wants_loss,
    )


def _with(
    row: str, bases: dict[str, tuple[Hypers, ...]], branches: str = "", kind: str = "noise"
) -> list[Scenario]:
    """A modifier on each of these bases."""
    return [
        Scenario(
            row,
            f"{base} + {row}",
            composed(base, row),
            variants,
            frozenset(one.strip() for one in branches.split(",") if one) if i == 0 else frozenset(),
            kind=kind,
        )
        for i, (base, variants) in enumerate(bases.items())
    ]


def _on_all(row: str, *settings: Hypers, branches: str = "", kind: str = "noise") -> list[Scenario]:
    """A modifier with these settings on AdamW, Lion and SGD."""
    bases: dict[str, tuple[Hypers, ...]] = {
        base: tuple({**hypers, **setting} for setting in settings)
        for base, hypers in (("AdamW", _BETAS), ("Lion", _LION), ("SGD", _SGD))
    }
    return _with(row, bases, branches, kind)


def _stacks() -> list[Scenario]:
    """Compositions that people use, under the row of their first modifier."""
    long = ("Lookahead", "GradientCentralization", "AdaptiveGradientClipping")
    name, lamb = " + ".join(("AdamW", *long)), "LAMB + GlobalNormClip"
    muon = "MuonMatrix + Cautious"
    matrices = tuple(one for one in SHAPES if len(one[1]) >= 2)
    return [
        Scenario("Lookahead", name, composed("AdamW", *long), ({**_BETAS, "k": 3, "clip": 0.2},)),
        Scenario("GlobalNormClip", lamb, composed("LAMB", "GlobalNormClip"), (_BETAS,)),
        Scenario("Cautious", muon, composed("MuonMatrix", "Cautious"), (_SGD,), shapes=matrices),
    ]


_OLD = (
    *("SGD", "SignSGD", "Signum", "Adam", "AdaMax", "AdamW", "AMSGrad", "RAdam", "NAdam"),
    *("Adagrad", "RMSprop", "LaProp", "ADOPT", "Lion", "StableAdamW", "LARS", "LAMB"),
)

_OPTIMIZERS = [
    _new("NAdamW", _DECAY, _BETAS),
    _new("AdaMod", _DECAY, {**_BETAS, "beta3": 0.5}, branches="bounded, free"),
    _new("DiffGrad", _DECAY, _BETAS),
    _new(
        "FAdam",
        _DECAY,
        {**_BETAS, "eps": 1e-2, "eps2": 0.1},
        {**_DECAY, "p": 0.6, "clip": 0.3, "eps": 1e-4},
        branches="eps given, eps of the gradient, gradient clipped, gradient free, "
        "decay clipped, decay free",
    ),
    _new("EXAdam", _DECAY, _BETAS, {**_BETAS, "log_growth": True}),
    _new("AdaMomentum", {**_DECAY, "lr": 1e-3}, _BETAS),
    _new("AdmetaR", _DECAY, {**_BETAS, "lamda": 0.6, "k": 4}, branches="merge, no merge"),
    _new(
        "AdmetaS",
        {"lr": 1e-2, "weight_decay": 0.1},
        {"lr": 1e-3, "weight_decay": 0.1, "beta": 0.6, "lamda": 0.5, "k": 4},
        branches="merge, no merge",
    ),
    _new(
        "AdamCM",
        _DECAY,
        {**_BETAS, "topc": 3, "decay": 0.9},
        branches="filled, replaced, passed",
        together=True,
    ),
    _new(
        "SWATS",
        {**_DECAY, "tolerance": 6e-4},  # SGD from the sixth step
        {**_BETAS, "tolerance": 5e-4},  # the same
        {**_DECAY, "tolerance": 2e-4},  # from the seventeenth
        {**_DECAY, "tolerance": 1e-9},  # never
        branches="Adam, SGD",
        kind="drift",
        together=True,
    ),
    _new(
        "LionK",
        *({**_LION, "kernel": kernel} for kernel in ("l1", "l2", "rows")),
        {**_LION, "kernel": "lp", "p": 1.5},
        {**_LION, "kernel": "lp", "p": 3.0},
        *({**_LION, "kernel": kernel, "e": 0.5} for kernel in ("threshold", "huber", "smooth")),
        kind="dense",
    ),
    *(
        _new(
            row,
            {**_DECAY, "lr_1d": 5e-3, "weight_decay_1d": 0.2},
            {**_BETAS, "gamma": 0.1, "optimize_1d": True},
            {**_DECAY, "first": "gradient", "initial_lr": 2e-2, "lr_1d": 1e-2},
            branches="clipped, free, AdamW",
            shapes=FLAT,
        )
        for row in ("MARS", "MARSLion")
    ),
    _new(
        "Ranger21",
        {**_DECAY, **_THIRTY, "norm_loss": 0.1},
        {
            **_BETAS,
            **_THIRTY,
            "beta0": 0.7,
            "k": 4,
            "alpha": 0.3,
            "agc_clip": 0.5,
            "softplus_beta": 5.0,
        },
        {**_DECAY, "iterations": 22, "warmup": 4, "warmdown": 7, "min_lr": 1e-3},
        branches="m1, m2, merge, no merge, rows clipped, rows free",
        together=True,
    ),
    *(
        _new(
            row,
            {**_DECAY, "lr": 1e-3, **more},
            {**_DECAY, "lr": 1e-3, **more, "nesterov": True, "delta": 0.3, "wd_ratio": 0.5, **last},
            branches="channels, layer, not orthogonal",
            kind="orthogonal",
        )
        for row, more, last in (
            ("AdamP", {}, {"betas": (0.7, 0.9), "eps": 1e-3}),
            ("SGDP", {"momentum": 0.9}, {"dampening": 0.0}),
            ("SGDP", {"momentum": 0.8, "dampening": 0.4}, {"eps": 1e-3}),
        )
    ),
    _new(
        "SPAM",
        {**_DECAY, "threshold": 20.0, "interval": 9, "warmup": 4, "grace": 3},
        {**_BETAS, "threshold": 5.0, "interval": 7, "warmup": 10, "grace": 2},
        branches="restart, spikes, no spikes, warm-up",
        kind="spikes",
    ),
    _new(
        "StableSPAM",
        {**_DECAY, "interval": 7},
        {**_BETAS, "interval": 9, "theta": 0.8, "gamma1": 0.5, "gamma2": 0.7, "total_steps": 15},
        branches="restart, spikes, no spikes",
        kind="spikes",
    ),
    _new(
        "CLASSP",
        {"lr": 0.1, "threshold": 0.5, "power": 1.0, "eps": 1e-3},
        {"lr": 0.1, "threshold": 0.2, "power": 2.0, "eps": 1e-3},
        branches="open, shut",
    ),
    _new("CoupledAdam", _DECAY, {**_BETAS, "scale": 4.0}, branches="coupled, AdamW", kind="dense"),
    _new(
        "Prodigy",
        {"lr": 1.0, "weight_decay": 0.1},
        {"lr": 0.5, "weight_decay": 0.1, "d0": 1e-2, "growth_rate": 1.1, "betas": (0.8, 0.95)},
        {"lr": 1.0, "weight_decay": 0.1, "d0": 1e-3, "use_bias_correction": True, "eps": 1e-3},
        {"lr": 0.3, "weight_decay": 0.1, "d0": 1e-3, "safeguard_warmup": True, "beta3": 0.9},
        {"lr": 1.0, "weight_decay": 0.1, "d0": 1e-3, "d_coef": 0.5},
        branches="d grows, d stays, growth is capped",
        kind="drift",
        together=True,
    ),
    _new(
        "Adafactor",
        {"lr": 0.3, "weight_decay": 0.1},
        {"lr": 0.05, "weight_decay": 0.1, "eps": (1e-6, 2.0), "beta2_decay": -0.5, "d": 2.0},
        branches="small parameter, parameter, lr, 1 / sqrt(t), clipped, free",
        shapes=FLAT,
        kind="dense",
    ),
    _new(
        "AdEMAMix",
        {**_DECAY, "alpha": 3.0},
        {**_BETAS, "betas": (0.8, 0.95, 0.99), "alpha": 5.0, "t_alpha_beta3": 12.0},
        branches="growing, grown",
    ),
    _new("AdamHyper", _DECAY, _BETAS, branches="sphere, AdamW", kind="dense"),
    _new("NormalizedGD", _DECAY, wants_loss=True),
]

_MODIFIERS = [
    *_on_all("Cautious", {}, {"floor": 0.9}, {"normaliser": "count"}, branches="floor, share"),
    *_with("CautiousDecay", {"AdamW": (_DECAY, _BETAS), "Lion": (_LION,)}, "decayed, kept"),
    *_on_all("Lookahead", {"k": 5}, {"k": 3, "alpha": 0.8}, branches="merge"),
    *_on_all("GradientCentralization", {}),
    *_on_all(
        "AdaptiveGradientClipping",
        {},
        {"clip": 0.2, "floor": 0.05},
        branches="rows clipped, rows free",
    ),
    *_on_all("GlobalNormClip", {}, {"max_norm": 20.0}, branches="clipped, free"),
    *_on_all("ValueClip", {"limit": 0.05}, {"fraction": 0.2}, branches="clipped, free"),
    *_with(
        "UpdateClip",
        {
            "AdamW": (_DECAY, {**_BETAS, "threshold": 0.5}),
            "Lion": ({**_LION, "threshold": 0.7},),
            "SGD": (_SGD,),
        },
        "clipped, free",
    ),
    *_on_all("TrustRatio", {}, branches="scaled, zero norm", kind="dense"),
    *_on_all(
        "SpikeClip",
        {},
        {"theta": 0.8, "gamma1": 0.5, "gamma2": 0.8, "norm_eps": 1e-3},
        branches="spikes, no spikes",
        kind="spikes",
    ),
    *_with(
        "MomentumReset",
        {"AdamW": ({**_BETAS, "interval": 7},), "Lion": ({**_LION, "interval": 6},)},
        "restart",
    ),
    *_on_all("NormLoss", {"strength": 0.5}),
    *_on_all("SphereProjection", {}, branches="sphere, free"),
    *_on_all("ElasticAnchor", {"pull": 0.005, "rho": 0.8, "fisher_beta": 0.7}),
    *_with(
        "VarianceReduction",
        {
            "AdamW": (
                {**_BETAS, "gamma": 0.1},
                {**_BETAS, "first": "gradient"},
                {**_BETAS, "unit_norm": False},
            ),
            "Lion": ({**_LION, "gamma": 0.1},),
        },
        "clipped, free",
    ),
    *_on_all("WeightEMA", {"ema": 0.9}, {"ema": 0.8, "copy_first": False}),
    *_stacks(),
    _new("PiecewiseAffine", _DECAY, _BETAS, name="AdamW + PiecewiseAffine"),
]

SCENARIOS: tuple[Scenario, ...] = (*map(_old, _OLD), *_OPTIMIZERS, *_MODIFIERS)
