"""The loss curves of a race as one picture, a panel for each task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

from .race import Lap

COLOURS = ("#8a8a8a", "#d1495b", "#2e86ab")


def draw(laps: Sequence[Lap], path: Path) -> None:
    """Write the picture to `path`; no screen is needed."""
    matplotlib.use("Agg")
    tasks = list(dict.fromkeys(lap.task for lap in laps))
    figure, panels = plt.subplots(1, len(tasks), figsize=(5 * len(tasks), 3.6), squeeze=False)
    for panel, task in zip(panels[0], tasks, strict=True):
        for lap, colour in zip((lap for lap in laps if lap.task == task), COLOURS, strict=False):
            panel.plot(lap.losses, color=colour, alpha=0.2, linewidth=0.8)
            panel.plot(smooth(lap.losses), color=colour, linewidth=1.8, label=lap.optimizer)
        panel.set(title=task, xlabel="step", yscale="log")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    panels[0][0].set_ylabel("training loss")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def smooth(losses: Sequence[float], keep: float = 0.9) -> list[float]:
    """An exponential mean that starts at the first value."""
    return list(accumulate(losses, lambda mean, loss: keep * mean + (1 - keep) * loss))
