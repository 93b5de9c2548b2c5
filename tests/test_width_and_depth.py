"""The facts `width` and `depth`: what a parameter group says of the model, on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from side_by_side import Given, agree
from torch.nn import Parameter

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

MUP = """\
optimizer MuP:
    hyper lr = 1e-2
    state scale: per global
    update:
        scale = 256 / width
        direction = scale * grad / sqrt(depth)
"""
DEEP = """\
optimizer Deep:
    hyper lr = 1e-2
    update:
        when depth > 10:
            direction = grad / depth
        otherwise:
            direction = grad
"""
TWO = (Given("a", (3, 4), group=0), Given("b", (5,), group=1))


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize("spec", [MUP, DEEP])
def test_they_come_from_the_group(spec: str, target: str) -> None:
    agree(spec, TWO, target, groups=({"width": 512, "depth": 4}, {"width": 512, "depth": 16}))


@pytest.mark.parametrize("target", ["c", "torch"])
def test_they_may_change_between_steps(target: str) -> None:
    def change(step: int, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            group["depth"] = 4 + 4 * step

    agree(DEEP, TWO, target, groups=({"depth": 4}, {"depth": 4}), change=change)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"depth": 4}, r'the fact `width`.* \[\{"params": parameters, "width": 512\}\] to MuP'),
        ({"width": 512}, "the fact `depth`"),
        ({"width": "512", "depth": 4}, "width = '512' is not a number"),
    ],
)
def test_a_group_without_them_is_told_how_to_give_them(group: dict[str, Any], message: str) -> None:
    param = Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = stepc.compile(MUP)([{"params": [param], **group}])
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    assert param.tolist() == [1.0, 1.0, 1.0] and not optimizer.state[param]


def test_a_rule_that_reads_neither_asks_for_neither() -> None:
    param = Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    stepc.compile("AdamW")([param]).step()


def test_the_interpreter_says_what_is_missing() -> None:
    run = Interpreter(load(MUP), [Tensor("a", np.ones(3))], [{"width": 512}])
    with pytest.raises(ValueError, match=r'reads `depth`.* write \{"depth": 512\} in the group'):
        run.step([np.ones(3)])


def test_they_are_kept_in_checkpoints() -> None:
    param = Parameter(torch.ones(3))
    optimizer = stepc.compile(DEEP)([{"params": [param], "depth": 16}])
    other = stepc.compile(DEEP)([{"params": [param], "depth": 2}])
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["depth"] == 16
