"""Every prebuilt optimizer's step on this CPU against torch's fused AdamW, interleaved in one run.

    python benchmarks/against_torch.py [--shapes gpt2|flat] [--rounds 15] [NAME ...]

Pairs of steps are timed in turn (ours, torch's), and the median of the pairs' ratios is printed
with its quartiles, beside the ratio that bytes alone would give (28 per parameter for AdamW). The
first row is torch's fused AdamW against itself: the noise. `gpt2` is GPT-2 small's list of 148
tensors (124.4 million parameters), `flat` one square of 16.8 million. Writes benchmarks/results/.
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
    """What a step of a large matrix moves per float32 parameter, on the dearest path."""
    _, plans = plan(load(name))
    small = [p for p in plans if not _is_small(p)]
    return max(sum(map(traffic, p.sweeps)) for p in small)


def _is_small(made: Any) -> bool:
    """A path for small tensors, which store their states plainly."""
    return any("numel" in repr(c) and taken for c, taken in made.program.decisions)


_BLOCK = ((768,), (768,), (2304, 768), (2304,), (768, 768), (768,), (768,), (768,), (3072, 768),
          (3072,), (768, 3072), (768,))  # fmt: skip
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "gpt2": ((50257, 768), (1024, 768), *(12 * _BLOCK), (768,), (768,)),
    "flat": ((4096, 4096),),
}


def with_gradients(shapes: tuple[tuple[int, ...], ...]) -> list[torch.Tensor]:
    params = [torch.randn(shape).requires_grad_() for shape in shapes]
    for param in params:
        param.grad = torch.randn_like(param)
    return params


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
    parser.add_argument("--shapes", choices=SHAPES, default="gpt2")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    names = options.names or [n for n in stepc.generated.__all__ if not n.startswith("Muon")]
    shapes = SHAPES[options.shapes]
    rows: list[dict[str, Any]] = []
    for name in ["torch", *names]:
        theirs = torch.optim.AdamW(with_gradients(shapes), fused=True)
        if name == "torch":
            ours, share, first = torch.optim.AdamW(with_gradients(shapes), fused=True), 1.0, 0.0
        else:
            cls = getattr(stepc.generated, name)
            required = {h.name: 1 for h in cls.hypers if h.required}
            ours = cls(with_gradients(shapes), **required)
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
               "machine": platform.machine(), "shapes": options.shapes}  # fmt: skip
    out = Path(__file__).parent / "results" / f"cpu-{options.shapes}-{date.today()}.json"
    out.write_text(
        json.dumps({"date": str(date.today()), **machine, "rows": rows}, indent=1) + "\n"
    )
    print(f"written to {out}")


if __name__ == "__main__":
    main()
