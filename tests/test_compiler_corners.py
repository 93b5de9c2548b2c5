"""Corners of the language, compiled for C and for torch, against the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from side_by_side import Given, agree, random_gradient

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
        "guard norm(grad, per global) < 12\nd = max(d, norm(grad, per global))\ndirection = grad / d",
        "state d: per global = 1",
    ),
    "guard on the host": rule(
        "d = max(d, norm(grad, per global))\nm = lerp(m, grad, 0.1)\nguard t > 1\ndirection = m / d",
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
    "a loop over a sum": rule(
        "x = grad\nrepeat 3 as k:\n    x = x / (norm(x) + k)\ndirection = x"
    ),
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
        "g = grad\nwhen ndim == 2:\n    g = grad / norm(grad)\n"
        "direction = g / norm(g, per global)"
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
        "first:\n    v = grad^2\n    skip\nv = lerp(v, grad^2, 0.1)\ndirection = grad / (sqrt(v) + 1)",
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
        "old = a\na = a + norm(grad)\nb = b + old * norm(grad, per global)\ndirection = grad / (a + b)",
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
    "a sum over rows of sums over rows": rule("direction = grad / (1 + norm(norm(grad, per rows)))"),
    "sums over columns of a state per row": rule(
        "r = lerp(r, mean(grad^2, per rows), 0.1)\nc = lerp(c, mean(grad^2, per cols), 0.1)\n"
        "direction = grad / (sqrt(r * c / mean(r)) + 1)",
        "state r: per rows\nstate c: per cols",
    ),
    "largest and least": rule("direction = (grad - min(grad, per tensor)) / max(abs(grad), per tensor)"),
    "one name, two meanings": rule(
        "x = norm(grad)\ng = grad / x\nx = norm(param)\ndirection = g * x"
    ),
}


@TARGETS
@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner(corner: str, target: str) -> None:
    givens = ALIKE if "per global" in CORNERS[corner] and "state d" in CORNERS[corner] else MIXED
    agree(CORNERS[corner], givens, target, steps=5)
