"""Values: operators and functions at their edges, the same in every target.

sign(0) is 0, NaN passes, nothing is guarded; precedence, comparisons as numbers, matrices.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from language import Array, Run, every_target, moved, refused, rule, same

from stepc.dsl.load import load

NAN, INF = math.nan, math.inf
X = np.array([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])
NASTY = np.array([0.0, -0.0, 1.0, -2.0, NAN, INF, -INF, 1e300, 1e-300])


def quietly(of: object, *args: object) -> Array:
    with np.errstate(all="ignore"):
        return of(*args)  # type: ignore[operator]


# ---------------------------------------------------------------- elementary functions

ELEMENTARY = {
    "sqrt(grad)": np.sqrt,
    "rsqrt(grad)": lambda x: 1 / np.sqrt(x),
    "exp(grad)": np.exp,
    "log(grad)": np.log,
    "abs(grad)": np.abs,
    "sign(grad)": np.sign,
    "sign_bit(grad)": lambda x: np.where(np.isnan(x), x, np.where(x < 0, -1.0, 1.0)),
    "max(grad, 0.5)": lambda x: np.maximum(x, 0.5),
    "min(grad, 0.5)": lambda x: np.minimum(x, 0.5),
    "max(grad, -grad, 1)": lambda x: np.maximum(np.abs(x), 1),
    "clamp(grad, -1, 0.5)": lambda x: np.clip(x, -1, 0.5),
    "floor(grad)": np.floor,
    "ceil(grad)": np.ceil,
    "tanh(grad)": np.tanh,
    "sigmoid(grad)": lambda x: 1 / (1 + np.exp(-x)),
    "softplus(grad)": lambda x: np.logaddexp(0, x),
    "atan2(grad, 2)": lambda x: np.arctan2(x, 2),
    "atan2(2, grad)": lambda x: np.arctan2(2, x),
    "tan(grad) + atan(grad)": lambda x: np.tan(x) + np.arctan(x),
    "sin(grad) + cos(grad)": lambda x: np.sin(x) + np.cos(x),
    "lerp(grad, 3, 0.25)": lambda x: 0.75 * x + 0.25 * 3,
    "grad^2": lambda x: x * x,
    "grad^3": lambda x: x * x * x,
    "grad^-1": lambda x: 1 / x,
    "abs(grad)^0.5": lambda x: np.abs(x) ** 0.5,
    "2^grad": lambda x: 2.0**x,
    "grad % 2": lambda x: np.mod(x, 2),
    "where(grad > 0.1, grad, 7)": lambda x: np.where(x > 0.1, x, 7),
}


@every_target
@pytest.mark.parametrize("expression", ELEMENTARY)
def test_elementary_functions(expression: str, target: str) -> None:
    same(moved(target, expression, X), quietly(ELEMENTARY[expression], X))


@every_target
def test_nan_passes_through_everything_that_chooses(target: str) -> None:
    """sign, max, min, clamp; and sign(0) is 0, sign_bit(0) 1."""
    for expression, of in (
        ("sign(grad)", lambda x: np.sign(x)),
        ("max(grad, 1)", lambda x: np.maximum(x, 1)),
        ("max(1, grad)", lambda x: np.maximum(x, 1)),
        ("min(grad, 1)", lambda x: np.minimum(x, 1)),
        ("min(1, grad)", lambda x: np.minimum(x, 1)),
        ("clamp(grad, -1, 1)", lambda x: np.clip(x, -1, 1)),
        ("abs(grad)", np.abs),
    ):
        np.testing.assert_array_equal(moved(target, expression, NASTY), of(NASTY), expression)


@every_target
@pytest.mark.parametrize("per", ["tensor", "rows", "cols"])
def test_nan_passes_through_reductions(per: str, target: str) -> None:
    x = np.array([[1.0, NAN, 3.0], [4.0, 5.0, 6.0]])
    axis = {"tensor": None, "rows": 1, "cols": 0}[per]
    for op, of in (("max", np.max), ("min", np.min), ("sum", np.sum), ("mean", np.mean)):
        found = moved(target, f"{op}(grad, per {per})", x)
        same(found, of(x, axis=axis, keepdims=True))


@every_target
def test_no_hidden_guards(target: str) -> None:
    zeros = np.zeros((2, 3))
    same(moved(target, "norm(grad) + 1", zeros), 1)
    assert np.isnan(moved(target, "grad / norm(grad)", zeros)).all()
    assert np.isnan(moved(target, "grad / grad", zeros)).all()
    same(moved(target, "1 / (grad - 0)", np.zeros(3)), INF)
    same(moved(target, "grad / max(norm(grad), 1e-12)", zeros), 0)
    same(moved(target, "grad / max(norm(grad, per rows), 1e-12)", zeros), 0)


@every_target
def test_zero_times_infinity_is_nan_but_where_is_not(target: str) -> None:
    x = np.array([INF, 1.0])
    found = moved(target, "(grad < 10) * grad", x)
    same(found, [NAN, 1.0])
    same(moved(target, "where(grad < 10, grad, 0)", x), [0.0, 1.0])


# ---------------------------------------------------------------- operators


@every_target
@pytest.mark.parametrize(
    ("expression", "value"),
    [("-grad^2", -9), ("2^-1 * grad", 1.5), ("2^grad^2", 512), ("-2^2 + grad", -1),
     ("grad - 1 - 1", 1), ("12 / grad / 2", 2), ("12 / grad * 2", 8), ("10 - grad * 2", 4),
     ("grad % 2 * 5", 5), ("7 - grad % 2", 6), ("-grad % 5", 2), ("1 + 2 if t == 1 else grad", 3),
     ("(grad > 2) + (grad >= 3) + (grad < 3) + (grad == 3) + (grad != 3)", 3),
     ("not grad > 2", 0), ("grad > 2 and grad < 2.5 or grad == 3", 1),
     ("where(not (grad > 5) and grad > 1, 10, 20)", 10), ("2 * (grad > 2) * lr", 2),
     ("pi * 0 + grad", 3), ("min(inf, grad)", 3), ("1e1 + .5 * grad", 11.5)],
)  # fmt: skip
def test_precedence_and_comparisons(expression: str, value: float, target: str) -> None:
    same(moved(target, expression, np.array([3.0, 3.0])), value)


@every_target
def test_host_operators_mean_the_same(target: str) -> None:
    """On numbers that only the host sees: the same words, in double."""
    for expression, value in (
        ("-a^2", -9.0), ("a % 2 + -a % 5", 3.0), ("sign(a) + sign(a - 3) + sign_bit(a - 3)", 2.0),
        ("sqrt(a) + rsqrt(a)", 3**0.5 + 3**-0.5), ("max(a, 1, 5) + min(a, 1)", 6.0),
        ("clamp(a, 0, 2) + lerp(a, 5, 0.25)", 2 + 3.5), ("sigmoid(a)", 1 / (1 + math.exp(-3))),
        ("softplus(a)", math.log1p(math.exp(3))), ("floor(a / 2) + ceil(a / 2)", 3.0),
        ("tanh(a) + exp(a) + log(a)", math.tanh(3) + math.exp(3) + math.log(3)),
        ("atan2(a, 2) + abs(-a)", math.atan2(3, 2) + 3),
        ("sin(a) + cos(a)", math.sin(3) + math.cos(3)),
        ("tan(a) + atan(a)", math.tan(3) + math.atan(3)),
        ("(a > 2) + 2 * (a < 2) + (a == 3 and not a == 4)", 2.0),
        ("where(a > 2, a, 100)", 3.0), ("largest_divisor(12, a + 2)", 4.0), ("2^-a", 0.125),
    ):  # fmt: skip
        found = moved(target, f"grad + {expression}", np.zeros(2), states="hyper a = 3.0")
        same(found, value)


def test_comparisons_do_not_chain() -> None:
    with refused("E109"):
        load(rule("direction = 0 < grad < 1"))


# ---------------------------------------------------------------- statistics and ties


@every_target
def test_std_divides_by_n(target: str) -> None:
    same(moved(target, "std(grad) + 0 * grad", X), X.std())
    same(moved(target, "std(grad, unbiased = true) + 0 * grad", X), X.std(ddof=1))


@every_target
def test_count_counts_what_is_not_zero(target: str) -> None:
    same(moved(target, "count(grad)", X), 5)
    same(moved(target, "count(grad > 0) + 10 * mean(grad > 0)", X), 3 + 5)


@every_target
def test_reductions_are_in_double_beside_float64(target: str) -> None:
    """A sum of a large and many small numbers keeps the small ones."""
    x = np.full(4001, 2.0**-20)
    x[0] = 2.0**20
    same(moved(target, "sum(grad) - 2^20", x), 4000 * 2.0**-20)


@every_target
def test_a_choice_between_numbers_has_all_their_digits(target: str) -> None:
    same(moved(target, "where(grad > 0, 0.1, 0.3)", X), np.where(X > 0, 0.1, 0.3), rtol=1e-15)
    same(moved(target, "mean(grad > 0) + 0 * grad", X[:3]), 0)
    same(moved(target, "mean(grad < 0, per rows) / 3", X[:3]), 2 / 9, rtol=1e-15)


@every_target
def test_cast_rounds_at_once(target: str) -> None:
    """To nearest, in the middle of a step, for elements and for numbers."""
    same(moved(target, "cast(grad / 3, float32)", X), np.float32(X / 3))
    same(
        moved(target, "cast(norm(grad), float16) + 0 * grad", X), np.float16(np.sqrt((X**2).sum()))
    )


@every_target
def test_names_are_free(target: str) -> None:
    """What Python, C and the kernels call their own things is no business of a spec."""
    spec = rule(
        """
        int_ = grad
        double = int_ + 1
        register = double * 2
        param_at = register + 1
        sum_total = sum(param_at, per rows)
        grad_part = sum_total + int_
        i = grad_part
        task = i + norm(param_at)
        task = task * 2
        numel_ = task - norm(grad)
        direction = numel_
        """
    )
    run = Run(target, spec, np.zeros((2, 3)))
    grad = X.reshape(2, 3)
    run.step(grad)
    at = (grad + 1) * 2 + 1
    part = at.sum(1, keepdims=True) + grad
    norm = np.sqrt((at**2).sum())
    same(-run.params[0], (part + norm) * 2 - np.sqrt((grad**2).sum()))


@every_target
def test_a_number_s_name_may_be_used_again(target: str) -> None:
    spec = rule(
        """
        a = 2 * t + 1
        a = a * norm(grad)
        s = s + a
        s = s * 2
        a = s + 1
        a = a * a
        direction = a * grad
        """,
        "state s: per tensor",
    )
    run = Run(target, spec, np.zeros(6))
    run.step(X)
    s = 2 * 3 * np.sqrt((X**2).sum())
    same(run.state("s"), s)
    same(-run.params[0], (s + 1) ** 2 * X)


# ---------------------------------------------------------------- matrices


@every_target
def test_matrix_products_are_of_rows_and_columns(target: str) -> None:
    grad = np.random.default_rng(0).standard_normal((3, 2, 2))
    flat = grad.reshape(3, 4)
    for expression, expected in (
        ("grad @ grad.T @ grad", flat @ flat.T @ flat),
        ("grad @ (grad.T @ grad) * 2", 2 * flat @ flat.T @ flat),
    ):
        spec = rule(f"direction = {expression}", "requires ndim >= 2")
        run = Run(target, spec, np.zeros((3, 2, 2)))
        run.step(grad)
        same(-run.params[0], expected.reshape(grad.shape), 1e-11)


@every_target
def test_a_product_with_its_scale_and_norm(target: str) -> None:
    """Scalars move out of products: what comes out is the same."""
    grad = np.random.default_rng(1).standard_normal((4, 3))
    spec = rule(
        """
        x = grad / norm(grad)
        y = 3 * x @ (0.5 * (x.T @ x)) - x
        direction = y * sqrt(rows / cols)
        """,
        "requires ndim >= 2",
    )
    run = Run(target, spec, np.zeros((4, 3)))
    run.step(grad)
    x = grad / np.sqrt((grad**2).sum())
    same(-run.params[0], (1.5 * x @ x.T @ x - x) * np.sqrt(4 / 3), 1e-11)


@pytest.mark.parametrize("update", ["direction = grad @ grad", "direction = grad @ grad.T"])
def test_matrix_operations_on_what_may_be_a_vector(update: str) -> None:
    with pytest.raises(Exception, match=r"E30[178]"):
        load(rule(update))
