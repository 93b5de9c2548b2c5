"""Single operations, and how parameters and states are stored, in the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from interpreting import interpreter, random_grads, values
from language import rule

from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

# ---------------------------------------------------------------- values


def moved_by(expression: str, grad: np.ndarray) -> np.ndarray:
    """The direction that an expression gives."""
    run = interpreter(rule(f"direction = {expression}"), [grad.shape])
    run.tensors[0].value = np.zeros(grad.shape)
    run.step([grad])
    return -values(run)[0]


NASTY = np.array([np.nan, np.inf, -np.inf, 0.0, -2.5, 2.5, 0.5])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sign(grad)", [np.nan, 1, -1, 0, -1, 1, 1]),
        ("max(grad, 1)", [np.nan, np.inf, 1, 1, 1, 2.5, 1]),
        ("min(1, grad)", [np.nan, 1, -np.inf, 0, -2.5, 1, 0.5]),
        ("clamp(grad, -1, 1)", [np.nan, 1, -1, 0, -1, 1, 0.5]),
        ("max(grad, per tensor)", [np.nan] * 7),
        ("where(grad > 0, 1, 2)", [2, 1, 2, 2, 2, 1, 1]),
        ("0 / grad", [np.nan, 0, 0, np.nan, 0, 0, 0]),
        ("(grad > 0) + (grad < 1) * 10", [0, 1, 10, 10, 10, 1, 11]),
        ("grad % 2", [np.nan, np.nan, np.nan, 0, 1.5, 0.5, 0.5]),
        ("-2^-t * -grad^2", [np.nan, np.inf, np.inf, 0, 3.125, 3.125, 0.125]),
        ("sign_bit(grad)", [1, 1, -1, 1, -1, 1, 1]),
        (
            "cast(grad / 3, bfloat16)",
            [np.nan, np.inf, -np.inf, 0, -0.83203125, 0.83203125, 0.16699219],
        ),
        ("not (grad > 0) or grad == 2.5", [1, 0, 1, 1, 1, 1, 0]),
        (
            "softplus(grad) * 0 + sigmoid(grad)",
            [np.nan, np.nan, 0, 0.5, 0.0758582, 0.9241418, 0.6224593],
        ),
    ],
)
def test_values(expression: str, expected: list[float]) -> None:
    np.testing.assert_allclose(moved_by(expression, NASTY), expected, rtol=1e-6)


def test_a_host_choice_is_lazy_and_a_device_choice_is_not() -> None:
    grad = np.ones((2, 3))
    assert np.all(moved_by("size(1) if ndim > 1 else 7", grad) == 3)
    assert np.all(moved_by("size(1) if ndim > 1 else 7", np.ones(3)) == 7)
    assert np.all(moved_by("7 if ndim < 2 or size(1) > 5 else 8", np.ones(3)) == 7)
    assert np.all(np.isnan(moved_by("where(grad > 0, 1, 0) * (0 / (grad - 1))", grad)))


def test_repeat_counts_from_zero() -> None:
    run = interpreter(rule("x = 0\nrepeat 4 as k:\n    x = 10 * x + k\ndirection = x"), [(2,)])
    start = values(run)[0].copy()
    run.step([np.ones(2)])
    np.testing.assert_allclose(start - values(run)[0], 123, rtol=1e-12)


def test_list_hypers() -> None:
    spec = rule("direction = betas[1] * 10 + length(betas)", "hyper betas = list(0, 0.9, 0.99)")
    run = interpreter(spec, [(2,)])
    start = values(run)[0].copy()
    run.step([np.ones(2)])
    np.testing.assert_allclose(start - values(run)[0], 12, rtol=1e-12)


# ---------------------------------------------------------------- storage


def test_bfloat16_parameters_round_once_and_states_are_float32() -> None:
    run = interpreter("AdamW", hypers={"lr": 0.1}, dtype="bfloat16")
    exact = interpreter("AdamW", hypers={"lr": 0.1})
    start = torch.tensor(exact.tensors[0].value).to(torch.bfloat16).double().numpy()
    np.testing.assert_array_equal(values(run)[0], start)
    exact.tensors[0].value = start
    (grad,) = random_grads([(3, 4)], 1)[0]
    run.step([grad])
    exact.step([grad])
    rounded = torch.tensor(values(exact)[0]).to(torch.bfloat16).double().numpy()
    np.testing.assert_array_equal(values(run)[0], rounded)
    np.testing.assert_array_equal(run.states[0]["m"], np.float32(exact.states[0]["m"]))


def test_the_step_uses_unrounded_states() -> None:
    """The direction is of m before it goes through its codec; the next step reads the codes."""
    spec = rule("m = m + grad\ndirection = m", "state m: like param")
    run = interpreter(spec, [(40,)], quantize="dynamic8(block = 16)")
    start, ((first,), (second,)) = values(run)[0].copy(), random_grads([(40,)], 2)
    run.step([first])
    np.testing.assert_allclose(start - values(run)[0], first, rtol=1e-9, atol=1e-12)
    read = np.array(run.states[0]["m"])
    assert 1e-4 < np.abs(read - first).max() < 0.02 * np.abs(first).max()
    before = values(run)[0].copy()
    run.step([second])
    np.testing.assert_allclose(before - values(run)[0], read + second, rtol=1e-9, atol=1e-12)


def test_quantize_all_leaves_exact_and_host_states_and_later_lines_win() -> None:
    spec = rule(
        "a += grad\nb += grad\nc += grad\nh += 1\ndirection = a + b + c + h",
        """
        state a: like param
        state b: like param, exact
        state c: like param
        state h: per tensor, host = 0.1
        quantize all: dynamic4
        quantize c: none
        quantize all: none when numel < 10
        """,
    )
    shapes = [(64,), (9,)]
    run = interpreter(spec, shapes)
    grads = random_grads(shapes, 1)[0]
    run.step(grads)
    large, small = run.states
    assert len(np.unique(np.abs(large["a"]))) <= 16
    np.testing.assert_array_equal(large["b"], grads[0])
    np.testing.assert_array_equal(large["c"], grads[0])
    np.testing.assert_array_equal(small["a"], grads[1])
    assert large["h"] == 1.1


def test_state_dtypes() -> None:
    spec = rule(
        "a = grad / 3\nb = grad / 3\nc = 300\ndirection = a + b + c",
        "state a: like param, bfloat16\nstate b: like param\nstate c: per tensor, int8",
    )
    run = interpreter(spec, dtype="float32")
    run.step([np.ones((3, 4))])
    found = [np.ravel(run.states[0][name])[0] for name in "abc"]
    assert found == [0.333984375, np.float32(1 / 3), 127]


def test_stochastic_rounding_of_the_parameter() -> None:
    spec = rule("direction = 1e-4 * grad")
    tensors = [Tensor(name, np.ones(4000), "bfloat16") for name in "ab"]
    run = Interpreter(load(spec, rounding="stochastic"), tensors, seed=4)
    for _ in range(20):
        run.step([np.ones(4000)] * 2)
    mean = tensors[0].value.mean()
    assert abs(mean - (1 - 20e-4)) < 4 * 2.0**-8 * np.sqrt(20 / 4000)
    assert not np.array_equal(tensors[0].value, tensors[1].value)
    again = [Tensor("a", np.ones(4000), "bfloat16")]
    other = Interpreter(load(spec, rounding="stochastic"), again, seed=4)
    for _ in range(20):
        other.step([np.ones(4000)])
    np.testing.assert_array_equal(again[0].value, tensors[0].value)


@pytest.mark.parametrize(
    ("rounding", "state"), [("kahan", "param.kahan"), ("master", "param.master")]
)
def test_roundings_that_keep_what_bfloat16_loses(rounding: str, state: str) -> None:
    spec = rule("direction = 1e-4 * grad + 0 * param")
    tensor = Tensor("p", np.ones(8), "bfloat16")
    run = Interpreter(load(spec, rounding=rounding), [tensor])
    for _ in range(100):
        run.step([np.ones(8)])
    np.testing.assert_allclose(tensor.value, 0.99, rtol=2.0**-8)
    np.testing.assert_array_equal(tensor.value, torch.tensor(tensor.value).bfloat16().double())
    if rounding == "master":
        np.testing.assert_allclose(run.states[0][state], 0.99, rtol=1e-5)
        seen = Tensor("p", np.ones(8), "bfloat16")
        square = Interpreter(load(rule("direction = 1e-3 * param"), rounding="master"), [seen])
        for _ in range(10):
            square.step([np.ones(8)])
        np.testing.assert_allclose(square.states[0][state], (1 - 1e-3) ** 10, rtol=1e-6)
    else:
        assert np.abs(np.array(run.states[0][state])).max() < 2.0**-8
