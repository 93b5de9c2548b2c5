"""Every prebuilt optimizer's step on this CPU against torch's fused AdamW, interleaved in one run.

    python benchmarks/against_torch.py [--elements 33554432] [--rounds 15] [NAME ...]

Pairs of steps are timed in turn (ours, torch's), and the median of the pairs' ratios is printed
with its quartiles, beside the ratio that bytes alone would give (28 per parameter for AdamW). The
first row is torch's fused AdamW against itself: the noise. Writes benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

import stepc
import stepc.generated
from stepc.compiler.pipeline import plan
from stepc.compiler.schedule import traffic
from stepc.dsl.load import load

FUSED_BYTES = 28.0


def bytes_of(name: str) -> float:
    """What the plan of an ordinary step of a large matrix moves per float32 parameter: the dearest path."""
    _, plans = plan(load(name))
    small = [p for p in plans if not _is_small(p)]
    return max(sum(map(traffic, p.sweeps)) for p in small)


def _is_small(made: Any) -> bool:
    """A path for small tensors, which store their states plainly."""
    return any("numel" in repr(c) and taken for c, taken in made.program.decisions)


def with_gradient(elements: int) -> list[torch.Tensor]:
    side = int(elements**0.5)
    p = torch.randn(side, side).requires_grad_()
    p.grad = torch.randn(side, side)
    return [p]


def seconds(optimizer: torch.optim.Optimizer) -> float:
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start


def race(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer, rounds: int) -> list[float]:
    for _ in range(3):
        seconds(ours), seconds(theirs)
    return sorted(seconds(ours) / seconds(theirs) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--elements", type=int, default=32 * 2**20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    names = options.names or [n for n in stepc.generated.__all__ if not n.startswith("Muon")]
    rows: list[dict[str, Any]] = []
    for name in ["torch", *names]:
        theirs = torch.optim.AdamW(with_gradient(options.elements), fused=True)
        if name == "torch":
            ours, share, first = torch.optim.AdamW(with_gradient(options.elements), fused=True), 1.0, 0.0
        else:
            cls = getattr(stepc.generated, name)
            required = {h.name: 1 for h in cls.hypers if h.required}
            ours = cls(with_gradient(options.elements), **required)
            first, share = seconds(ours), bytes_of(name) / FUSED_BYTES
        ratios = race(ours, theirs, options.rounds)
        low, _, high = statistics.quantiles(ratios, n=4)
        row = {"name": name, "ratio": statistics.median(ratios), "low": low, "high": high,
               "byte_share": share, "first_step_s": first}  # fmt: skip
        rows.append(row)
        print(
            f"{name:12} {row['ratio']:6.2f} x fused AdamW  ({low:.2f} to {high:.2f})   "
            f"bytes {share:.2f}   first step {first:.2f} s",
            flush=True,
        )
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads(),
               "machine": platform.machine(), "elements": options.elements}  # fmt: skip
    out = Path(__file__).parent / "results" / f"cpu-{date.today()}.json"
    out.write_text(json.dumps({"date": str(date.today()), **machine, "rows": rows}, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
