"""PyTorch's own machinery for testing optimizers (`OptimizerInfo`, in its wheel), pointed at ours.

What its wheel does not hold, the tests themselves, stands in our words in `test_contract.py`.
"""

from __future__ import annotations

import unittest

import pytest
import torch
from contract import Optimizer, classes, make, takes_matrices_only
from torch.nn import Parameter
from torch.testing._internal.common_optimizers import (
    OptimizerErrorEnum,
    OptimizerInfo,
    OptimizerInput,
    TensorTracker,
    get_error_inputs_for_all_optims,
)

OURS = [cls for cls in classes() if not any(h.required for h in cls.hypers)]
every_class = pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)


def info(cls: Optimizer) -> OptimizerInfo:
    """One of ours as torch describes its own."""
    kwargs = [{}, {"lr": 0.01}, {"maximize": True}, {"lr": torch.tensor(0.001)}]
    if any(hyper.name == "weight_decay" for hyper in cls.hypers):
        kwargs += [{"weight_decay": 0.1}, {"weight_decay": 0.1, "maximize": True}]
    return OptimizerInfo(
        cls,
        optim_inputs_func=lambda device, dtype=None: [
            OptimizerInput(params=None, kwargs=given, desc=str(given)) for given in kwargs
        ],
        optim_error_inputs_func=get_error_inputs_for_all_optims,
        supported_impls=(),
        not_og_supported_flags=(),
        supports_complex=False,
    )


@every_class
def test_the_errors_that_all_optimizers_must_raise(cls: Optimizer) -> None:
    described = info(cls)
    for error in described.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = error.optimizer_error_input
        params = given.params if given.params is not None else [Parameter(torch.ones(2, 2))]
        assert error.error_on is OptimizerErrorEnum.CONSTRUCTION_ERROR
        if issubclass(error.error_type, Warning):
            with pytest.warns(error.error_type, match=error.error_regex):
                cls(params, **given.kwargs)
        else:
            with pytest.raises(error.error_type, match=error.error_regex):
                cls(params, **given.kwargs)


def network(cls: Optimizer, dtype: torch.dtype) -> torch.nn.Module:
    """The small model of torch's suite; without biases for a rule that takes matrices only."""
    torch.manual_seed(1)
    bias = not takes_matrices_only(cls)
    return torch.nn.Sequential(
        torch.nn.Linear(10, 4, bias=bias),
        torch.nn.Sigmoid(),
        torch.nn.Linear(4, 1, bias=bias),
        torch.nn.Sigmoid(),
    ).to(dtype)


@every_class
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_option_saves_and_loads_step_by_step(cls: Optimizer, dtype: torch.dtype) -> None:
    """As torch's TensorTracker is used: every value of one run, then popped against another's."""
    x = torch.ones(1, 10, dtype=dtype)
    for given in info(cls).optim_inputs_func(device="cpu"):
        tracker = TensorTracker()
        model, resumed = network(cls, dtype), network(cls, dtype)
        one = make(cls, model.parameters(), **given.kwargs)
        other = make(cls, resumed.parameters(), **given.kwargs)
        for number in range(7):
            one.zero_grad()
            if number != 3:  # a call without gradients is no step
                model(x).sum().backward()
            if number in (2, 4):  # a layer is frozen, then thawed
                next(model.parameters()).requires_grad_(number == 4)
            one.step()
        for param in model.parameters():
            tracker.add(param)
            for value in one.state[param].values():
                tracker.add(torch.as_tensor(value))
        resumed.load_state_dict(model.state_dict())
        other.load_state_dict(one.state_dict())
        for param in resumed.parameters():
            tracker.pop_check_set(param, _Equal())
            for value in other.state[param].values():
                tracker.pop_check_set(torch.as_tensor(value), _Equal())
        assert tracker.all_popped()


class _Equal(unittest.TestCase):
    """What a tracker compares with: equal means equal bits."""

    def assertEqual(self, first: torch.Tensor, second: torch.Tensor) -> None:  # type: ignore[override]
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)
