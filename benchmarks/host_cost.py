"""What a step costs on the host, without its kernels: microseconds, beside torch's fused AdamW.

    python -m stepc.benchmarks.host_cost [AdamW ...]

Tensors of eight numbers, and new gradients before every step, as after `zero_grad()`. Our kernels
are not launched (a stub stands in the launcher's place); torch's are, for it has no such place, but
they have next to nothing to do. Each side has a process of its own, so that neither lies scattered
in the other's memory, and they take turns, a few steps each; the first of these, whose memory the
other has driven out of the caches, do not count. Time is what passes while `step` runs, with as
many threads as torch takes by itself.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import Parameter

from .. import generated
from ..runtime.c import Library

COUNTS = (10, 300, 1000, 10_000)
_TURNS, _STEPS, _COLD = 12, 6, 2  # steps in a turn, and how many of them do not count
_RIVAL = "torch"


@contextmanager
def _side(name: str, count: int) -> Generator[Connection, None, None]:
    """A process with an optimizer of so many tensors, which answers with the times of a turn."""
    fresh = multiprocessing.get_context("spawn")
    here, there = fresh.Pipe()
    process = fresh.Process(target=_turns, args=(there, name, count))
    process.start()
    try:
        yield here
    finally:
        here.send(False)
        process.join()


def _turns(asked: Connection, name: str, count: int) -> None:
    params = [Parameter(torch.ones(2, 4)) for _ in range(count)]
    with patch.object(Library, "launch", _nothing):
        optimizer: Any = (
            torch.optim.AdamW(params, fused=True)
            if name == _RIVAL
            else getattr(generated, name)(params)
        )
        while asked.recv():
            asked.send([_step(optimizer, params) for _ in range(_STEPS)])


def _step(optimizer: Any, params: Sequence[Parameter]) -> float:
    for param in params:
        param.grad = torch.ones(2, 4)
    start = time.perf_counter()
    optimizer.step()
    return (time.perf_counter() - start) * 1e6


def _nothing(*_: object) -> None:
    """In the launcher's place."""


def measure(name: str, count: int) -> tuple[float, float]:
    """Median microseconds of a step, ours and torch's."""
    kept: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        sides = [stack.enter_context(_side(side, count)) for side in (name, _RIVAL)]
        for turn in range(_TURNS):
            for side, times in zip(sides, kept, strict=True):
                side.send(True)
                found = side.recv()
                times += found[_COLD:] if turn else []
    ours, theirs = map(statistics.median, kept)
    return ours, theirs


def main(names: Sequence[str]) -> None:
    """Print a table for each optimizer."""
    for name in names or ["AdamW"]:
        print(
            f"{name:12} {'us':>10} {'ns/tensor':>10} {'allowed':>10} {'torch us':>10} {'ratio':>7}"
        )
        for count in COUNTS:
            ours, theirs = measure(name, count)
            print(
                f"{count:12} {ours:10.1f} {ours / count * 1e3:10.0f} {60 + count / 4:10.1f} "
                f"{theirs:10.1f} {ours / theirs:7.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
