"""Every operation of two and three arguments, with a host number in any of its places.

In the torch form a host number is a Python float, which many torch functions refuse. Each case runs
once with the number written in, and once through a state, in every target against the interpreter.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from language import Run, rule, same

from stepc.compiler.emit.torch_syntax import TORCH

OPERATIONS = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "mod": "{} % {}",
    "pow": "{} ^ {}", "maximum": "max({}, {})", "minimum": "min({}, {})", "atan2": "atan2({}, {})",
    "eq": "where({} == {}, grad, 2)", "ne": "where({} != {}, grad, 2)",
    "lt": "where({} < {}, 1, grad)", "le": "where({} <= {}, 1, grad)",
    "gt": "where({} > {}, grad, 2)", "ge": "where({} >= {}, grad, 2)",
    "and": "where({} > 0.6 and {} > 0.7, grad, 2)", "or": "where({} > 0.6 or {} > 0.7, grad, 2)",
}  # fmt: skip
OF_THREE = {
    "where": "where({} > 0.6, {}, {})", "clamp": "clamp({}, {} - 1, {})",
    "lerp": "lerp({}, {}, {})", "nested": "max(min({}, {}), {})",
}  # fmt: skip
TENSOR = "(abs(grad) + 0.2)"
NUMBERS = {"a constant": "0.7", "a hyper": "rate", "worked out": "(1 / t)"}
GRADS = np.array([[0.3, -1.2, 0.9], [-0.05, 0.5, 2.5]])
START = np.array([[1.0, 2.0, -3.0], [0.5, 0.0, 7.0]])

# What is made by passes, or takes more than numbers: tested where those are.
_ELSEWHERE = {
    "affine_product", "affine_quotient", "copysign", "in_half_ulps", "max_number", "min_number",
    "matmul", "round_stochastic",
}  # fmt: skip


def cases() -> dict[str, tuple[str, str]]:
    """Name: an expression with `{}` for the number, and the number."""
    found: dict[str, tuple[str, str]] = {}
    for table, places in ((OPERATIONS, 2), (OF_THREE, 3)):
        for (op, form), (kind, number) in product(table.items(), NUMBERS.items()):
            for filled in product((TENSOR, "{0}"), repeat=places):
                if "{0}" in filled:
                    where = " ".join("x" if part == TENSOR else "a" for part in filled)
                    found[f"{op}: {where}, {kind}"] = (form.format(*filled), number)
    return found


CASES = cases()


def test_no_operation_of_two_arguments_is_left_out() -> None:
    two = {op.partition(" ")[0] for op, form in TORCH.forms.items() if len(form.takes) == 2}
    assert two - _ELSEWHERE == set(OPERATIONS)


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("op", [*OPERATIONS, *OF_THREE])
def test_a_number_in_any_place(op: str, target: str) -> None:
    """All places, kinds of number, and ways to say it of one operation in one spec each."""
    mine = {name: case for name, case in CASES.items() if name.startswith(f"{op}: ")}
    written = [text.format(number) for text, number in mine.values()]
    terms = "\n".join(f"x{k} = {text} + 0 * grad" for k, text in enumerate(written))
    total = " + ".join(f"{1.7**k:.4} * x{k}" for k in range(len(written)))
    compare(target, f"{terms}\ndirection = rate * grad + {total}")
    first = next(iter(mine.values()))[0]
    for number in NUMBERS.values():
        compare(target, f"s = {number}\ndirection = rate * grad + {first.format('s')}")


def compare(target: str, update: str) -> None:
    """Three steps, the same as in the interpreter."""
    spec = rule(update, "hyper rate = 0.75" + ("\nstate s: per rows" if "s = " in update else ""))
    one, other = Run(target, spec, START), Run("interpreter", spec, START)
    for step in range(3):
        for run in (one, other):
            run.step(GRADS * (step + 1))
        same(one.params[0], other.params[0], 1e-11)
