"""The order of a step: sections, the ending, what a name means before and after its assignment.

Each test's expected numbers are the step written out by hand; lr is 1 unless a test says so.
"""

from __future__ import annotations

import numpy as np
import pytest
from language import Run, every_target, refused, rule, same

from stepc.dsl.load import load

P = np.array([[1.0, -2.0], [0.5, 4.0]])
G = np.array([[0.5, 1.0], [-2.0, 0.25]])

ALL_SECTIONS = """
optimizer Ordered:
    hyper lr = 0.5
    state begun: like param
    state after_update: like param
    state seen: like param
    lr *= 0.5
    grad:
        grad = grad + 1
    update:
        direction = 2 * grad
        begun = param
    direction:
        direction = direction + 10
        after_update = param
    decay:
        param = param * 0.5
    param:
        param = param + 100
    after:
        param = param * 2
        seen = param
"""


@every_target
def test_sections_run_in_the_one_order(target: str) -> None:
    run = Run(target, ALL_SECTIONS, P)
    run.step(G)
    ended = P * 0.5 - 0.25 * (2 * (G + 1) + 10)
    same(run.params[0], (ended + 100) * 2)
    same(run.state("begun"), P)
    same(run.state("after_update"), P)  # decay has not come yet
    same(run.state("seen"), (ended + 100) * 2)


@every_target
def test_the_order_of_the_text_does_not_matter(target: str) -> None:
    """Sections may be written in any order; they run in the language's."""
    head, *sections = (
        ALL_SECTIONS.split("\n    grad:")[0],
        "    grad:" + ALL_SECTIONS.split("\n    grad:")[1],
    )
    pieces: list[str] = []
    for line in sections[0].splitlines(keepends=True):
        if line.startswith("    ") and line[4] != " ":
            pieces.append("")
        pieces[-1] += line
    run = Run(target, head + "\n" + "".join(reversed(pieces)), P)
    run.step(G)
    same(run.params[0], (P * 0.5 - 0.25 * (2 * (G + 1) + 10) + 100) * 2)


@every_target
def test_lr_is_applied_once(target: str) -> None:
    run = Run(target, rule("direction = grad"), P, hypers={"lr": 0.1})
    run.step(G)
    same(run.params[0], P - 0.1 * G)


@every_target
def test_lr_rules_hold_for_one_step(target: str) -> None:
    """`lr *= ...` begins from the group's rate every time, and a rule list takes the first line."""
    lines = "lr *=\n    t < 3  -> 0.5\n    t < 4  -> 0.25\n    else -> 1"
    run = Run(target, rule("direction = 1", lines), P)
    for expected in (0.5, 1.0, 1.25, 2.25, 3.25):
        run.step(0)
        same(run.params[0], P - expected)


@every_target
def test_a_hyper_rule_is_seen_by_decay_and_ending(target: str) -> None:
    spec = rule(
        "direction = grad",
        "hyper weight_decay = 0.5\nweight_decay =\n    ndim < 2 -> 0\n    else -> weight_decay",
        "decay:\n    param *= 1 - lr * weight_decay",
    )
    run = Run(target, spec, P, P[0], hypers={"lr": 0.1})
    run.step(G, G[0])
    same(run.params[0], P * (1 - 0.05) - 0.1 * G)
    same(run.params[1], P[0] - 0.1 * G[0])


@every_target
def test_direction_sections_see_the_old_parameter(target: str) -> None:
    spec = rule(
        "direction = grad",
        "",
        "direction:\n    direction = direction + norm(param)\ndecay:\n    param *= 0.5",
    )
    run = Run(target, spec, P)
    run.step(G)
    same(run.params[0], 0.5 * P - (G + np.sqrt((P**2).sum())))


@every_target
def test_l2_decay_is_part_of_the_gradient(target: str) -> None:
    spec = rule("g = grad + 0.1 * param\nm = 0.5 * m + g\ndirection = m", "state m: like param")
    run = Run(target, spec, P)
    run.step(G)
    once = P - (G + 0.1 * P)
    run.step(G)
    same(run.params[0], once - (0.5 * (G + 0.1 * P) + G + 0.1 * once))


# ---------------------------------------------------------------- step and param


@every_target
def test_step_has_its_own_rate(target: str) -> None:
    """`step` instead of `direction`: the ending is param -= step; decay applies as usual."""
    spec = rule("step = lr / t * grad", "", "decay:\n    param *= 0.5\nparam:\n    param = -param")
    run = Run(target, spec, P, hypers={"lr": 0.2})
    run.step(G)
    same(run.params[0], -(0.5 * P - 0.2 * G))
    run.step(G)
    same(run.params[0], -(-0.5 * (0.5 * P - 0.2 * G) - 0.1 * G))


@every_target
def test_a_modifier_s_direction_section_changes_step(target: str) -> None:
    head = "modifier Half:\n    direction:\n        direction = direction / 2\n"
    spec = head + rule("step = grad").replace("Tried", "Inner")
    spec += "\noptimizer Tried extends Inner + Half\n"
    run = Run(target, spec, P, hypers={"lr": 0.25})
    run.step(G)
    same(run.params[0], P - G / 2)


@every_target
def test_a_rule_may_assign_param_itself(target: str) -> None:
    """No ending, lr only where it is written; decay, param and after still run."""
    spec = rule(
        "param = param - 3 * lr * grad",
        "",
        """
        decay:
            param = param * 0.5
        param:
            param = param + 1
        after:
            param = -param
        """,
    )
    run = Run(target, spec, P, hypers={"lr": 0.1})
    run.step(G)
    same(run.params[0], -((P - 0.3 * G) * 0.5 + 1))


def test_neither_direction_nor_param_is_an_error() -> None:
    with refused("E401"):
        load(rule("m = grad", "state m: like param"))


def test_both_direction_and_param_is_an_error() -> None:
    with refused("E402"):
        load(rule("direction = grad\nparam = param - grad"))


def test_a_direction_section_needs_a_direction() -> None:
    with refused("E403"):
        load("modifier Half:\n    direction:\n        direction /= 2\n\n"
             + rule("param -= grad").replace("Tried", "Inner")
             + "\noptimizer Tried extends Inner + Half\n")  # fmt: skip


# ---------------------------------------------------------------- old and new


@every_target
def test_a_state_is_old_above_its_assignment_and_new_below(target: str) -> None:
    spec = rule("old = m\nm = m + grad\ndirection = 10 * old + m", "state m: like param = 2")
    run = Run(target, spec, P)
    run.step(G)
    same(run.params[0], P - (20 + 2 + G))
    run.step(G)
    same(run.params[0], P - (20 + 2 + G) - (10 * (2 + G) + 2 + 2 * G))


@every_target
def test_a_local_keeps_the_old_value(target: str) -> None:
    """Of the parameter, of the gradient and of another local too."""
    spec = rule(
        "g0 = grad\nx = 1\ny = x\nx = x + 1\np0 = param\ndirection = g0 + 10 * y + 100 * x",
        "",
        "grad:\n    grad = grad * 1\nparam:\n    param = param + p0",
    )
    run = Run(target, spec, P)
    run.step(G)
    same(run.params[0], P - (G + 10 + 200) + P)


@every_target
def test_a_state_may_be_assigned_several_times(target: str) -> None:
    spec = rule("m = m + 1\na = m\nm = 3 * m\nb = m\nm = m - 1\ndirection = a * 100 + b * 10 + m",
                "state m: like param")  # fmt: skip
    run = Run(target, spec, P)
    run.step(0)
    same(run.params[0], P - (100 + 30 + 2))
    same(run.state("m"), 2)


@every_target
def test_augmented_assignments(target: str) -> None:
    spec = rule("m += grad\nm -= 1\nm *= 2\nm /= 4\ndirection = m", "state m: like param = 5")
    run = Run(target, spec, P)
    run.step(G)
    same(run.state("m"), (5 + G - 1) * 2 / 4)


@every_target
def test_states_swap(target: str) -> None:
    spec = rule(
        "old = a\na = b\nb = old\ndirection = a", "state a: like param = 1\nstate b: like param = 2"
    )
    run = Run(target, spec, P)
    run.step(G)
    same((run.state("a"), run.state("b")), np.array([2.0, 1.0])[:, None, None] + 0 * P)
    run.step(G)
    same(run.params[0], P - 2 - 1)


@every_target
def test_after_sees_the_stored_to_be_parameter_and_keeps_states(target: str) -> None:
    """A state kept in `after:` is what the step ends with."""
    spec = rule("direction = grad + last", "state last: like param", "after:\n    last = param")
    run = Run(target, spec, P)
    run.step(G)
    run.step(G)
    first = P - G
    same(run.params[0], first - G - first)


@every_target
def test_a_grad_section_changes_what_everything_below_sees(target: str) -> None:
    spec = rule(
        "direction = grad",
        "state g: like param",
        "grad:\n    grad = clamp(grad, -0.5, 0.5)\n    grad *= 2\nafter:\n    g = grad",
    )
    run = Run(target, spec, P)
    run.step(G)
    same(run.params[0], P - 2 * np.clip(G, -0.5, 0.5))
    same(run.state("g"), 2 * np.clip(G, -0.5, 0.5))


@every_target
def test_maximize_turns_the_gradient_round(target: str) -> None:
    """It is the gradient that changes its sign, before anything reads it."""
    spec = rule("direction = grad + abs(grad)", "", "decay:\n    param *= 0.5")
    run = Run(target, spec, P, groups=({"maximize": True},))
    run.step(G)
    same(run.params[0], 0.5 * P - (-G + np.abs(G)))


@pytest.mark.parametrize("read", ["direction = m + x\nx = 1", "direction = grad + y"])
def test_a_local_is_assigned_before_it_is_read(read: str) -> None:
    with pytest.raises(Exception, match=r"E20[13]"):
        load(rule(read, "state m: like param"))
