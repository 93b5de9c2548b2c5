"""A process with one contestant in it, which steps when it is told to.

    python -m stepc.benchmarks.worker      reads a line of JSON per order, answers with one

    {"do": "start", "contestant": [...], "parameters": "gpt2", ...}   builds it, warms it up
    {"do": "turn"}                         a few steps; answers with the seconds of one
    {"do": "facts"}                        what was measured beside them
    {"do": "first", "rule": "AdamW"}       seconds of a first step of ours, in a process of its own

An order that fails is answered with `{"error": ...}`. Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from ..runtime import CompiledOptimizer
from .build import build, keeps_gradients, prepare
from .contestants import Contestant
from .measure import Memory, host_seconds, kernels, state_bytes, synchronize, work
from .parameters import Parameters, parameters
from .peers import arguments

_TURN = 0.03  # seconds: short steps are repeated for so long, so that the clock is no part of them
_MOST_REPEATS = 200
_WARM_STEPS, _LONG = 3, 2.0  # so many, or so many seconds
_TINY = Parameters("tiny", (("layer.weight", (256, 256)),))


class Worker:
    """What the orders mean."""

    def start(self, order: dict[str, Any]) -> dict[str, Any]:
        """Build and warm up; answers with the seconds of a step and of the first ones."""
        if order["threads"]:
            torch.set_num_threads(order["threads"])
        if order["device"] == "cpu":
            _stay_within_half_the_memory()
        self.contestant = c = Contestant(*order["contestant"])
        self.dtype = getattr(torch, order["dtype"])
        self.device: str = order["device"]
        self.listed = parameters(order["parameters"], order["limit"])
        cold = self._cold()
        self.built = build(c, self.listed, self.dtype, self.device)
        self.memory = Memory(self.device)
        first = self._timed(self.built.step)
        warm = [self._timed(self.built.step)]
        while len(warm) < _WARM_STEPS and sum(warm) < _LONG:
            warm.append(self._timed(self.built.step))
        if not keeps_gradients(self.built):
            raise ValueError("a step that drops its gradients has nothing to do the next time")
        self.most = self.memory.most()
        self.repeats = min(_MOST_REPEATS, math.ceil(_TURN / max(statistics.median(warm), 1e-9)))
        return {"step_s": statistics.median(warm), "first_s": first, "cold_s": cold}

    def turn(self, order: dict[str, Any]) -> dict[str, Any]:
        """The mean of a few steps."""
        synchronize(self.device)
        start = time.perf_counter()
        for _ in range(self.repeats):
            self.built.step()
        synchronize(self.device)
        return {"s": (time.perf_counter() - start) / self.repeats}

    def facts(self, order: dict[str, Any]) -> dict[str, Any]:
        """What a step moves, launches, keeps and needs."""
        optimizer, numel = self.built.optimizer, sum(p.numel() for p in self.built.params)
        if optimizer is None:
            return {"numel": numel, "moved": 2 * numel * self.built.params[0].element_size()}
        kept = state_bytes(optimizer)
        moved, launches = self._work(optimizer)
        return {
            "numel": numel,
            "moved": moved,
            "launches": launches,
            "state_bytes": kept,
            "extra_bytes": None if self.most is None else max(0, self.most - kept),
            "host_s": self._host(),
        }

    def first(self, order: dict[str, Any]) -> dict[str, Any]:
        """The first step of one of ours, in a child of this process: nothing is loaded there but
        torch and the runtime, as in a program that has just begun."""
        self.contestant = Contestant("stepc", "", order["rule"])
        self.dtype, self.device = getattr(torch, order["dtype"]), order["device"]
        _wake_torch("cpu")
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            answer: dict[str, Any]
            try:
                answer = {"s": self._cold()}
            except Exception as error:
                answer = explained(error)
            os.write(writing, json.dumps(answer).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answers:
            text = answers.read()
        os.waitpid(child, 0)
        return json.loads(text or '{"error": "its process ended"}')

    def _cold(self) -> float | None:
        """Seconds for construction and first step on a small matrix: nearly all is compilation."""
        if self.contestant.library == "machine" or self.contestant.variant == "graph":
            return None
        _wake_torch(self.device)
        make = prepare(self.contestant, _TINY, self.dtype, self.device)
        return self._timed(lambda: make().step())

    def _timed(self, act: Callable[[], Any]) -> float:
        synchronize(self.device)
        start = time.perf_counter()
        act()
        synchronize(self.device)
        return time.perf_counter() - start

    def _work(self, optimizer: torch.optim.Optimizer) -> tuple[float | None, int | None]:
        """Bytes and launches: by the plan of ours, by what is known of torch's fused ones."""
        counted = kernels(self.built, self.device)
        if isinstance(optimizer, CompiledOptimizer):
            found = work(optimizer)
            return found.moved, found.launches if counted is None else counted
        c = self.contestant
        if c.variant in ("fused", "graph") and c.rule in ("Adam", "AdamW"):
            once = sum(param.nbytes for param in self.built.params)
            return 7 * once, counted  # reads p g m v, writes p m v
        return None, counted

    def _host(self) -> float | None:
        """None where another list of shapes would be compiled anew."""
        c = self.contestant
        if c.library != "stepc" and arguments(c)[0].compiles:
            return None
        try:
            return host_seconds(c, self.listed, self.dtype, self.device)
        except (ValueError, RuntimeError):  # a rule that does not take tensors so small
            return None


def _stay_within_half_the_memory() -> None:
    """A contestant that leaks fails, instead of driving the machine into its swap."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    resource.setrlimit(resource.RLIMIT_DATA, (half, half))


def _wake_torch(device: str) -> None:
    """What torch loads for the first optimizer of a process, whichever it is, is no part of it."""
    param = torch.nn.Parameter(torch.zeros(1, device=device))
    param.grad = torch.zeros_like(param)
    torch.optim.SGD([param]).step()


def explained(error: Exception) -> dict[str, Any]:
    """The answer that says an order failed."""
    return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Obey until there are no more orders."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order["do"])(order)
        except Exception as error:
            answer = explained(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
