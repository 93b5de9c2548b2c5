"""Rules that read the loss: given as a number, as a tensor, or by a closure; never forgotten."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import Parameter

import stepc
from stepc import NormalizedGD
from stepc.runtime import use_target

SCALED = """
optimizer Scaled:
    hyper lr = 0.5
    needs loss
    state m: like param
    update:
        m = lerp(m, grad, 0.5)
        direction = m / loss
"""


def weight() -> Parameter:
    param = Parameter(torch.tensor([1.0, -2.0, 3.0]))
    param.grad = torch.tensor([1.0, 2.0, -4.0])
    return param


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize("loss", [4.0, torch.tensor(4.0), torch.tensor([4.0], dtype=torch.float64)])
def test_the_rate_is_divided_by_the_loss(target: str, loss: torch.Tensor | float) -> None:
    param = weight()
    with use_target(target):
        NormalizedGD([param], lr=0.5).step(loss=loss)
    torch.testing.assert_close(param.data, torch.tensor([0.875, -2.25, 3.5]))


def test_a_closure_gives_it() -> None:
    param = weight()
    optimizer = NormalizedGD([param], lr=0.5)

    def closure() -> torch.Tensor:
        return torch.tensor(4.0)

    assert optimizer.step(closure) == 4.0  # type: ignore[arg-type]
    torch.testing.assert_close(param.data, torch.tensor([0.875, -2.25, 3.5]))


def test_each_step_needs_its_own() -> None:
    param = weight()
    optimizer = NormalizedGD([param], lr=0.5)
    optimizer.step(loss=4.0)
    with pytest.raises(ValueError, match="reads the loss"):
        optimizer.step()
    with pytest.raises(ValueError, match="one number"):
        optimizer.step(loss=torch.ones(2))
    optimizer.step(loss=2.0)
    torch.testing.assert_close(param.data, torch.tensor([0.625, -2.75, 4.5]))


def test_beside_other_states_and_copies() -> None:
    param = weight()
    optimizer = stepc.compile(SCALED)([param])
    optimizer.step(loss=2.0)
    torch.testing.assert_close(param.data, torch.tensor([0.875, -2.25, 3.5]))
    again = copy.deepcopy(optimizer)
    again.load_state_dict(optimizer.state_dict())
    again.param_groups[0]["params"][0].grad = torch.tensor([1.0, 2.0, -4.0])
    again.step(loss=1.0)
    optimizer.step(loss=1.0)
    torch.testing.assert_close(again.param_groups[0]["params"][0], param)
