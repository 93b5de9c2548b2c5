"""Does a cheaper storage train as well? The demo's transformer in each, several seeds of each.

All have AdamW's rule, one learning rate and the same batches; a seed sets the model's first values.
`stepc precision` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from ..demo.plot import smooth
from ..demo.race import Lap, MakeOptimizer, Task, run
from .report import as_table


@dataclass(frozen=True, slots=True)
class Storage:
    """A way to keep what AdamW keeps: its states' codec, its parameters' dtype and rounding."""

    name: str
    what: str = "AdamW"
    quantize: str | None = None
    rounding: str | None = None
    dtype: str = "float32"


STORAGES = (
    Storage("float32"),
    Storage("8 bits, dynamic", "AdamW8bit"),
    Storage("8 bits, companded", "FlashAdamW"),
    Storage("4 bits", "AdamW4bit"),
    Storage("bfloat16, nearest", dtype="bfloat16"),
    Storage("bfloat16, stochastic", rounding="stochastic", dtype="bfloat16"),
    Storage("bfloat16, kahan", rounding="kahan", dtype="bfloat16"),
    Storage("bfloat16, master(8)", rounding="master(bits = 8)", dtype="bfloat16"),
)


class Wide(nn.Module):
    """A model in some dtype whose outputs are float32, so that losses are comparable."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        logits: Tensor = self.model(codes)
        return logits.float()


def task_in(task: Task, dtype: torch.dtype) -> Task:
    """The task with a model whose parameters are of `dtype`."""

    def model() -> nn.Module:
        return Wide(task.model().to(dtype))

    return Task(task.name, task.steps, model, task.batches, task.test)


def laps_of(
    storage: Storage,
    make: MakeOptimizer,
    task: Task,
    seeds: int,
    going: Callable[[range], Iterable[int]] = iter,
) -> list[Lap]:
    """One run for each seed."""
    mine = task_in(task, getattr(torch, storage.dtype))
    return [run(mine, storage.name, make, seed) for seed in going(range(seeds))]


def row(laps: Sequence[Lap], reference: Sequence[Lap]) -> tuple[str, ...]:
    """The mean of the held-out loss over the seeds, its deviation, and how far off it is in the
    deviations of the reference."""
    losses, theirs = [lap.loss for lap in laps], [lap.loss for lap in reference]
    away = (mean(losses) - mean(theirs)) / stdev(theirs)
    return (
        laps[0].optimizer, f"{laps[0].state_bytes:.3f}", f"{mean(losses):.4f}",
        f"{stdev(losses):.4f}", f"{away:+.2f}",
    )  # fmt: skip


HEAD = ("storage", "state bytes/param", "held-out loss", "deviation", "off by (deviations)")


def markdown(record: Mapping[str, Any]) -> str:
    """The part of the README that `training.json` stands for."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    rows: list[list[str]] = [list(cells.values()) for cells in record["rows"]]
    what = f"{record['date']}, {versions}; {record['seeds']} seeds of {record['steps']} steps each."
    return f"{what}\n\n![training](results/training.png)\n\n{as_table(HEAD, rows)}"


def draw(found: dict[str, list[Lap]], path: Path) -> None:
    """Mean training loss of each storage, with a band of one deviation over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (whole, end) = plt.subplots(1, 2, figsize=(10, 4))
    for name, laps in found.items():
        curves = torch.tensor([smooth(lap.losses, 0.95) for lap in laps])
        middle, spread = curves.mean(0), curves.std(0)
        for panel, first in ((whole, 0), (end, curves.shape[1] * 2 // 3)):
            steps = torch.arange(first, curves.shape[1])
            panel.plot(steps, middle[first:], label=name, linewidth=1.2)
            low, high = middle - spread, middle + spread
            panel.fill_between(steps, low[first:], high[first:], alpha=0.15)
            panel.set_xlabel("step")
            panel.spines[["top", "right"]].set_visible(False)
    whole.set(ylabel="training loss", title="the demo's transformer, AdamW's rule")
    end.set(title="the last third")
    whole.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
