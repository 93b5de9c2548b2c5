"""`stepc demo`: a new optimizer compiled and raced against torch's AdamW, on two small real tasks.

The optimizer is demo/my_adamw.opt, which nobody has compiled before; the numbers are measured
while it runs.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path

import torch

from .. import compile as compile_spec
from .. import demo
from ..compiler.pipeline import plan
from ..demo.characters import characters
from ..demo.digits import digits
from ..demo.plot import draw
from ..demo.race import Lap, MakeOptimizer
from ..demo.race import run as race
from ..dsl.load import load
from .explain import cost, passes_of
from .highlight import highlight
from .terminal import paint, progress, table

EXAMPLES = """examples:
  stepc demo                        about a minute on two cores
  stepc demo --steps 50 --plot p.png"""

SPEC = Path(demo.__file__).parent / "my_adamw.opt"
RATE = 2e-3  # for both: the rule is what differs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=300, help="training steps of each run (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the models' initial values (0)")
    parser.add_argument(
        "--plot", type=Path, default=Path("stepc-demo.png"), help="where the loss curves go"
    )


def run(options: argparse.Namespace) -> int:
    shown = os.path.relpath(SPEC)
    print(paint(f"1. A spec that is not prebuilt: {shown}\n", "bold"))
    print(highlight(SPEC.read_text(encoding="utf-8"), "opt"))

    start = time.perf_counter()
    mine = compile_spec(SPEC)
    seconds = time.perf_counter() - start
    print(paint("2. Compiled", "bold"))
    print(f"In {seconds:.2f} s. `stepc inspect {shown}` shows every stage; its plan is\n")
    costs = [cost(each, "float32", 0.0) for each in plan(load(SPEC))[1]]
    print("\n\n".join(map(passes_of, costs)) + "\n")

    print(paint("3. Trained beside torch's AdamW, from the same seeds", "bold"), flush=True)
    # torch's fused AdamW reads and writes each tensor once; its `passes` is known, not measured
    fused = partial(torch.optim.AdamW, lr=RATE, weight_decay=1e-2, fused=True)
    optimizers: dict[str, tuple[MakeOptimizer, int]] = {
        "torch AdamW (fused)": (fused, 1),
        mine.__name__: (
            partial(mine, lr=RATE, weight_decay=1e-2),
            max(len(each.passes) for each in costs),
        ),
    }
    laps: list[Lap] = []
    rows: list[tuple[str, ...]] = []
    for task in (digits(options.steps), characters(options.steps)):
        for name, (make, passes) in optimizers.items():
            going = partial(progress, title=f"  {task.name}, {name}")
            laps.append(race(task, name, make, options.seed, going))
            rows.append((*row(laps[-1]), str(passes)))
    print()
    print(table(HEAD, rows))
    draw(laps, options.plot)
    print(
        f"\nLoss and accuracy on held-out data; ms of opt.step() alone, the median. "
        f"Curves: {options.plot}"
    )
    return 0


HEAD = (
    "task",
    "optimizer",
    "parameters",
    "loss",
    "accuracy",
    "ms per step",
    "state bytes/param",
    "passes",
)


def row(lap: Lap) -> tuple[str, ...]:
    return (
        lap.task, lap.optimizer, f"{lap.parameters:,}", f"{lap.loss:.4f}",
        f"{lap.accuracy:.1%}", f"{lap.ms_per_step:.2f}", f"{lap.state_bytes:.2f}",
    )  # fmt: skip
