"""Quantiles and the places of extremes, compiled: every target against the interpreter.

They run through torch before the sweep that uses them, so what is looked at here is what comes in
(gradients, states, values of other reductions) and what waits for their result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from side_by_side import Given, agree, random_gradient

import stepc
from stepc.compiler.pipeline import plan
from stepc.compiler.plan import MatrixStep, Sweep
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.evaluate import reduce
from stepc.dsl.load import load
from stepc.runtime.forms import argmax, argmin, quantile

TARGETS = pytest.mark.parametrize("target", ["c", "torch"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
LEVELS = ("tensor", "rows", "cols")


def rule(update: str, members: str = "") -> str:
    lines = [
        "optimizer Rule:",
        "    hyper lr = 1e-2",
        *(f"    {line}" for line in members.splitlines()),
        "    update:",
        *(f"        {line}" for line in update.splitlines()),
    ]
    return "\n".join(lines) + "\n"


def givens(dtype: str) -> tuple[Given, ...]:
    return (
        Given("weight", (5, 7), dtype),
        Given("twin", (5, 7), dtype, misses=(1,)),
        Given("late", (5, 7), dtype, joins=2),
        Given("bias", (6,), dtype),
        Given("scale", (), dtype),
        Given("conv", (3, 2, 2, 3), dtype, misses=(0, 2)),
    )


CLIP = "limit = quantile(abs(grad), 0.9, per {})\ndirection = clamp(grad, -limit, limit)"
RULES = {
    **{f"clipped per {level}": rule(CLIP.format(level)) for level in LEVELS},
    **{
        f"the greatest per {level}": rule(
            f"direction = where(argmax(abs(grad), per {level}) > 2, grad, -grad)"
        )
        for level in LEVELS
    },
    **{
        f"the place of the least per {level}": rule(f"direction = grad * argmin(grad, per {level})")
        for level in LEVELS
    },
    "momentum, clipped": rule(
        "m = lerp(m, grad, 0.1)\nc = quantile(abs(m), 0.75)\ndirection = clamp(m, -c, c)",
        "state m: like param",
    ),
    "a median of a quotient": rule(
        "m = lerp(m, grad, 0.1)\nv = lerp(v, grad^2, 0.1)\nu = m / (sqrt(v) + 1e-8)\n"
        "direction = u / (1 + quantile(abs(u), 0.5, per rows))",
        "state m: like param\nstate v: like param",
    ),
    "a state per tensor": rule(
        "d = lerp(d, quantile(abs(grad), 0.9), 0.5)\ndirection = grad / d",
        "state d: per tensor = 1",
    ),
    "a state per tensor that is the quantile": rule(
        "g = grad / d\nd = quantile(abs(grad), 0.9)\ndirection = g + d",
        "state d: per tensor = 1",
    ),
    "a state per row": rule(
        "d = lerp(d, quantile(abs(grad), 0.9, per rows), 0.5)\ndirection = grad / d",
        "state d: per rows = 1",
    ),
    "a state that begins with it": rule(
        "d = max(d, quantile(abs(grad), 0.5))\ndirection = grad / d",
        "state d: per tensor = quantile(abs(grad), 0.25)",
    ),
    "a norm of what was clipped": rule(
        "limit = quantile(abs(grad), 0.9)\nc = clamp(grad, -limit, limit)\ndirection = c / norm(c)"
    ),
    "a state of both": rule(
        "limit = quantile(abs(grad), 0.9)\nc = clamp(grad, -limit, limit)\n"
        "d = lerp(d, limit * norm(c), 0.5)\ndirection = c / d",
        "state d: per tensor = 1",
    ),
    "a quantile of what was clipped": rule(
        "x = quantile(grad, 0.9)\ny = clamp(grad, -x, x)\ndirection = grad * quantile(y, 0.5) + y"
    ),
    "a quantile of norms": rule(
        "direction = grad / (1 + quantile(norm(grad, per rows), 0.5, per tensor))"
    ),
    "the row with the greatest norm": rule(
        "direction = grad * argmax(norm(grad, per rows), per tensor)"
    ),
    "rows against columns": rule(
        "direction = where(argmax(grad, per rows) == argmin(grad, per cols), grad, 0)"
    ),
    "an interquartile range": rule(
        "x = quantile(grad, 0.75, per cols) - quantile(grad, 0.25, per cols)\n"
        "direction = grad / (1 + x)"
    ),
    "how many are positive": rule("direction = grad + quantile(grad > 0, 0.4, per rows)"),
    "a fraction that is a hyper": rule(
        "limit = quantile(abs(grad), q, per rows)\ndirection = clamp(grad, -limit, limit)",
        "hyper q = 0.7 in [0, 1]",
    ),
    "a fraction that changes": rule(
        "limit = quantile(abs(grad), 1 - 1 / (t + numel))\ndirection = clamp(grad, -limit, limit)"
    ),
    "a guard": rule("guard quantile(abs(grad), 0.5) < 1.5\ndirection = grad"),
    "every other step": rule(
        "every 2:\n    d = quantile(abs(grad), 0.9)\ndirection = grad * d",
        "state d: per tensor = 1",
    ),
    "after a norm over all": rule(
        "g = grad / norm(grad, per global)\nlimit = quantile(abs(g), 0.9)\n"
        "direction = clamp(g, -limit, limit)"
    ),
    "a norm over all of what was clipped": rule(
        "limit = quantile(abs(grad), 0.9)\nc = clamp(grad, -limit, limit)\n"
        "direction = c / norm(c, per global)"
    ),
    "a mean over all": rule(
        "limit = mean(quantile(abs(grad), 0.9), per global)\ndirection = clamp(grad, -limit, limit)"
    ),
    "a state per tensor after a norm over all": rule(
        "g = grad / norm(grad, per global)\n"
        "d = lerp(d, quantile(abs(g), 0.9), 0.5)\ndirection = g / d",
        "state d: per tensor = 1",
    ),
    "a state of all": rule(
        "d = max(d, sum(quantile(abs(grad), 0.9), per global))\ndirection = grad / d",
        "state d: per global = 1",
    ),
}
MATRICES = {
    "of a product": rule(
        "x = grad @ grad.T @ grad\nlimit = quantile(abs(x), 0.9, per rows)\n"
        "direction = clamp(x, -limit, limit)",
        "requires ndim >= 2",
    ),
    "of a square": rule(
        "s = grad @ grad.T\ndirection = grad / (1 + quantile(s, 0.9)) * argmax(s, per tensor)",
        "requires ndim >= 2",
    ),
    "before a product": rule(
        "limit = quantile(abs(grad), 0.9)\ng = clamp(grad, -limit, limit)\n"
        "direction = g @ g.T @ g / norm(g) * limit",
        "requires ndim >= 2",
    ),
    "beside a product": rule(
        "limit = quantile(abs(grad), 0.9, per cols)\n"
        "direction = clamp(grad @ grad.T @ grad, -limit, limit)",
        "requires ndim >= 2",
    ),
    "a product in a state": rule(
        "x = grad @ grad.T @ grad\nd = lerp(d, quantile(abs(x), 0.9), 0.5)\ndirection = x / d",
        "requires ndim >= 2\nstate d: per tensor = 1",
    ),
}


@TARGETS
@DTYPES
@pytest.mark.parametrize("name", RULES)
def test_a_rule(name: str, dtype: str, target: str) -> None:
    agree(RULES[name], givens(dtype), target, steps=4)


@TARGETS
@pytest.mark.parametrize("codec", ["dynamic8(block = 256)", "dynamic8(block = 16)"])
def test_of_a_quantized_state(codec: str, target: str) -> None:
    spec = RULES["momentum, clipped"]
    agree(spec, givens("float32"), target, quantize={"m": codec}, steps=4)


@TARGETS
@DTYPES
@pytest.mark.parametrize("name", MATRICES)
def test_with_matrix_products(name: str, dtype: str, target: str) -> None:
    tensors = [g for g in givens(dtype) if len(g.shape) >= 2]
    agree(MATRICES[name], tensors, target, steps=4)


def with_ties(given: Given, place: int, step: int) -> np.ndarray | None:
    grad = random_gradient(given, place, step)
    return None if grad is None else np.round(grad)


def with_nan(given: Given, place: int, step: int) -> np.ndarray | None:
    """NaN in some rows of some tensors, twice in one row."""
    grad = with_ties(given, place, step)
    if grad is not None and grad.size > 3 and place != 1:
        grad.reshape(-1)[[1, 3]] = np.nan
    return grad


def with_infinities(given: Given, place: int, step: int) -> np.ndarray | None:
    grad = random_gradient(given, place, step)
    if grad is not None and grad.size > 3:
        grad.reshape(-1)[[0, 2]] = np.inf
    return grad


@TARGETS
@DTYPES
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("gradient", [with_ties, with_nan, with_infinities])
def test_ties_and_what_is_no_number(
    gradient: Callable[[Given, int, int], np.ndarray | None], level: str, dtype: str, target: str
) -> None:
    spec = rule(
        f"place = argmax(grad, per {level}) + 10 * argmin(grad, per {level})\n"
        f"m = quantile(grad, 0.7, per {level})\n"
        "direction = place + where(m == m, min(m, 100), -1)"
    )
    agree(spec, givens(dtype), target, steps=3, gradient=gradient)


@TARGETS
def test_a_fraction_that_is_none_gives_nan(target: str) -> None:
    spec = rule("direction = quantile(grad, q) + 0 * grad", "hyper q = 0.5")
    tensors = [Given("a", (3, 4)), Given("b", (3, 4), group=1)]
    optimizer = agree(spec, tensors, target, steps=1, groups=({"q": 1.25}, {"q": 1.0}))
    first, second = (group["params"][0] for group in optimizer.param_groups)
    assert first.isnan().all() and not second.isnan().any()


# ---------------------------------------------------------------- the forms in torch


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_a_quantile_is_the_interpreters(level: str, fraction: float) -> None:
    x = torch.randn(3, 4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    lines = {"rows": x, "cols": x.mT, "tensor": x.flatten(1).unsqueeze(1)}[level]
    for form, op in ((argmax, "argmax"), (argmin, "argmin"), (quantile, "quantile")):
        found = quantile(x, fraction, level) if form is quantile else form(x, level)  # type: ignore[operator]
        expected = [
            reduce(op, [line, np.full(len(line), fraction)]) for m in lines.numpy() for line in m
        ]
        assert found.flatten().tolist() == pytest.approx(expected, rel=1e-14)
        shape = {"rows": (3, 4, 1), "cols": (3, 1, 9), "tensor": (3, 1, 1)}[level]
        assert found.shape == shape


def test_a_quantile_of_more_numbers_than_torch_takes() -> None:
    x = torch.arange(2**24 + 3, dtype=torch.float64).flip(0).view(1, 1, -1)
    assert quantile(x, 0.25, "tensor").item() == (2**24 + 2) / 4


# ---------------------------------------------------------------- plans


def test_a_clip_reads_the_gradient_where_it_is() -> None:
    """One sweep, and a matrix step that takes the gradient in and leaves one number."""
    _, (made,) = plan(load(RULES["clipped per tensor"]))
    matrix, sweep = made.steps
    assert isinstance(matrix, MatrixStep) and isinstance(sweep, Sweep)
    assert [s.name for s in matrix.loads] == ["grad"]
    assert [s.stream.level.kind for s in matrix.stores] == ["tensor"]
    assert [s.name for s in sweep.loads] == ["param", "grad", "limit"]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("code", "update"),
    [
        ("E522", "direction = grad * quantile(grad, 0.5, per global)"),
        ("E522", "direction = grad * argmax(grad, per group)"),
        ("E522", "direction = grad * quantile(grad, 0.5, per heads(2))"),
        ("E522", "direction = grad * quantile(max(grad, per chunks(4)), 0.5, per tensor)"),
        ("E304", "direction = grad * quantile(grad, mean(grad), per rows)"),
        ("E319", "direction = grad * quantile(grad, 90, per rows)"),
        ("E319", "direction = grad * quantile(grad, -0.1, per rows)"),
        ("E302", "direction = grad * argmax(norm(grad), per tensor)"),
    ],
)
def test_refused(code: str, update: str) -> None:
    with pytest.raises(SpecError, match=code):
        stepc.compile(rule(update))
