"""Two pictures of a record: bars of ratios, and time over bytes beside what memory can do.

Needs matplotlib, which is imported when something is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .record import Record, Row
from .report import by_time

OURS, THEIRS, LIMIT, SECOND = "#2e86ab", "#b0b0b0", "#d1495b", "#e9a03b"


def draw(record: Record, stem: Path) -> list[Path]:
    """Write `STEM-ratios.png` and `STEM-roofline.png`; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    made: list[Path] = []
    for name, picture in (("ratios", _ratios), ("roofline", _roofline)):
        figure: Any = picture(plt, record)
        path = stem.with_name(f"{stem.name}-{name}.png")
        figure.tight_layout()
        figure.savefig(path, dpi=110, metadata={"Software": None})
        plt.close(figure)
        made.append(path)
    return made


def _ratios(plt: Any, record: Record) -> Any:
    """Time over the reference's, with quartiles; a mark where bytes alone would put it."""
    rows = list(reversed(by_time([*record.ours, *record.peers])))
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.24 * len(rows)))
    for at, row in enumerate(rows):
        spread = row.ratio
        error = [[spread.median - spread.low], [spread.high - spread.median]]
        colour = OURS if row.library == "stepc" else THEIRS
        axes.barh(at, spread.median, xerr=error, color=colour, height=0.7, ecolor="#444444")
        share = record.share_of_bytes(row)
        if share is not None:
            axes.plot([share, share], [at - 0.45, at + 0.45], color=LIMIT, linewidth=2)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set(xscale="log", xlabel=f"time of a step / {record.reference.name} (red: bytes alone)")
    axes.axvline(1, color="#444444", linewidth=0.8, linestyle=":")
    axes.set_title(f"{record.parameters}, {record.dtype}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _roofline(plt: Any, record: Record) -> Any:
    """Picoseconds per parameter over bytes per parameter; lines are the machine's own rates."""
    figure, axes = plt.subplots(figsize=(8, 5))
    known = [row for row in (*record.ours, record.reference) if row.moved is not None]
    widest = max((row.bytes_per_parameter or 0.0 for row in known), default=1.0) * 1.08
    for rate, colour in zip(record.machine, (LIMIT, SECOND), strict=False):
        per_byte = 1e12 / (record.rate(rate) or float("inf"))
        axes.plot([0, widest], [0, widest * per_byte], color=colour, label=rate.name)
    for row in known:
        _point(axes, row, record)
    axes.set(
        xlabel="bytes moved per parameter, by the plan", ylabel="picoseconds per parameter",
        xlim=(0, widest), ylim=(0, None),
    )  # fmt: skip
    axes.set_title(f"{record.parameters}, {record.dtype}", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _point(axes: Any, row: Row, record: Record) -> None:
    per = record.seconds(row) / row.numel * 1e12
    colour = OURS if row.library == "stepc" else "#444444"
    axes.scatter([row.bytes_per_parameter], [per], s=18, color=colour, zorder=3)
    place = (row.bytes_per_parameter, per)
    axes.annotate(row.name, place, (4, 3), textcoords="offset points", fontsize=7)
