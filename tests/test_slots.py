"""States of several slots: the compiled targets against the interpreter, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from side_by_side import Given, agree

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

WINDOW = """
optimizer Window:
    hyper lr = 1e-2
    hyper capacity = 3 in [1, 8]
    state last: slots(capacity) of like param
    state sizes: slots(capacity) of per global = -1
    state rows_seen: slots(2) of per rows
    update:
        place = argmin(sizes, per global)
        last[place] = grad
        sizes[place] = sum(norm(grad), per global)
        rows_seen[1] = rows_seen[0]
        rows_seen[0] = norm(grad, per rows)
        sizes *= 0.5
        scale = max(rows_seen, per rows) + mean(rows_seen, per rows)
        direction = sum(last, per element) / count(sizes > 0, per global) / scale
        every 4:
            reset last
"""


@pytest.mark.parametrize("target", ["c", "torch"])
def test_every_use_of_slots(target: str) -> None:
    givens = [Given("a", (3, 5)), Given("b", (7,), misses=(2,)), Given("c", (), joins=1)]
    agree(WINDOW, givens, target, steps=9)


def test_a_buffer_by_hand() -> None:
    """The place with the least number is overwritten, the first of equal ones."""
    tensor = Tensor("w", np.zeros(1), "float64")
    run = Interpreter(
        load(
            """
optimizer Buffer:
    hyper lr = 1
    state x: slots(2) of like param
    state p: slots(2) of per global = -1
    update:
        where_ = argmin(p, per global)
        x[where_] = grad
        p[where_] = sum(grad, per global)
        direction = sum(x, per element)
"""
        ),
        [tensor],
    )
    found = []
    for grad in (5.0, 3.0, 4.0, 6.0):
        before = float(tensor.value[0])
        run.step([np.array([grad])])
        found.append(before - float(tensor.value[0]))
    assert found == [5, 5 + 3, 5 + 4, 5 + 6]


def test_the_number_of_slots_is_compiled_in() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    with pytest.raises(ValueError, match="compiled in as 3"):
        stepc.compile(WINDOW)([weight], capacity=4).step()
    stepc.compile("AdamCM(capacity = 2)")([weight]).step()
