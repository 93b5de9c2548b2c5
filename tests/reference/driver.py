"""What runs a hand-written rule: per tensor a state and a count, as torch.optim does it.

A rule is a function of one tensor, `rule(tensor, hypers)`, that changes `tensor.value` in place and
keeps what it likes in `tensor.state`. Everything is float64. `TorchOptimizer` gives an optimizer of
torch.optim the same face, so that tests see one kind of object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

Hypers = dict[str, Any]


class Oracle(Protocol):
    """`set` changes hypers between steps, as a schedule does."""

    def set(self, **hypers: Any) -> None: ...

    def step(self) -> None: ...


@dataclass(slots=True)
class OneTensor:
    """A parameter with its gradient of this call; `calls` counts from 1."""

    value: torch.Tensor
    name: str
    grad: torch.Tensor
    calls: int = 0
    state: dict[str, torch.Tensor] = field(default_factory=dict)


Rule = Callable[[OneTensor, Hypers], None]


class Handwritten:
    """Applies a rule to every tensor that has a gradient."""

    def __init__(
        self,
        rule: Rule,
        params: Sequence[torch.Tensor],
        defaults: Hypers,
        hypers: Hypers,
        names: Sequence[str],
    ) -> None:
        unknown = set(hypers) - set(defaults)
        if unknown:
            raise TypeError(f"{rule.__name__} has no hyper {sorted(unknown)}")
        self.rule = rule
        self.params = list(params)
        self.hypers = {**defaults, **hypers}
        labels = list(names) or [""] * len(self.params)
        self.tensors = [
            OneTensor(p, label, torch.zeros_like(p))
            for p, label in zip(self.params, labels, strict=True)
        ]

    def set(self, **hypers: Any) -> None:
        self.hypers.update(hypers)

    @torch.no_grad()
    def step(self) -> None:
        for param, tensor in zip(self.params, self.tensors, strict=True):
            if param.grad is None:
                continue
            tensor.calls += 1
            tensor.grad = param.grad.clone()
            self.rule(tensor, self.hypers)


class TorchOptimizer:
    """An optimizer of torch.optim; its scalars are float64 too (NAdam keeps one in a tensor)."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def set(self, **hypers: Any) -> None:
        for group in self.optimizer.param_groups:
            group.update(hypers)

    def step(self) -> None:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            self.optimizer.step()
        finally:
            torch.set_default_dtype(before)
