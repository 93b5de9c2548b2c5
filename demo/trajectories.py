"""Where an optimizer goes on two test functions: a curved valley, and many local minima.

    draw("AdamW", Path("AdamW.png"))

The learning rate is the best of a few powers of ten, by where `STEPS` steps end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from torch import Tensor

STEPS = 300
RATES = tuple(10.0**e for e in range(-4, 2))


@dataclass(frozen=True, slots=True)
class Landscape:
    """A function of a point (x, y) with its least value 0 at `goal`."""

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    start: tuple[float, float]
    goal: tuple[float, float]
    x: tuple[float, float]
    y: tuple[float, float]


def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def rastrigin(x: Tensor, y: Tensor) -> Tensor:
    waves = torch.cos(2 * math.pi * x) + torch.cos(2 * math.pi * y)
    return 20 + x * x + y * y - 10 * waves


LANDSCAPES = (
    Landscape("Rosenbrock", rosenbrock, (-1.5, 2.0), (1.0, 1.0), (-2.0, 2.0), (-1.0, 3.0)),
    Landscape("Rastrigin", rastrigin, (-2.2, 3.4), (0.0, 0.0), (-4.5, 4.5), (-4.5, 4.5)),
)


def trajectory(name: str, where: Landscape, rate: float) -> Tensor:
    """The points (steps, 2) that an optimizer visits, up to the first that is not finite."""
    point = torch.tensor([where.start]).requires_grad_()  # a matrix, so that Muon takes it
    made = getattr(import_module("stepc.generated"), name)
    given = {hyper.name: 1 for hyper in made.hypers if hyper.required}
    opt = made([("point", point)], lr=rate, **given)
    points = [point.detach().clone()]

    def closure() -> Tensor:
        opt.zero_grad()
        loss = where.value(point[0, 0], point[0, 1])
        loss.backward()
        return loss

    for _ in range(STEPS):
        opt.step(closure)
        if not bool(torch.isfinite(point).all()):
            break
        points.append(point.detach().clone())
    return torch.cat(points)


def best(name: str, where: Landscape) -> tuple[float, Tensor]:
    """The rate that ends lowest, and where it went."""
    paths = {rate: trajectory(name, where, rate) for rate in RATES}

    def height(rate: float) -> float:
        path = paths[rate]
        if len(path) <= STEPS:  # it left the numbers
            return math.inf
        return float(where.value(path[-1, 0], path[-1, 1]))

    rate = min(RATES, key=height)
    return rate, paths[rate]


def draw(name: str, path: Path) -> None:
    """Both trajectories side by side; no screen is needed."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(1, len(LANDSCAPES), figsize=(7, 2.8), dpi=80)
    for place, where in zip(axes, LANDSCAPES, strict=True):
        rate, points = best(name, where)
        across, up = torch.linspace(*where.x, 160), torch.linspace(*where.y, 160)
        x, y = torch.meshgrid(across, up, indexing="xy")
        place.contourf(x, y, torch.log1p(where.value(x, y)), levels=12, cmap="Greys")
        place.plot(points[:, 0], points[:, 1], color="#d62728", linewidth=1.2)
        place.plot(*where.goal, "x", color="#1f77b4")
        place.set(xlim=where.x, ylim=where.y, xticks=[], yticks=[])
        place.set_title(f"{where.name}, lr = {rate:g}", fontsize=9)
    figure.suptitle(name, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
