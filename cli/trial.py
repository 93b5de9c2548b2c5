"""One trial of an optimizer: random tensors, a few steps, every target against the equations.

    trial = draw(seed=7, model)
    compare(exact(model, trial), exact(model, trial, nudged=True), measured(AdamW, trial, "c"), ...)

The interpreter runs the same steps in float64. A difference is measured in roundings: one is the
spacing of the parameter's dtype at the size of the result, plus what the exact result itself moves
when its inputs move by one spacing. Where a rule decides (`sign`, `where`, a codec's codes), a few
values may come to lie on the other side; they are counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..dsl.interpret import Interpreter
from ..dsl.interpret import Tensor as Exact
from ..dsl.model import Const, Hyper, Model
from ..runtime import use_target
from .gradients import GRADIENTS, Array

SHAPES = ((), (1,), (7,), (33, 5), (3, 130), (130, 3), (4, 3, 3, 2), (257,), (64, 64), (1100,))
MATRICES = ((5, 3), (3, 5), (16, 24), (24, 16), (33, 33))
NAMES = ("embed", "layers.0.attn.q_proj", "layers.1.mlp.up", "norm", "head")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
STEPS = 4

Snapshot = dict[str, Array]  # `param 0`, `m 0`: values after a step


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried: enough to say it again."""

    seed: int
    dtype: str
    gradients: str
    shapes: tuple[tuple[int, ...], ...]
    hypers: dict[str, Any]

    def __str__(self) -> str:
        shapes = " ".join("x".join(map(str, shape)) or "0-d" for shape in self.shapes)
        hypers = ", ".join(f"{name}={value}" for name, value in self.hypers.items()) or "defaults"
        return (
            f"seed {self.seed}: {self.dtype}, shapes {shapes}, {self.gradients} gradients, {hypers}"
        )

    @property
    def spacing(self) -> float:
        """The relative spacing of numbers of the dtype."""
        return torch.finfo(DTYPES[self.dtype]).eps

    def names(self) -> list[str]:
        return [
            f"{NAMES[(self.seed + k) % len(NAMES)]}.{k}.weight" for k in range(len(self.shapes))
        ]

    def parameters(self) -> list[Array]:
        rng = np.random.default_rng((self.seed, 1))
        return [self.stored(rng.standard_normal(shape)) for shape in self.shapes]

    def start(self) -> Snapshot:
        return {f"param {k}": value.ravel() for k, value in enumerate(self.parameters())}

    def gradient(self, step: int) -> list[Array]:
        rng = np.random.default_rng((self.seed, 2, step))
        return [self.stored(GRADIENTS[self.gradients](rng, shape)) for shape in self.shapes]

    def loss(self, step: int) -> float:
        """A loss for rules that read it; float32 holds it."""
        return 0.25 * (STEPS - step)

    def stored(self, values: Array) -> Array:
        """The nearest values that the dtype has."""
        return torch.tensor(values).to(DTYPES[self.dtype]).double().numpy()


@dataclass(slots=True)
class Worst:
    """The largest difference seen so far, in roundings, and where; `astray`: how many of `values`
    lie further off than any rounding explains."""

    roundings: float = 0.0
    where: str = "-"
    astray: int = 0
    values: int = 0

    def add(self, other: Worst) -> None:
        if other.roundings > self.roundings:
            self.roundings, self.where = other.roundings, other.where
        self.astray += other.astray
        self.values += other.values


def draw(seed: int, model: Model) -> Trial:
    """A trial at random, with nasty gradients one time in two."""
    rng = np.random.default_rng(seed)
    shapes: tuple[tuple[int, ...], ...] = MATRICES if model.requires else SHAPES
    chosen: list[int] = rng.choice(len(shapes), size=rng.integers(1, 4)).tolist()
    return Trial(
        seed,
        str(rng.choice(list(DTYPES), p=(0.7, 0.2, 0.1))),
        "normal" if rng.random() < 0.5 else str(rng.choice(list(GRADIENTS))),
        tuple(shapes[k] for k in chosen),
        {h.name: value for h in model.hypers if (value := another(h, rng)) is not None},
    )


def another(hyper: Hyper, rng: np.random.Generator) -> Any:
    """A value inside the hyper's interval, or None for its default (two times in three)."""
    if hyper.default is None:
        lowest = hyper.bounds.low if hyper.bounds else 1
        return max(1, int(lowest)) if hyper.type == "int" else near(hyper, 0.1, rng)
    if rng.random() < 2 / 3 or (hyper.structural and hyper.type == "int"):  # that is compiled in
        return None
    match hyper:
        case Hyper(choices=choices) if choices:
            return str(rng.choice(choices))
        case Hyper(default=Const(value=bool() as value)):
            return not value
        case Hyper(default=Const(value=int() | float() as value)):
            return near(hyper, value, rng)
        case Hyper(type="tuple", default=tuple() as items) if hyper.items:
            values = [
                i.value for i in items if isinstance(i, Const) and not isinstance(i.value, str)
            ]
            return tuple(near(hyper, v, rng) for v in values) if len(values) == len(items) else None
        case _:
            return None


def near(hyper: Hyper, value: float, rng: np.random.Generator) -> float:
    """A value of the same kind that the interval allows; the default itself if none is found."""
    if hyper.type == "int":
        other: float = value + int(rng.integers(1, 3))
    elif hyper.bounds and hyper.bounds.high <= 1 and hyper.bounds.low >= -1:
        other = round(float(rng.uniform(hyper.bounds.low, hyper.bounds.high)), 3)
    else:
        other = float(f"{(value or 0.1) * 10 ** rng.uniform(-1, 1):.2g}")
    return other if hyper.bounds is None or other in hyper.bounds else value


def exact(model: Model, trial: Trial, nudged: bool = False) -> list[Snapshot]:
    """What the equations say, before the first step and after each; `nudged`: when all inputs
    move by one spacing."""
    rng = np.random.default_rng((trial.seed, 3))

    def nudge(values: Array) -> Array:
        signs = rng.choice((-1.0, 1.0), size=values.shape)
        return values * (1 + trial.spacing * signs) if nudged else values

    start = zip(trial.names(), trial.parameters(), strict=True)
    tensors = [Exact(name, nudge(value), trial.dtype) for name, value in start]
    run = Interpreter(model, tensors, groups=[trial.hypers])
    made = [trial.start()]
    for step in range(STEPS):
        run.step([nudge(grad) for grad in trial.gradient(step)], trial.loss(step))
        now: Snapshot = {}
        for k, (tensor, states) in enumerate(zip(tensors, run.states, strict=True)):
            now[f"param {k}"] = np.array(tensor.value, dtype=np.float64).ravel()
            for name, value in states.items():
                now[f"{name} {k}"] = np.array(value, dtype=np.float64).ravel()
        made.append(now)
    return made


def measured(optimizer: type[Any], trial: Trial, target: str) -> list[Snapshot]:
    """What one target computes, before the first step and after each."""
    dtype = DTYPES[trial.dtype]
    params = [torch.nn.Parameter(torch.tensor(value).to(dtype)) for value in trial.parameters()]
    made = [trial.start()]
    with use_target(target):
        opt = optimizer(list(zip(trial.names(), params, strict=True)), **trial.hypers)
        for step in range(STEPS):
            for param, grad in zip(params, trial.gradient(step), strict=True):
                param.grad = torch.tensor(grad).to(dtype)
            opt.step(loss=trial.loss(step))
            now: Snapshot = {}
            for k, param in enumerate(params):
                kept = {"param": param.detach()} | opt.state[param]
                for name, value in kept.items():
                    if isinstance(value, torch.Tensor) and value.is_floating_point():
                        now[f"{name} {k}"] = value.double().numpy().ravel().copy()
            made.append(now)
    return made


def compare(
    equations: list[Snapshot],
    nudged: list[Snapshot],
    target: list[Snapshot],
    spacing: float,
    limit: float,
) -> Worst:
    """The largest difference, over what both sides have."""
    worst = Worst()
    before: Snapshot = {}
    for step, (right, moved, made) in enumerate(zip(equations, nudged, target, strict=True)):
        for name in right.keys() & made.keys():
            a, b = made[name], right[name]
            if a.shape != b.shape:
                continue  # the runtime keeps this state in another layout
            unit = rounding(b, moved[name], before.get(name), spacing)
            off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / unit)
            off = np.where(np.isnan(off), np.inf, off)
            if not off.size:
                continue
            at = int(off.argmax())
            where = f"{name}[{at}] after step {step}: {a[at]:.9g}, not {b[at]:.9g}"
            worst.add(Worst(float(off[at]), where, int((off > limit).sum()), off.size))
        before = right
    return worst


def rounding(b: Array, moved: Array, before: Array | None, spacing: float) -> Array:
    """One rounding of each value: the dtype's spacing at the size of the result and of the largest
    change, and what the result moves when the inputs do."""
    change = (
        np.abs(b - before).max(initial=0.0) if before is not None else np.abs(b).max(initial=0.0)
    )
    move = np.abs(moved - b)
    together = float(np.sqrt(np.mean(move**2))) if move.size else 0.0
    smallest = float(torch.finfo(torch.float32).tiny)
    return spacing * (np.abs(b) + change) + np.maximum(move, together) + smallest
