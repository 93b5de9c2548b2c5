"""What a step costs on the host, without its kernels: microseconds, beside torch's fused AdamW.

    python -m stepc.benchmarks.host_cost [AdamW ...]

Tensors of eight numbers, and new gradients before every step, as after `zero_grad()`. Our kernels
are not launched (a stub stands in the launcher's place); torch's are, for it has no such place, but
they have next to nothing to do. The two take turns, a few steps each; the first of these, whose
memory the other has driven out of the caches, do not count. Time is the thread's own, so that a
busy machine disturbs it less.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import Parameter

from .. import generated
from ..runtime.c import Library

COUNTS = (10, 300, 1000, 10_000)
_TURNS, _STEPS, _COLD = 8, 6, 2  # steps in a turn, and how many of them do not count


def measure(make: Any, rival: Any, count: int) -> tuple[float, float]:
    """Median microseconds of a step of both."""
    times: tuple[list[float], list[float]] = ([], [])
    with patch.object(Library, "launch", _nothing):
        sides: list[Any] = []
        for side in (make, rival):
            params = [Parameter(torch.ones(2, 4)) for _ in range(count)]
            sides.append((side(params), params))
        for turn in range(_TURNS):
            for (optimizer, params), kept in zip(sides, times, strict=True):
                for number in range(_STEPS):
                    for param in params:
                        param.grad = torch.ones(2, 4)
                    start = time.thread_time()
                    optimizer.step()
                    if turn and number >= _COLD:
                        kept.append(time.thread_time() - start)
    ours, theirs = (statistics.median(kept) * 1e6 for kept in times)
    return ours, theirs


def _nothing(*_: object) -> None:
    """In the launcher's place."""


def _torchs(params: list[Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(params, fused=True)


def main(names: Sequence[str]) -> None:
    """Print a table for each optimizer."""
    torch.set_num_threads(1)
    for name in names or ["AdamW"]:
        print(
            f"{name:12} {'us':>10} {'ns/tensor':>10} {'allowed':>10} {'torch us':>10} {'ratio':>7}"
        )
        for count in COUNTS:
            ours, theirs = measure(getattr(generated, name), _torchs, count)
            print(
                f"{count:12} {ours:10.1f} {ours / count * 1e3:10.0f} {60 + count / 4:10.1f} "
                f"{theirs:10.1f} {ours / theirs:7.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
