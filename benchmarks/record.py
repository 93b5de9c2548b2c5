"""What a run of the benchmark found, as data and as JSON.

record = read(Path("benchmarks/results/cpu-gpt2-float32.json"))
record.row("Lion").ratio.median
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import torch

from .. import __version__

PEERS = ("triton", "bitsandbytes", "torchao", "heavyball", "pytorch_optimizer", "torch-optimi",
         "flashoptim", "lion-pytorch", "schedulefree")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the quartiles of some pairs' ratios."""

    median: float
    low: float
    high: float
    pairs: int


def spread(numbers: Sequence[float]) -> Spread:
    """Of at least two numbers."""
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(median, low, high, len(numbers))


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant. `ratio`: its time over the reference's, pair by pair; a peer also has `ours`,
    the contestant it was raced beside, and `ours_ratio`, that one's time over its own. Seconds of
    the first step: `cold_s` and `warm_s` on one matrix of 256 x 256, with and without compilation,
    `first_s` on the whole list after that. Bytes are per step; None is what nobody can tell."""

    name: str
    library: str
    variant: str
    rule: str
    ratio: Spread
    step_s: float
    ours: str | None = None
    ours_ratio: Spread | None = None
    numel: int = 0
    moved: float | None = None
    launches: int | None = None
    state_bytes: int | None = None
    extra_bytes: int | None = None
    host_s: float | None = None
    cold_s: float | None = None
    warm_s: float | None = None
    first_s: float | None = None

    @property
    def bytes_per_parameter(self) -> float | None:
        return None if self.moved is None else self.moved / self.numel


@dataclass(frozen=True, slots=True)
class Failure:
    """A contestant that did not run, and why."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """A run: where, when, with what, and its rows. The first row is the reference against itself:
    the noise. `machine`: its plain copy and product in place."""

    date: str
    device: str
    threads: int
    versions: dict[str, str]
    parameters: str
    tensors: int
    numel: int
    dtype: str
    reference: Row
    machine: tuple[Row, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()

    def row(self, name: str) -> Row:
        """The row of a contestant; StopIteration without one."""
        return next(row for row in self.rows if row.name == name)

    @property
    def ours(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.library == "stepc")

    @property
    def peers(self) -> tuple[Row, ...]:
        """Without the reference against itself."""
        return tuple(row for row in self.rows[1:] if row.library != "stepc")

    def seconds(self, row: Row) -> float:
        """Of a step, by its ratio: the machine's speed changes between heats, ratios stay."""
        return row.ratio.median * self.reference.step_s

    def rate(self, row: Row) -> float | None:
        """Bytes per second."""
        return None if row.moved is None else row.moved / self.seconds(row)

    def share_of_bytes(self, row: Row) -> float | None:
        """Its bytes over the reference's: the ratio that memory alone would give."""
        if row.moved is None or self.reference.moved is None:
            return None
        return row.moved / self.reference.moved


def write(record: Record, path: Path) -> None:
    """As JSON; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(asdict(record)), encoding="utf-8")


def dumps(data: object) -> str:
    """Indented, with numbers as short as they can be believed."""
    return json.dumps(_shortened(data), indent=1) + "\n"


def _shortened(data: Any) -> Any:
    if isinstance(data, float):
        return float(f"{data:.5g}")
    if isinstance(data, dict):
        return {key: _shortened(value) for key, value in cast("dict[str, Any]", data).items()}
    if isinstance(data, (list, tuple)):
        return [_shortened(value) for value in cast("list[Any]", data)]
    return data


def read(path: Path) -> Record:
    """What was written. OSError, ValueError or TypeError if it cannot be."""
    return from_data(json.loads(path.read_text(encoding="utf-8")))


def from_data(data: dict[str, Any]) -> Record:
    """ValueError or TypeError if the data is no record."""
    made = {
        key: data[key] for key in data if key not in ("reference", "machine", "rows", "failures")
    }
    return Record(
        **made,
        reference=_row(data["reference"]),
        machine=tuple(map(_row, data["machine"])),
        rows=tuple(map(_row, data["rows"])),
        failures=tuple(Failure(**failure) for failure in data["failures"]),
    )


def _row(data: Mapping[str, Any]) -> Row:
    made = dict(data)
    made["ratio"] = Spread(**data["ratio"])
    made["ours_ratio"] = Spread(**data["ours_ratio"]) if data["ours_ratio"] else None
    return Row(**made)


# ---------------------------------------------------------------- where and with what


def today() -> str:
    return str(date.today())


def versions() -> dict[str, str]:
    """Of Python, torch, stepc, and the peers that are installed."""
    found: dict[str, str] = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "stepc": __version__,
    }
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: str) -> str:
    """The processor's name, as the system gives it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(names) or "unknown"
    return f"{names[0] if names else platform.processor()}, {cores} cores, {sys.platform}"
