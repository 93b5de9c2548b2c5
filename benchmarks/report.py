"""A record as tables: for the terminal, and as Markdown between marks in benchmarks/README.md.

<!-- results/cpu-gpt2-float32.json -->
... everything from here is written by `stepc bench --report` ...
<!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .record import Record, Row, Spread

README = Path(__file__).parent / "README.md"
RESULTS = Path(__file__).parent / "results"

HEAD = ("optimizer", "time", "quartiles", "bytes alone", "bytes/param", "GB/s", "of copy",
        "first step cold/warm ms", "host us", "us/tensor", "launches", "state B/param",
        "peak extra MB")  # fmt: skip
PEER_HEAD = ("peer", "time", "quartiles", "ours", "ours/peer", "quartiles", "first step ms",
             "host us", "state B/param", "peak extra MB")  # fmt: skip


def cells(record: Record, row: Row) -> tuple[str, ...]:
    """A row of ours, as HEAD says."""
    host = row.host_s
    return (
        row.name, f"{row.ratio.median:.2f}", quartiles(row.ratio),
        said(record.share_of_bytes(row), ".2f"), said(row.bytes_per_parameter, ".4g"),
        said(record.rate(row), ".1f", 1e-9), said(share_of_copy(record, row), ".0%"),
        f"{said(row.cold_s, '.0f', 1e3)} / {said(row.warm_s, '.0f', 1e3)}",
        said(host, ".0f", 1e6), said(host, ".2f", 1e6 / record.tensors),
        said(row.launches, "d"), kept(row), said(row.extra_bytes, ".0f", 1e-6),
    )  # fmt: skip


def peer_cells(row: Row) -> tuple[str, ...]:
    """A peer's row, as PEER_HEAD says."""
    against = row.ours_ratio
    return (
        row.name, f"{row.ratio.median:.2f}", quartiles(row.ratio), row.ours or "-",
        f"{against.median:.2f}" if against else "-", quartiles(against) if against else "-",
        said(row.cold_s, ".0f", 1e3), said(row.host_s, ".0f", 1e6), kept(row),
        said(row.extra_bytes, ".0f", 1e-6),
    )  # fmt: skip


def quartiles(found: Spread) -> str:
    return f"{found.low:.2f} to {found.high:.2f}"


def said(number: float | None, style: str, scale: float = 1.0) -> str:
    """`-` for what is not known."""
    if number is None:
        return "-"
    return format(number if scale == 1.0 else number * scale, style)


def kept(row: Row) -> str:
    return said(None if row.state_bytes is None else row.state_bytes / row.numel, ".4g")


def share_of_copy(record: Record, row: Row) -> float | None:
    """Its bytes per second over the machine's copy's."""
    copy = next((record.rate(rate) for rate in record.machine if rate.rule == "copy"), None)
    own = record.rate(row)
    return own / copy if own and copy else None


def circumstances(record: Record) -> str:
    """Where, when, with what, and how noisy."""
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    rates = ", ".join(f"{r.rule} {said(record.rate(r), '.1f', 1e-9)} GB/s" for r in record.machine)
    threads = "1 thread" if record.threads == 1 else f"{record.threads} threads"
    noise = record.rows[0].ratio
    return (
        f"{record.date}, {record.device}, {threads}; {versions}.\n"
        f"Parameters: {record.parameters}, {record.tensors:,} tensors, {record.numel:,} numbers of "
        f"{record.dtype}. Reference: {record.reference.name}, "
        f"{record.reference.step_s * 1e3:.1f} ms a step.\n"
        f"The reference against itself: {noise.median:.2f} ({quartiles(noise)}; {noise.pairs} "
        f"pairs).\nThe machine: {rates or 'not measured'}."
    )


# ---------------------------------------------------------------- Markdown


def markdown(record: Record, pictures: Sequence[str]) -> str:
    """The record's part of the README; `pictures` are paths beside it."""
    parts = ["\n".join(f"{line}  " for line in circumstances(record).splitlines())]
    parts += [f"![{Path(path).stem}]({path})" for path in pictures]
    parts.append(as_table(HEAD, [cells(record, row) for row in by_time(record.ours)]))
    if record.peers:
        parts.append(as_table(PEER_HEAD, [peer_cells(row) for row in by_time(record.peers)]))
    if record.failures:
        parts.append("Did not run:")
        parts.append("\n".join(f"- {f.name}: `{f.message}`" for f in record.failures))
    return "\n\n".join(parts)


def by_time(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.ratio.median, row.name))


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its first column to the left."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def block(name: str) -> re.Pattern[str]:
    """The part of the README between the marks of a file of results/."""
    return re.compile(rf"(<!-- results/{re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(readme: str, name: str, text: str) -> str:
    """The README with a record's part written anew; as it was if it has no such part."""
    return block(name).sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", readme)
