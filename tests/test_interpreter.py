"""What the interpreter says a spec means: the order of a step, guards, values, use.

The shipped optimizers are compared in test_specs_meaning.py; these are the rules of the language,
one after another, against a few lines of numpy or torch.optim each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from interpreting import interpreter, random_grads, values
from language import rule

from stepc.dsl.diagnostics import SpecError

# ---------------------------------------------------------------- known optimizers

TORCH: list[tuple[str, Callable[..., torch.optim.Optimizer], dict[str, Any]]] = [
    ("AdamW", torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    ("Adam", torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
    ("SGD", torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
]


@pytest.mark.parametrize(("name", "kind", "hypers"), TORCH)
@pytest.mark.parametrize("maximize", [False, True])
def test_torch_optim_in_float64(
    name: str, kind: Callable[..., torch.optim.Optimizer], hypers: dict[str, Any], maximize: bool
) -> None:
    shapes = [(3, 4), (5,), (), (2, 3, 2)]
    run = interpreter(name, shapes, {**hypers, "maximize": maximize})
    params = [torch.nn.Parameter(torch.tensor(value)) for value in values(run)]
    optimizer = kind(params, maximize=maximize, **hypers)
    for grads in random_grads(shapes, 6):
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.tensor(grad)
        optimizer.step()
        run.step(grads)
    for value, param in zip(values(run), params, strict=True):
        np.testing.assert_allclose(value, param.detach().numpy(), rtol=1e-12)


def test_lion() -> None:
    run = interpreter("Lion", hypers={"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1})
    param, m = values(run)[0].copy(), np.zeros((3, 4))
    for (grad,) in random_grads([(3, 4)], 5):
        run.step([grad])
        param = param * (1 - 0.01 * 0.1) - 0.01 * np.sign(0.8 * m + 0.2 * grad)
        m = 0.9 * m + 0.1 * grad
    np.testing.assert_allclose(values(run)[0], param, rtol=1e-12)
    np.testing.assert_allclose(run.states[0]["m"], m, rtol=1e-12)


# ---------------------------------------------------------------- calls and steps


def test_first_and_skip_do_not_count_the_call() -> None:
    run = interpreter(
        rule(
            """
            first:
                v = grad^2
                skip
            v = v + t
            direction = v
            """,
            "state v: like param",
        )
    )
    start = values(run)[0].copy()
    g, *rest = (grad for (grad,) in random_grads([(3, 4)], 3))
    run.step([g])
    np.testing.assert_array_equal(values(run)[0], start)
    np.testing.assert_array_equal(run.states[0]["v"], g**2)
    for grad in rest:
        run.step([grad])
    np.testing.assert_allclose(run.states[0]["v"], g**2 + 1 + 2, rtol=1e-14)
    np.testing.assert_allclose(values(run)[0], start - (g**2 + 1) - (g**2 + 3), rtol=1e-12)
    assert run.t == [2]


def test_every_counts_a_tensors_own_steps() -> None:
    spec = rule("direction = 0\nevery 2:\n    n = n + 1\n    direction = 1", "state n: per tensor")
    run = interpreter(spec, [(2,), (2,)])
    ones = np.ones(2)
    for step in range(5):
        run.step([ones, ones if step > 1 else None])
    assert [float(states["n"]) for states in run.states] == [2, 1]
    assert run.t == [5, 3]


def test_without_a_gradient_nothing_is_touched() -> None:
    run = interpreter("AdamW", [(2, 2), (3,), (0, 4)], {"weight_decay": 0.5})
    before = values(run)[0].copy()
    run.step([None, np.ones(3), np.zeros((0, 4))])
    np.testing.assert_array_equal(values(run)[0], before)
    assert run.states[0] == {} and set(run.states[1]) == {"m", "v"}
    assert run.t == [0, 1, 0]


def test_a_state_is_old_before_its_assignment_and_new_after_it() -> None:
    run = interpreter(rule("a = m\nm = m + 1\ndirection = 10 * a + m", "state m: like param = 5"))
    before = values(run)[0].copy()
    run.step([np.zeros((3, 4))])
    np.testing.assert_allclose(values(run)[0], before - 56, rtol=1e-14)


def test_initial_values() -> None:
    spec = rule(
        "m = m * 1\nw = w + 8\ndirection = m + w + n + twice",
        """
        state m: like param = grad
        state w: like param = param
        state n: per tensor = norm(param)
        state twice: per tensor, host = numel * 2
        """,
        "grad:\n    grad *= 3\nparam:\n    param *= 2\n    reset w",
    )
    run = interpreter(spec)
    start, grad = values(run)[0].copy(), random_grads([(3, 4)], 1)[0][0]
    run.step([grad])
    np.testing.assert_allclose(run.states[0]["m"], 3 * grad, rtol=1e-14)  # as `update:` sees it
    np.testing.assert_allclose(run.states[0]["w"], start, rtol=1e-14)  # before it was written
    np.testing.assert_allclose(run.states[0]["n"], np.sqrt((start**2).sum()), rtol=1e-14)
    assert run.states[0]["twice"] == 24.0


def test_a_state_read_in_a_grad_section_begins_before_it() -> None:
    spec = rule("direction = grad", "state m: like param = grad", "grad:\n    grad = grad + m")
    run = interpreter(spec)
    start, grad = values(run)[0].copy(), random_grads([(3, 4)], 1)[0][0]
    run.step([grad])
    np.testing.assert_allclose(values(run)[0], start - 2 * grad, rtol=1e-12)


def test_reset_restores_initial_values() -> None:
    spec = rule(
        "m += grad\nh += 1\nevery 3:\n    reset m, h\ndirection = m",
        "state m: like param = 7\nstate h: per tensor, host = 2",
    )
    run = interpreter(spec)
    for step in range(1, 4):
        run.step([np.ones((3, 4))])
        expected = (7 + step, 2 + step) if step < 3 else (7, 2)
        assert (np.ravel(run.states[0]["m"])[0], run.states[0]["h"]) == expected


def test_a_state_that_exists_under_a_condition() -> None:
    run = interpreter("SGD", hypers={"momentum": 0.0})
    run.step([np.ones((3, 4))])
    assert run.states == [{}]


# ---------------------------------------------------------------- guards


def test_a_tensors_guard_keeps_everything_of_that_tensor_and_counts() -> None:
    spec = rule(
        "m = grad\nguard norm(grad) < 10\ndirection = m\nn = t",
        "state m: like param = 3\nstate n: per tensor, host = 0",
    )
    run = interpreter(spec, [(2,), (2,)])
    before = [value.copy() for value in values(run)]
    run.step([np.full(2, 100.0), np.ones(2)])
    np.testing.assert_array_equal(values(run)[0], before[0])
    np.testing.assert_array_equal(run.states[0]["m"], [3, 3])
    assert run.states[0]["n"] == 1  # the host does not know of the guard
    np.testing.assert_allclose(values(run)[1], before[1] - 1, rtol=1e-14)
    assert run.t == [1, 1]


def test_a_guard_that_sees_nan_does_not_hold() -> None:
    run = interpreter(rule("guard norm(grad) < inf\ndirection = grad"))
    before = values(run)[0].copy()
    run.step([np.full((3, 4), np.nan)])
    np.testing.assert_array_equal(values(run)[0], before)


def test_a_global_guard_keeps_all_tensors() -> None:
    spec = rule(
        "s = s + 1\nguard max(abs(grad), per global) < 10\ndirection = grad",
        "state s: per global",
    )
    run = interpreter(spec, [(2,), (2,)])
    before = [value.copy() for value in values(run)]
    run.step([np.full(2, 100.0), np.ones(2)])
    for value, old in zip(values(run), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert run.global_states["s"] == 0
    run.step([np.ones(2), np.ones(2)])
    assert run.global_states["s"] == 1
    assert run.t == [2, 2]


# ---------------------------------------------------------------- use


def test_hypers_are_checked() -> None:
    with pytest.raises(ValueError, match=r"AdamW: lr = -1 is outside \[0, inf\)"):
        interpreter("AdamW", hypers={"lr": -1})
    with pytest.raises(ValueError, match="AdamW has no hyper lrr"):
        interpreter("AdamW", hypers={"lrr": 1})
    with pytest.raises(ValueError, match="AdamMini needs a value for num_heads"):
        interpreter("AdamMini")
    with pytest.raises(ValueError, match="RAdam: fallback is one of sgd, hold"):
        interpreter("RAdam", hypers={"fallback": "stay"})


def test_a_default_may_read_other_hypers() -> None:
    run = interpreter(
        rule("direction = b", "hyper a = 2.0\nhyper b = a * 3 + lr"), [(2,)], {"a": 5.0}
    )
    start = values(run)[0].copy()
    run.step([np.ones(2)])
    np.testing.assert_allclose(start - values(run)[0], 16, rtol=1e-12)


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="p0: a gradient"):
        interpreter("AdamW").step([np.ones((4, 3))])


def test_what_cannot_be_run_says_so() -> None:
    spec = rule("direction = all_reduce(grad, mean)")
    with pytest.raises(SpecError, match="E501"):
        interpreter(spec)
