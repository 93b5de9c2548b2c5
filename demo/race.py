"""Trains one task with one optimizer and measures it.

    lap = run(digits(), "torch AdamW", torch_adamw, seed=0)
    lap.loss, lap.ms_per_step, lap.state_bytes

The same seed gives the same model and the same batches, whatever the optimizer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median

import torch

Batch = tuple[torch.Tensor, torch.Tensor]
MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True, slots=True)
class Task:
    """A model to train: `model` builds it, `batches` are what it sees, `test` is held out."""

    name: str
    steps: int
    model: Callable[[], torch.nn.Module]
    batches: Callable[[], Iterator[Batch]]
    test: Batch


@dataclass(frozen=True, slots=True)
class Lap:
    """What one training run measured."""

    task: str
    optimizer: str
    parameters: int
    losses: tuple[float, ...]
    loss: float
    accuracy: float
    ms_per_step: float
    state_bytes: float


def run(
    task: Task,
    name: str,
    optimizer: MakeOptimizer,
    seed: int,
    going: Callable[[range], Iterable[int]] = iter,
) -> Lap:
    """One run of `task`; `going` goes through the steps and may show how far it is."""
    torch.manual_seed(seed)
    model = task.model()
    opt = optimizer(model.parameters())
    batches = task.batches()
    losses: list[float] = []
    seconds: list[float] = []
    for _ in going(range(task.steps)):
        inputs, targets = next(batches)
        loss = cross_entropy(model(inputs), targets)
        opt.zero_grad()
        loss.backward()
        start = time.perf_counter()
        opt.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    loss, accuracy = evaluate(model, task.test)
    parameters = sum(p.numel() for p in model.parameters())
    return Lap(
        task.name, name, parameters, tuple(losses), loss, accuracy,
        median(seconds) * 1e3, state_bytes(opt) / parameters,
    )  # fmt: skip


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Over the last axis, whether or not there is a sequence before it."""
    return torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


@torch.no_grad()
def evaluate(model: torch.nn.Module, test: Batch) -> tuple[float, float]:
    """Loss and accuracy on the held-out part."""
    inputs, targets = test
    logits = model(inputs)
    right = logits.argmax(-1) == targets
    return cross_entropy(logits, targets).item(), right.float().mean().item()


def state_bytes(opt: torch.optim.Optimizer) -> int:
    """Bytes in all tensors that the optimizer keeps beside the parameters."""
    tensors = (x for state in opt.state.values() for x in state.values())
    return sum(x.numel() * x.element_size() for x in tensors if isinstance(x, torch.Tensor))
