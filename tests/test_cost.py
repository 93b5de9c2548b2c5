"""What each pass is worth, in operations, bytes and passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepc.cli.listing import stages
from stepc.compiler.cost import Cost, cost, costs, gain
from stepc.compiler.pipeline import plan
from stepc.dsl.load import load

SPHERE = """
optimizer Sphere:
    hyper lr = 0.1
    state m: like param
    update:
        m = lerp(m, grad, 0.1)
        r = norm(param) / max(norm(m), 1e-8)
        moved = param - lr * r * m
        param = moved * norm(param) / max(norm(moved), 1e-8)
"""


def test_the_cost_of_adamw() -> None:
    tree, plans = plan(load("AdamW"))
    (one,) = costs(tree)
    assert one == cost(plans[0])
    assert (one.slow, one.bytes, one.passes) == (2, 28.0, 1)  # a root and a division
    # grad_scale*g; 3 per lerp and g*g; root, +eps, c2*; c1*m, /; the decay; lr*, -
    assert one.operations == 1 + 7 + 3 + 2 + 1 + 2


def test_only_elements_count() -> None:
    unclipped = min(costs(plan(load("LAMB"))[0]), key=lambda path: path.bytes)
    assert unclipped.passes == 2 and unclipped.bytes == 40.0
    text = SPHERE.replace("r = norm", "r = exp(tanh(norm(param))) * norm")
    slow = [costs(plan(load(spec))[0])[0].slow for spec in (SPHERE, text)]
    assert slow[0] == slow[1]


@pytest.mark.parametrize(
    ("what", "stage", "words"),
    [
        ("AdamW", "hoist", "4 -> 2 slow ones"),
        ("AdamW", "norms", ""),
        ("AdamW8bit", "store", "28 -> 16.062 B"),
        (SPHERE, "norms", "3 -> 2 passes"),
    ],
)
def test_a_pass_says_what_it_gained(what: str, stage: str, words: str, tmp_path: Path) -> None:
    if "\n" in what:
        path = tmp_path / "sphere.opt"
        path.write_text(what)
        what = str(path)
    said = stages(what)[stage].gain
    assert words in said and bool(words) == bool(said), said


def test_a_gain_is_of_the_path_that_changed_most() -> None:
    before = (Cost(10, 2, 28.0, 1), Cost(10, 2, 28.0, 2))
    after = (Cost(9, 2, 28.0, 1), Cost(12, 2, 20.0, 1))
    assert gain(before, after) == (
        "path 1: 10 -> 12 operations, 28 -> 20 B, 2 -> 1 passes per element"
    )
    assert gain(before, before) == ""
