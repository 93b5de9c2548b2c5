"""One small spec, run by the interpreter or by a target: what the test_language_*.py share.

    run = Run("c", rule("direction = m", "state m: like param"), np.ones((2, 3)))
    run.step(np.ones((2, 3)))
    run.params[0], run.state("m"), run.t(0)

Parameters are float64 unless a test is about rounding, so expected numbers are plain numpy. A
state can be read back where it is stored plainly; what a codec keeps shows in the next step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.runtime import CompiledOptimizer, use_target

Array = np.ndarray
Group = Mapping[str, Any]

MATRIX = np.array([[1.0, -2.0], [0.5, 4.0]])
MATRIX_GRAD = np.array([[0.5, 1.0], [-2.0, 0.25]])
VECTOR = np.array([3.0, -1.0])

BASE = """
optimizer Base:
    hyper lr = 1.0 in [0, inf)
    hyper beta = 0.5 in [0, 1)
    state m: like param
    update:
        m = beta * m + grad
        direction = m
    decay:
        param *= 0.5
"""

every_target = pytest.mark.parametrize("target", ["interpreter", "torch", "c"])


@cache
def compiled(spec: str, options: tuple[tuple[str, str], ...]) -> type[CompiledOptimizer]:
    """The class of a spec; two targets of one test share it."""
    return stepc.compile(spec, **dict(options))  # type: ignore[arg-type]


class Run:
    """A spec on parameters with these values. `groups` are hypers by group, `of` the group of each
    parameter (all in the first unless said)."""

    def __init__(
        self,
        target: str,
        spec: str,
        *values: Any,
        dtype: str = "float64",
        groups: Sequence[Group] = (),
        of: Sequence[int] = (),
        names: Sequence[str] = (),
        hypers: Group | None = None,
        **options: str,
    ) -> None:
        self.target = target
        groups = [dict(group) for group in groups] or [{}]
        of = of or [0] * len(values)
        names = names or [f"p{k}" for k in range(len(values))]
        hypers = dict(hypers or {})
        arrays = [np.asarray(value, dtype=np.float64) for value in values]
        if target == "interpreter":
            self._tensors = [
                Tensor(name, value.copy(), dtype, group)
                for name, value, group in zip(names, arrays, of, strict=True)
            ]
            self._groups = [hypers | group for group in groups]
            self._interpreter = Interpreter(load(spec, **options), self._tensors, self._groups)
            return
        kind = getattr(torch, dtype)
        self._params = [Parameter(torch.tensor(value).to(kind)) for value in arrays]
        for place, group in enumerate(groups):
            members = zip(names, self._params, of, strict=True)
            group["params"] = [(name, param) for name, param, of_it in members if of_it == place]
        cls = compiled(spec, tuple(sorted(options.items())))
        self.optimizer = cls(groups, **hypers)  # type: ignore[call-arg]

    def step(self, *grads: Any) -> None:
        """One call; a gradient may be None, or one number for all elements of its parameter."""
        shapes = [value.shape for value in self.params]
        given = [
            None if grad is None else np.broadcast_to(np.asarray(grad, dtype=np.float64), shape)
            for grad, shape in zip(grads, shapes, strict=True)
        ]
        if self.target == "interpreter":
            self._interpreter.step(given)
            return
        for param, grad in zip(self._params, given, strict=True):
            param.grad = None if grad is None else torch.tensor(grad.copy()).to(param.dtype)
        with use_target(self.target):
            self.optimizer.step()

    # ------------------------------------------------------------ what is there now

    @property
    def params(self) -> list[Array]:
        if self.target == "interpreter":
            return [tensor.value.copy() for tensor in self._tensors]
        return [param.detach().to(torch.float64).numpy().copy() for param in self._params]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups' hypers, to be changed as a schedule does."""
        return self._groups if self.target == "interpreter" else self.optimizer.param_groups

    def state(self, name: str, place: int = 0) -> Array:
        """What is stored of a parameter's state."""
        if self.target == "interpreter":
            return np.asarray(self._interpreter.states[place][name])
        return as_numbers(self.optimizer.state[self._params[place]][name])

    def has(self, name: str, place: int = 0) -> bool:
        """Whether a parameter has a state that takes memory."""
        if self.target == "interpreter":
            return name in self._interpreter.states[place]
        return name in self.optimizer.state.get(self._params[place], {})

    def group_state(self, name: str, place: int = 0) -> Array:
        if self.target == "interpreter":
            return np.asarray(self._interpreter.group_states[place][name])
        return as_numbers(self.optimizer.param_groups[place][name])

    def global_state(self, name: str) -> Array:
        if self.target == "interpreter":
            return np.asarray(self._interpreter.global_states[name])
        return as_numbers(self.optimizer.param_groups[0][name])

    def t(self, place: int = 0) -> int:
        """How many steps a parameter has taken."""
        if self.target == "interpreter":
            return self._interpreter.t[place]
        return self.optimizer.state.get(self._params[place], {}).get("step", 0)


def as_numbers(value: Any) -> Array:
    if isinstance(value, torch.Tensor):
        return value.detach().to(torch.float64).numpy().copy()
    return np.asarray(value, dtype=np.float64)


def moved(target: str, expression: str, grad: Any, param: Any = None, **more: Any) -> Array:
    """What a direction of this expression subtracts from a parameter in one step (lr = 1)."""
    grad = np.asarray(grad, dtype=np.float64)
    start = np.zeros(grad.shape) if param is None else np.asarray(param, dtype=np.float64)
    run = Run(target, rule(f"direction = {expression}", **more), start)
    run.step(grad)
    return start - run.params[0]


def same(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    """Equal up to the order in which float64 sums are taken; NaN is NaN."""
    found = np.asarray(found, dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol, atol=rtol)


def rule(update: str, states: str = "", more: str = "", head: str = "") -> str:
    """A spec text: an optimizer `Tried` with lr = 1; parts are indented to where they go."""
    return (
        f"{_indented(head, 0)}optimizer Tried:\n    hyper lr = 1.0\n"
        f"{_indented(states, 4)}    update:\n{_indented(update, 8)}{_indented(more, 4)}"
    )


def _indented(text: str, depth: int) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return "".join(f"{' ' * depth}{line[margin:]}\n" for line in lines)


@contextlib.contextmanager
def refused(code: str, message: str = "") -> Any:
    """The block is refused with this diagnostic."""
    with pytest.raises(stepc.SpecError, match=f"{code}.*{message}") as caught:
        yield
    assert code in {diagnostic.code for diagnostic in caught.value.diagnostics}
