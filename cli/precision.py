"""`stepc precision`: does a cheaper storage train as well?

    $ stepc precision --seeds 5
    storage          state bytes/param  held-out loss  deviation  off by (deviations)
    float32                      8.000         1.8152     0.0101                +0.00
    8 bits, dynamic                ...

The demo's small transformer, AdamW's rule, one learning rate; only what is stored differs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path

import torch

from .. import __version__
from ..benchmarks.report import README, RESULTS, rewrite
from ..benchmarks.training import HEAD, STORAGES, Storage, draw, laps_of, markdown, row
from ..compiler.door import compile as compile_spec
from ..demo.characters import characters
from ..demo.race import Lap, MakeOptimizer
from .failure import Failure
from .terminal import progress, table

EXAMPLES = """examples:
  stepc precision                      five seeds, about ten minutes on two cores
  stepc precision --seeds 2 --steps 50"""

RATE = 2e-3


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=5, help="runs of each storage, at least 2 (5)")
    parser.add_argument("--steps", type=int, default=300, help="training steps of each run (300)")
    parser.add_argument(
        "-o", "--output", type=Path, default=RESULTS,
        metavar="FOLDER", help="(benchmarks/results)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    if options.seeds < 2:
        raise Failure("one seed has no deviation", "say --seeds 2 at least")
    task = characters(options.steps)
    found: dict[str, list[Lap]] = {}
    for storage in STORAGES:
        going = partial(progress, title=f"  {storage.name}")
        found[storage.name] = laps_of(storage, optimizer(storage), task, options.seeds, going)
    rows = [row(laps, found["float32"]) for laps in found.values()]
    print(table(HEAD, rows))
    record = {
        "date": date.today().isoformat(),
        "versions": {"stepc": __version__, "torch": torch.__version__},
        "seeds": options.seeds,
        "steps": options.steps,
        "rows": [dict(zip(HEAD, cells, strict=True)) for cells in rows],
        "losses": {name: [lap.loss for lap in laps] for name, laps in found.items()},
        "storages": [asdict(storage) for storage in STORAGES],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "training.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draw(found, path.with_suffix(".png"))
    if options.output.resolve() == RESULTS.resolve() and README.is_file():
        readme = README.read_text(encoding="utf-8")
        README.write_text(rewrite(readme, path.name, markdown(record)), encoding="utf-8")
    return 0


def optimizer(storage: Storage) -> MakeOptimizer:
    """AdamW's rule, kept so."""
    made = compile_spec(storage.what, quantize=storage.quantize, rounding=storage.rounding)
    return partial(made, lr=RATE, weight_decay=1e-2)
