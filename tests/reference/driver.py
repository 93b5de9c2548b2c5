"""What runs a hand-written rule: per tensor a state and a count, as torch.optim does it.

A rule is a function of one tensor, `rule(tensor, hypers)`, that changes `tensor.value` in place and
keeps what it likes in `tensor.state`. A rule of all tensors, `rule(tensors, shared, hypers)`, has
numbers of its own in `shared` besides. Both write into `taken` which of their branches they went
through, so that a test can tell whether a trajectory visits all. Everything is float64.
`TorchOptimizer` gives an optimizer of torch.optim the same face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

Hypers = dict[str, Any]


class Oracle(Protocol):
    """`set` changes hypers between steps, as a schedule does; few rules ask for the loss."""

    def set(self, **hypers: Any) -> None: ...

    def step(self, loss: float | None = None) -> None: ...


@dataclass(slots=True)
class OneTensor:
    """A parameter with its gradient of this call; `calls` counts from 1."""

    value: torch.Tensor
    name: str
    grad: torch.Tensor
    calls: int = 0
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


Rule = Callable[[OneTensor, Hypers], None]
RuleOfAll = Callable[[list[OneTensor], dict[str, Any], Hypers], None]


class Tensors:
    """The tensors of a rule, each with its count, its name and the gradient of this call."""

    def __init__(
        self,
        rule: Callable[..., Any],
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
        labels = list(names) or [str(i) for i in range(len(self.params))]
        self.tensors = [
            OneTensor(p, label, torch.zeros_like(p))
            for p, label in zip(self.params, labels, strict=True)
        ]

    def set(self, **hypers: Any) -> None:
        self.hypers.update(hypers)

    def moving(self, loss: float | None) -> list[OneTensor]:
        """The tensors that have a gradient; each has made one more call."""
        self.hypers["loss"] = loss
        found: list[OneTensor] = []
        for param, tensor in zip(self.params, self.tensors, strict=True):
            if param.grad is not None:
                tensor.calls += 1
                tensor.grad = param.grad.clone()
                found.append(tensor)
        return found

    @property
    def taken(self) -> set[str]:
        return set().union(*(tensor.taken for tensor in self.tensors))


class Handwritten(Tensors):
    """Applies a `Rule` to every tensor that has a gradient."""

    @torch.no_grad()
    def step(self, loss: float | None = None) -> None:
        for tensor in self.moving(loss):
            self.rule(tensor, self.hypers)


class Together(Tensors):
    """Applies a `RuleOfAll` once, to all tensors that have a gradient."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.shared: dict[str, Any] = {}

    @torch.no_grad()
    def step(self, loss: float | None = None) -> None:
        moving = self.moving(loss)
        if moving:
            self.rule(moving, self.shared, self.hypers)


class TorchOptimizer:
    """An optimizer of torch.optim; its scalars are float64 too (NAdam keeps one in a tensor)."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def set(self, **hypers: Any) -> None:
        for group in self.optimizer.param_groups:
            group.update(hypers)

    def step(self, loss: float | None = None) -> None:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            self.optimizer.step()
        finally:
            torch.set_default_dtype(before)
