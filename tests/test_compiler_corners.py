"""Corners of the language, compiled for C and for torch, against the interpreter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from side_by_side import Given, agree, random_gradient
from torch.nn import Parameter

import stepc
from stepc.dsl.diagnostics import SpecError
from stepc.runtime import use_target

TARGETS = pytest.mark.parametrize("target", ["c", "torch"])
ALIKE = (
    Given("weight", (3, 4)),
    Given("bias", (5,)),
    Given("late", (2, 6), joins=2),
    Given("scale", (), misses=(1,)),
)
MIXED = (
    Given("weight", (3, 4)),
    Given("bias", (5,), "float32"),
    Given("late", (2, 6), joins=2),
    Given("scale", (), misses=(1,)),
)


def rule(update: str, members: str = "", more: str = "") -> str:
    """A spec `Corner`; parts may be indented as they like."""

    def indented(text: str, depth: int) -> str:
        lines = [line for line in text.splitlines() if line.strip()]
        margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
        return "".join(f"{' ' * depth}{line[margin:]}\n" for line in lines)

    return (
        "optimizer Corner:\n    hyper lr = 0.1 in [0, inf)\n"
        f"{indented(members, 4)}    update:\n{indented(update, 8)}{indented(more, 4)}"
    )


CORNERS = {
    "guard per tensor": rule(
        "guard norm(grad) < 5\nm = lerp(m, grad, 0.1)\ndirection = m", "state m: like param"
    ),
    "guard per global": rule(
        "guard norm(grad, per global) < 12\nm = lerp(m, grad, 0.1)\ndirection = m",
        "state m: like param = grad",
    ),
    "two guards": rule(
        "guard norm(grad) < 6\nm = lerp(m, grad, 0.1)\nguard max(abs(grad), per global) < 9\n"
        "direction = m + grad",
        "state m: like param = grad",
    ),
    "guard before a state of all": rule(
        "guard norm(grad) < 5\nd = max(d, norm(grad, per global))\ndirection = grad / d",
        "state d: per global",
    ),
    "guard of all before a state of all": rule(
        "guard norm(grad, per global) < 12\nd = max(d, norm(grad, per global))\n"
        "direction = grad / d",
        "state d: per global = 1",
    ),
    "guard on the host": rule(
        "d = max(d, norm(grad, per global))\nm = lerp(m, grad, 0.1)\nguard t > 1\n"
        "direction = m / d",
        "state m: like param\nstate d: per global",
    ),
    "guard and a host state": rule(
        "n = n + 1\nguard norm(grad) < 5\ndirection = n * grad", "state n: per tensor, host"
    ),
    "reset": rule(
        "m = lerp(m, grad, 0.1)\ndirection = m\nevery 2:\n    reset m, v, n\nv = v + 1\nn = n + 1",
        "state m: like param = 0.5\nstate v: per rows = 2\nstate n: per tensor, host = 3",
    ),
    "reset to the gradient": rule(
        "direction = m\nm = lerp(m, grad, 0.1)\nevery 3:\n    reset m", "state m: like param = grad"
    ),
    "begin as the gradient": rule(
        "m = lerp(m, grad, 0.1)\ndirection = m",
        "state m: like param = grad",
        "grad:\n    grad = grad / norm(grad)",
    ),
    "read before the gradient changes": rule(
        "m = lerp(m, grad, 0.1)\ndirection = m",
        "state m: like param = grad",
        "grad:\n    grad = grad * 2\n    grad = grad + m\n    grad = grad * 3",
    ),
    "begin as the parameter, read late": rule(
        "direction = grad",
        "state slow: like param = param",
        "param:\n    param *= 0.5\nafter:\n    slow = lerp(slow, param, 0.5)",
    ),
    "begin as twice the parameter": rule(
        "direction = grad",
        "state slow: like param = 2 * param",
        "param:\n    param *= 0.5\nafter:\n    slow = lerp(slow, param, 0.5)",
    ),
    "begin as a norm": rule(
        "n = 0.9 * n + norm(grad)\ndirection = grad / n", "state n: per tensor = norm(param)"
    ),
    "begin as a hyper": rule(
        "d = 1.5 * d\ndirection = grad * d", "hyper d0 = 0.01\nstate d: per global = d0"
    ),
    "begin as a hyper per tensor": rule(
        "d = 1.5 * d\ndirection = grad * d", "hyper d0 = 0.01\nstate d: per tensor = d0"
    ),
    "begin as a norm over all": rule(
        "d = 1.5 * d\ndirection = grad / d", "state d: per global = norm(grad, per global)"
    ),
    "only where there are two axes": rule(
        "direction = grad\nwhen ndim == 2:\n    m = lerp(m, grad, 0.1)\n    direction = m",
        "state m: like param = grad when ndim == 2",
    ),
    "host state under a condition": rule(
        "when numel > 6:\n    n = n + 1\notherwise:\n    n = n * 2 + 1\ndirection = grad / n",
        "state n: per tensor, host = 1",
    ),
    "host state per global": rule(
        "d = 2 * d + lr\ndirection = grad / d", "state d: per global, host"
    ),
    "host state read, changed, read": rule(
        "a = n\nn = n + a\nb = n\nn = n * 2\ndirection = grad * (a + 10 * b + 100 * n)",
        "state n: per tensor, host = 1",
    ),
    "a counted loop": rule(
        "x = grad\nrepeat 3 as k:\n    x = tanh(x + k) * (k + 1)\ndirection = x"
    ),
    "a loop over a sum": rule("x = grad\nrepeat 3 as k:\n    x = x / (norm(x) + k)\ndirection = x"),
    "a loop over a sum over all": rule(
        "x = grad\nrepeat 2 as k:\n    x = x / (norm(x, per global) + k + 1)\ndirection = x"
    ),
    "a mean over all": rule("direction = grad - mean(grad, per global)"),
    "a spread over all": rule("direction = grad / std(grad, per global)"),
    "the largest over all": rule("direction = grad / max(abs(grad), per global)"),
    "the largest of norms": rule("direction = grad / max(norm(grad), per global)"),
    "counts": rule(
        "direction = grad * count(grad > 0, per global) / count(grad > 0) + sum(numel, per global)"
    ),
    "sums over tensors": rule(
        "direction = grad * sum(ndim + 1, per global) + mean(norm(grad), per global)"
    ),
    "per global inside per global": rule(
        "n = norm(grad, per global)\ndirection = grad / norm(grad / n + 1, per global)"
    ),
    "some tensors take part": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad / norm(grad, per global)\ndirection = g"
    ),
    "branches around a sum over all": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad / norm(grad)\ndirection = g / norm(g, per global)"
    ),
    "branches with sums of their own": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad / norm(grad, per global)\n"
        "otherwise:\n    g = grad / max(abs(grad), per global)\n"
        "direction = g / norm(g, per global)"
    ),
    "an age among the branches": rule(
        "m = lerp(m, grad, 0.1)\ndirection = m / norm(m, per global)",
        "state m: like param = grad",
    ),
    "first and skip beside a sum over all": rule(
        "first:\n    v = grad^2\n    skip\nv = lerp(v, grad^2, 0.1)\n"
        "direction = grad / (sqrt(v) + 1)",
        "state v: like param",
        "grad:\n    grad = grad / norm(grad, per global)",
    ),
    "a state of all on every branch": rule(
        "n = norm(grad, per global)\nd = max(d, n)\ng = grad\n"
        "when ndim == 2:\n    g = grad / norm(grad)\ndirection = g / d",
        "state d: per global",
    ),
    "the old value of a state of all": rule(
        "n = norm(grad, per global)\nold = d\nd = max(d, n)\ndirection = grad * old / d",
        "state d: per global = 1",
    ),
    "a state of a tensor from one of all": rule(
        "old = d\nd = d + norm(grad, per global)\nr = lerp(r, old * norm(grad) + d, 0.1)\n"
        "direction = grad / (r + 1)",
        "state d: per global = 1\nstate r: per tensor",
    ),
    "states of tensors that read each other": rule(
        "old = a\na = a + norm(grad)\nb = b + old * norm(grad, per global)\n"
        "direction = grad / (a + b)",
        "state a: per tensor = 1\nstate b: per tensor = 1",
    ),
    "every and a late tensor": rule(
        "m = lerp(m, grad, 0.5)\ndirection = m\nevery 2:\n    direction = m * 2",
        "state m: like param",
    ),
    "t in arithmetic": rule("direction = grad * (1 - 0.9^t) / t"),
    "nested choices": rule(
        "a = (1 if ndim == 2 else 2) if t > 1 else (3 if numel > 5 else 4)\n"
        "direction = (grad if ndim == 2 else norm(grad)) * a"
    ),
    "a sum over a choice": rule(
        "direction = grad / (1 + abs(sum(norm(grad) if ndim == 2 else grad)))"
    ),
    "a choice per rows": rule(
        "v = lerp(v, mean(grad^2, per part), 0.1)\ndirection = grad / (sqrt(v) + 1)",
        "partition part:\n    ndim == 2 -> rows\n    else -> element\nstate v: per part",
    ),
    "the mean of means": rule(
        "v = mean(grad^2, per part)\ndirection = grad / sqrt(mean(v) + 1)",
        "partition part:\n    ndim == 2 -> rows\n    numel > 3 -> tensor\n    else -> element",
    ),
    "a sum over rows of sums over rows": rule(
        "direction = grad / (1 + norm(norm(grad, per rows)))"
    ),
    "sums over columns of a state per row": rule(
        "r = lerp(r, mean(grad^2, per rows), 0.1)\nc = lerp(c, mean(grad^2, per cols), 0.1)\n"
        "direction = grad / (sqrt(r * c / mean(r)) + 1)",
        "state r: per rows\nstate c: per cols",
    ),
    "largest and least": rule(
        "direction = (grad - min(grad, per tensor)) / max(abs(grad), per tensor)"
    ),
    "per group": rule(
        "n = norm(grad, per group)\nd = max(d, n)\ndirection = grad * scale / d",
        "hyper scale = 1\nstate d: per group",
    ),
    "per group and per global": rule(
        "n = norm(grad, per group)\ng = grad / n\ndirection = g / norm(g, per global) * scale",
        "hyper scale = 1",
    ),
    "a state of a group from all": rule(
        "old = e\ne = e + norm(grad, per global) * scale\nr = lerp(r, norm(grad) * old, 0.5)\n"
        "direction = grad / (e + r)",
        "hyper scale = 1\nstate e: per group = 1\nstate r: per tensor",
    ),
    "a mean of norms per group": rule(
        "d = lerp(d, mean(norm(grad), per group), 0.5)\ndirection = grad / d",
        "state d: per group = norm(grad, per group)",
    ),
    "branches per group": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad / norm(grad)\n"
        "direction = g / max(abs(g), per group)"
    ),
    "a host state per group": rule(
        "d = d + scale\ndirection = grad / d", "hyper scale = 1\nstate d: per group, host"
    ),
    "a choice by the host inside arithmetic": rule(
        "direction = where(t > 1, grad, norm(grad)) * where(ndim == 2, 2, 3)"
    ),
    "a norm of a row's and an element's values": rule(
        "n = norm(grad)\nx = mean(grad, per rows) + param / n\ndirection = grad / (1 + norm(x))"
    ),
    "a norm over all of what is scaled by its own": rule(
        "n = norm(grad)\ndirection = grad / (1 + norm(grad / n + param, per global))"
    ),
    "a mean over all of moments of what is scaled by its own": rule(
        "g = grad / (norm(grad) + 1)\nv = lerp(v, g^2, 0.5)\ndirection = g / mean(v, per global)",
        "state v: like param",
    ),
    "a mean over all of moments that branches scale": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad / (norm(grad) + 1) - grad * mean(grad)\n"
        "v = lerp(v, g^2, 0.5) - norm(g) * g\ndirection = g / (1 + mean(v, per global))",
        "state v: like param",
    ),
    "sums of rows that are scaled by row and centred": rule(
        "g = where(norm(grad, per rows) > norm(param, per rows), grad * norm(param, per rows), "
        "grad)\ng -= mean(g, per rows)\ng /= 1 + std(g)\ndirection = g * norm(param, per rows) "
        "+ norm(param / (1 + std(g)), per cols) + param * norm(g, per global) / numel"
    ),
    "what is centred by columns, centred by rows": rule(
        "g = grad - mean(grad, per cols)\ndirection = g - mean(g, per rows) + mean(g)"
    ),
    "what is centred by rows on some paths, centred over all": rule(
        "g = grad\nwhen ndim == 2:\n    g = grad - mean(grad, per rows)\n"
        "direction = g - sum(g, per global) / 9"
    ),
    "a sum over all of numbers that wait for another": rule(
        "n = norm(grad, per global)\ns = sum(norm(grad) / n, per global)\n"
        "h = max(abs(grad - n * param), per global)\ndirection = grad * s * h"
    ),
    "a norm over all of what is scaled by one over all": rule(
        "n = norm(grad, per global)\ndirection = grad / (1 + norm(grad / n + param, per global))"
    ),
    "a state of all that some tensors assign": rule(
        "when ndim == 2:\n    d = d + norm(grad, per global)\ndirection = grad * d",
        "state d: per global = 1",
    ),
    "a state of all that some tensors assign later": rule(
        "every 2:\n    d = d + norm(grad, per global)\ndirection = grad * d",
        "state d: per global = 1",
    ),
    "a state of all that decays": rule(
        "d = 0.9 * d + 0.1\ndirection = grad * d", "state d: per global = 1"
    ),
    "the largest over all of norms of rows": rule(
        "direction = grad / max(norm(grad, per rows), per global)"
    ),
    "a state per heads, summed over all": rule(
        "h = lerp(h, mean(grad^2, per heads(1)), 0.1)\ndirection = grad / (1 + sum(h, per global))",
        "state h: per heads(1)",
    ),
    "a call that only counts": rule(
        "n = n + 1\nwhen n_calls < 2:\n    n_calls = n_calls + 1\n    skip\ndirection = grad * n",
        "state n: per tensor\nstate n_calls: per tensor, host",
    ),
    "a sum that some tensors only add to": rule(
        "s = mean(grad^2, per global)\nwhen ndim == 2:\n    s = 1\ndirection = grad / s"
    ),
    "a sum within a sum that some tensors only add to": rule(
        "n = norm(grad, per global)\ns = max(abs(grad) / n, per group)\n"
        "when ndim == 2:\n    s = 1\ndirection = grad / s"
    ),
    "means per group that not all tensors share": rule(
        "x = mean(grad * sum(grad, per chunks(7)), per group)\ns = 1\n"
        "when ndim == 2:\n    s = mean(grad * param, per group)\ndirection = x * s + grad"
    ),
    "means over all that not all tensors share": rule(
        "x = mean(grad^2, per global)\ns = 1\n"
        "when ndim == 2:\n    s = mean(param^2, per global)\ndirection = grad * s / x"
    ),
    "the sum and the largest of norms over all": rule(
        "n = norm(grad)\ns = sum(n, per global)\nwhen ndim == 2:\n"
        "    s = s + max(n, per global) + sum(n, per group)\ndirection = grad / s"
    ),
    "one name, two meanings": rule(
        "x = norm(grad)\ng = grad / x\nx = norm(param)\ndirection = g * x"
    ),
}


def tensors_for(spec: str) -> tuple[Given, ...]:
    """Tensors that share a device state must have one dtype."""
    shared = [line for line in spec.splitlines() if "state" in line and "host" not in line]
    joint = any("per global" in line or "per group" in line for line in shared)
    return ALIKE if joint else MIXED


@TARGETS
@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner(corner: str, target: str) -> None:
    agree(CORNERS[corner], tensors_for(CORNERS[corner]), target, steps=5)


@TARGETS
@pytest.mark.parametrize("corner", [name for name in CORNERS if "group" in name or "all" in name])
def test_a_corner_with_two_groups(corner: str, target: str) -> None:
    """Groups of different hypers; the second has tensors of both kinds, the third none."""
    groups: list[dict[str, Any]] = [{"lr": 0.1}, {"lr": 0.3}, {"lr": 0.2}]
    if "hyper scale" in CORNERS[corner]:
        groups = [{**group, "scale": 1.0 + k} for k, group in enumerate(groups)]
    givens = [replace(g, group=k % 2) for k, g in enumerate(tensors_for(CORNERS[corner]))]
    agree(
        CORNERS[corner], [*givens, Given("more", (2, 3), group=1)], target, groups=groups, steps=5
    )


@TARGETS
@pytest.mark.parametrize(
    "what",
    [
        "Muon + GlobalNormClip(max_norm = 0.1)",
        "ADOPT + GlobalNormClip(max_norm = 0.1)",
        "AdamW + Cautious + GlobalNormClip(max_norm = 0.1)",
    ],
)
def test_a_global_norm_is_over_the_branches_of_a_route(what: str, target: str) -> None:
    names = ("mlp.weight", "mlp.bias", "late.weight", "embed.weight")
    givens = [replace(g, name=name) for g, name in zip(ALIKE, names, strict=True)]
    agree(what, givens, target, steps=4)


@TARGETS
def test_matrices_and_a_sum_over_all(target: str) -> None:
    spec = rule(
        "s = grad @ grad.T @ grad\nm = lerp(m, s, 0.1)\ndirection = m / norm(s, per global)",
        "requires ndim >= 2\nstate m: like param",
    )
    agree(spec, MATRICES, target, steps=3)


MATRICES = (Given("a", (3, 4)), Given("b", (4, 2)), Given("late", (3, 4), joins=1))


@TARGETS
@pytest.mark.parametrize(
    "update",
    [
        "g = grad / norm(grad, per global)\ndirection = g @ g.T @ g",
        "s = grad @ grad.T @ grad\ndirection = s / sum(s, per global)",
        "g = grad / norm(grad)\nh = g / norm(g, per global)\ndirection = h @ h.T @ h / norm(h)",
        "n = norm(grad)\ng = grad / sum(n, per global)\ndirection = n * (g @ g.T @ g)",
        "s = grad @ grad.T @ grad\ndirection = s / (1 + sum(norm(s), per global))",
    ],
)
def test_matrices_around_a_sum_over_all(target: str, update: str) -> None:
    agree(rule(update, "requires ndim >= 2"), MATRICES, target, steps=3)


@pytest.mark.parametrize(
    "update",
    [
        "s = grad @ grad.T\ns = s / norm(s @ grad, per global)\ndirection = s @ grad",
        "s = grad @ grad.T\ndirection = s @ grad / (1 + sum(norm(s), per global))",
    ],
)
def test_a_sum_over_all_between_matrix_products_is_refused(update: str) -> None:
    with pytest.raises(SpecError, match="E516"):
        stepc.compile(rule(update, "requires ndim >= 2"))


def test_sums_over_groups_and_over_all_in_triton_s_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    corners = (
        "per group",
        "per group and per global",
        "a state of a group from all",
        "a state of all on every branch",
        "branches with sums of their own",
        "a sum within a sum that some tensors only add to",
        "means per group that not all tensors share",
        "the sum and the largest of norms over all",
    )
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("running_corners.py")), *corners],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


# ---------------------------------------------------------------- hypers that change


@TARGETS
def test_a_state_that_begins_when_its_hyper_is_switched_on(target: str) -> None:
    """SGD's buffer begins as the gradient of the step in which momentum is no longer zero."""

    def change(step: int, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            group["momentum"] = 0.0 if step < 2 else 0.9

    spec = rule(
        "direction = grad\nwhen momentum > 0:\n    m = momentum * m + grad\n    direction = m",
        "hyper momentum = 0 in [0, 1)\nstate m: like param = grad when momentum > 0",
    )
    agree(spec, MIXED, target, groups=({"momentum": 0.0},), change=change, steps=5)


@TARGETS
def test_a_rate_that_changes_before_every_step(target: str) -> None:
    def change(step: int, groups: list[dict[str, Any]]) -> None:
        for group in groups:
            group["lr"] = 0.1 / (step + 1)

    spec = rule(
        "s = s + lr_scale\ndirection = grad * lr_scale + param * base_lr + s * 0",
        "state s: per tensor, host",
    )
    agree(spec, MIXED, target, groups=({"lr": 0.1, "initial_lr": 0.2},), change=change)


@TARGETS
def test_a_number_that_does_not_exist_names_the_tensor(target: str) -> None:
    spec = rule("direction = grad / divisor", "hyper divisor = 0")
    with pytest.raises(ValueError, match=r"parameter number 0 .*: a number of this step .*zero"):
        agree(spec, ALIKE, target)


@TARGETS
def test_states_of_groups_and_of_all_survive_a_checkpoint(target: str) -> None:
    spec = rule(
        "d = d + norm(grad, per group)\ne = e + norm(grad, per global)\nn = n + 1\n"
        "direction = grad * n / (d * e)",
        "state d: per group = 1\nstate e: per global = lr\nstate n: per group, host",
    )
    cls = stepc.compile(spec)

    def run(breaks: int) -> list[torch.Tensor]:
        chance = torch.Generator().manual_seed(3)
        params = [Parameter(torch.randn(2, 3, generator=chance)) for _ in range(3)]
        groups = [{"params": params[:2]}, {"params": params[2:]}]
        optimizer = cls(groups)
        for step in range(4):
            for param in params:
                param.grad = torch.randn(2, 3, generator=chance)
            optimizer.step()
            if step == breaks:
                kept = io.BytesIO()
                torch.save(optimizer.state_dict(), kept)
                kept.seek(0)
                optimizer = cls([{"params": params[:2]}, {"params": params[2:]}])
                optimizer.load_state_dict(torch.load(kept, weights_only=True))
        return params

    with use_target(target):
        for a, b in zip(run(-1), run(1), strict=True):
            assert torch.equal(a, b)


# ---------------------------------------------------------------- storage

LARGE = (
    Given("weight", (70, 65), "float32"),
    Given("bias", (301,), "float32"),
    Given("late", (33, 20), "float32", joins=1),
)
MOMENTS = rule(
    "guard norm(grad) < 100\nm = lerp(m, grad, 0.1)\nv = lerp(v, grad^2, 0.01)\n"
    "direction = m / (sqrt(v) + 1e-3)",
    "state m: like param = {first}\nstate v: like param = {second}",
)


@TARGETS
@pytest.mark.parametrize(("first", "second"), [("0", "0"), ("grad", "grad^2"), ("0.5", "0.25")])
def test_codecs_with_guards_and_beginnings(target: str, first: str, second: str) -> None:
    spec = MOMENTS.format(first=first, second=second)
    codecs = {"m": "dynamic8(block = 256)", "v": "dynamic8(block = 128, signed = false)"}
    agree(spec, LARGE, target, quantize=codecs, steps=4, off=2e-3)


@TARGETS
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan", "master"])
def test_roundings_with_a_guard(target: str, rounding: str, dtype: str) -> None:
    spec = rule(
        "guard norm(grad) < 6\nm = lerp(m, grad, 0.1)\ndirection = m", "state m: like param"
    )
    givens = [replace(g, dtype=dtype) for g in ALIKE]
    agree(spec, givens, target, rounding=rounding, steps=4)


# ---------------------------------------------------------------- not a number


def with_nan(given: Given, place: int, step: int) -> np.ndarray | None:
    """One NaN in one tensor in the second step, an infinity in the third."""
    grad = random_gradient(given, place, step)
    if grad is not None and grad.size and place == 1 and step in (1, 2):
        grad.reshape(-1)[2] = np.nan if step == 1 else np.inf
    return grad


@TARGETS
@pytest.mark.parametrize(
    "update",
    [
        "direction = grad / max(abs(grad), per tensor)",
        "direction = grad - min(grad, per tensor)",
        "direction = grad / max(abs(grad), per rows)",
        "direction = grad / max(abs(grad), per global)",
        "direction = max(grad, 0) + min(grad, 1) + clamp(grad, -1, 1) + sign(grad)",
        "guard norm(grad) < 1e3\ndirection = grad",
        "guard norm(grad, per global) < 1e3\ndirection = grad",
        "direction = where(grad > 0, grad, 0)",
        "direction = where(grad != grad, 0, grad)",
        "direction = count(grad > 0) * grad^2",
    ],
)
def test_nan_goes_where_the_language_says(target: str, update: str) -> None:
    agree(rule(update), MIXED, target, gradient=with_nan, steps=4)
