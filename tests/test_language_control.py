"""Control: when, the host ternary, where, repeat, guard, reset; rule lists and requires."""

from __future__ import annotations

import numpy as np
import pytest
from language import Run, every_target, moved, refused, rule, same

from stepc.dsl.load import load

P = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, 4.0]])
G = np.array([[1.0, -1.0, 2.0], [0.0, 3.0, -4.0]])
V = np.array([3.0, -1.0])


# ---------------------------------------------------------------- host and device choices


@every_target
def test_when_chooses_by_facts_and_hypers(target: str) -> None:
    spec = rule(
        """
        when ndim == 2 and cols > rows:
            direction = 1
        otherwise:
            when fast:
                direction = 10
            otherwise:
                direction = 100
        """,
        "hyper fast = false",
    )
    run = Run(target, spec, P, V, V, groups=({}, {"fast": True}), of=(0, 0, 1))
    run.step(0, 0, 0)
    same(P - run.params[0], 1)
    same(V - run.params[1], 100)
    same(V - run.params[2], 10)


@every_target
def test_a_choice_hyper(target: str) -> None:
    spec = rule(
        """
        direction = 1
        when form == square:
            direction = 2
        when form in (cubic, linear):
            direction = 3
        """,
        "hyper form = one_of(linear, square, cubic)",
    )
    for form, found in (("linear", 3), ("square", 2), ("cubic", 3)):
        run = Run(target, spec, V, hypers={"form": form})
        run.step(0)
        same(V - run.params[0], found)


@every_target
def test_when_may_assign_several_names_of_both_places(target: str) -> None:
    spec = rule(
        """
        when t % 2 == 0:
            a = grad
            scale = t * 10
        otherwise:
            a = 2 * grad
            scale = 1
        direction = a * scale
        """
    )
    run = Run(target, spec, P)
    run.step(G)
    same(P - run.params[0], 2 * G)
    run.step(G)
    same(P - run.params[0], 2 * G + 20 * G)


def test_a_data_condition_in_a_host_place() -> None:
    for update in ("when norm(grad) > 1:\n    direction = grad\notherwise:\n    direction = 0",
                   "direction = grad if mean(grad) > 0 else 0"):  # fmt: skip
        with refused("E304", r"[\s\S]*where"):
            load(rule(update))


def test_a_name_assigned_on_one_branch_only() -> None:
    with refused("E204"):
        load(rule("when t > 1:\n    x = 2\ndirection = grad * x"))


@every_target
def test_the_host_ternary_is_lazy(target: str) -> None:
    """What is not taken is not computed: size(1) of a vector does not exist."""
    spec = rule("direction = (100 / (numel - 2) + size(1)) if ndim > 1 else 7")
    run = Run(target, spec, P, V)
    run.step(0, 0)
    same(P - run.params[0], 100 / 4 + 3)
    same(V - run.params[1], 7)


@every_target
def test_where_computes_both_sides(target: str) -> None:
    """0 * NaN is NaN, but where takes values: the other side's NaN does not get through."""
    same(
        moved(target, "where(grad > 0, grad, sqrt(-grad))", G),
        np.where(G > 0, G, np.sqrt(-np.minimum(G, 0))),
    )
    found = moved(target, "(grad > 0) * (1 / grad)", G)
    with np.errstate(all="ignore"):
        same(found, (G > 0) * (1 / G))


@every_target
def test_conditions_on_the_host_are_lazy(target: str) -> None:
    found = moved(target, "7 if ndim < 2 or size(1) > 5 else 8", V)
    same(found, 7)


@every_target
def test_where_on_cells_and_tensors(target: str) -> None:
    found = moved(
        target, "where(norm(grad, per rows) > 3, 1, 10) + where(norm(grad) > 3, 100, 0)", G
    )
    same(found, np.array([[10.0], [1.0]]) + 100)


# ---------------------------------------------------------------- repeat


@every_target
def test_repeat_counts_from_zero(target: str) -> None:
    spec = rule("x = grad\nrepeat 4 as k:\n    x = 10 * x + k\ndirection = x")
    run = Run(target, spec, P)
    run.step(G)
    same(P - run.params[0], 10000 * G + 123)


@every_target
def test_repeat_of_states_and_nested(target: str) -> None:
    spec = rule("repeat 2 as i:\n    repeat 3 as j:\n        m = 2 * m + i * j\ndirection = m",
                "state m: like param = 1")  # fmt: skip
    expected = 1
    for i in range(2):
        for j in range(3):
            expected = 2 * expected + i * j
    run = Run(target, spec, P)
    run.step(G)
    same(P - run.params[0], expected)


@every_target
def test_repeat_by_a_hyper_at_its_default(target: str) -> None:
    spec = rule(
        "x = grad\nrepeat n:\n    x = x / norm(x, per rows) + 1\ndirection = x", "hyper n = 2"
    )
    run = Run(target, spec, P)
    run.step(G)
    x = G
    for _ in range(2):
        x = x / np.sqrt((x**2).sum(axis=1, keepdims=True)) + 1
    same(P - run.params[0], x)


@every_target
def test_repeat_zero_times(target: str) -> None:
    spec = rule("x = grad\nrepeat 0:\n    x = 100 * x\ndirection = x")
    run = Run(target, spec, P)
    run.step(G)
    same(P - run.params[0], G)


# ---------------------------------------------------------------- guard


@every_target
def test_a_guard_keeps_what_its_tensor_has(target: str) -> None:
    """Parameter and states, written above or below it; the other tensor goes on; t counts."""
    spec = rule(
        "m = m + grad\nguard norm(grad) < 10\nn = n + 1\ndirection = m + t",
        "state m: like param = 3\nstate n: per tensor",
        "decay:\n    param *= 0.5",
    )
    run = Run(target, spec, P, V)
    run.step(100, 1)
    same(run.params[0], P)
    same(run.state("m", 0), 3)
    same(run.state("n", 0), 0)
    same(run.params[1], 0.5 * V - (3 + 1 + 1))
    assert (run.t(0), run.t(1)) == (1, 1)
    run.step(1, 1)
    same(run.params[0], 0.5 * P - (3 + 1 + 2))


@every_target
def test_a_guard_does_not_hold_on_nan(target: str) -> None:
    run = Run(target, rule("guard norm(grad) < inf\ndirection = grad"), P, V)
    broken = G.copy()
    broken[1, 1] = np.nan
    run.step(broken, 1)
    same(run.params[0], P)
    same(run.params[1], V - 1)


@every_target
def test_a_global_guard_keeps_everything(target: str) -> None:
    spec = rule(
        "s = s + 1\nguard max(abs(grad), per global) < 10\ndirection = grad * s",
        "state s: per global",
    )
    run = Run(target, spec, P, V)
    run.step(100, 1)
    same(run.params[0], P)
    same(run.params[1], V)
    same(run.global_state("s"), 0)
    run.step(G, 1)
    same(run.params[0], P - G)
    same(run.params[1], V - 1)
    same(run.global_state("s"), 1)


@every_target
def test_two_guards_must_both_hold(target: str) -> None:
    run = Run(
        target, rule("guard mean(grad) > 0\nguard mean(grad) < 10\ndirection = grad"), V, V, V
    )
    run.step(-1, 5, 50)
    same(run.params[0], V)
    same(run.params[1], V - 5)
    same(run.params[2], V)


def test_a_guard_is_of_a_tensor_at_least() -> None:
    with refused("E313"):
        load(rule("guard grad > 0\ndirection = grad"))


# ---------------------------------------------------------------- reset


@every_target
def test_reset_puts_initial_values_back(target: str) -> None:
    spec = rule(
        "m += grad\nr += 1\nh += 1\nw += 5\ndirection = m\nevery 3:\n    reset m, h, r, w",
        "state m: like param = 7\nstate h: per tensor, host = 2\nstate r: per rows = 4\n"
        "state w: like param = param",
    )
    run = Run(target, spec, P)
    for step in (1, 2):
        run.step(1)
        same(
            (run.state("h"), run.state("m")[0, 0], run.state("r")[0]),
            (2 + step, 7 + step, 4 + step),
        )
    before = run.params[0]
    run.step(1)
    same(run.state("m"), 7)
    same(run.state("h"), 2)
    same(run.state("r"), 4)
    same(run.state("w"), before)  # the parameter before anything wrote it
    same(run.params[0], P - 8 - 9 - 10)


# ---------------------------------------------------------------- requires


@every_target
def test_requires_refuses_with_its_advice(target: str) -> None:
    spec = rule("direction = grad", 'requires ndim >= 2 : "route vectors to AdamW"')
    run = Run(target, spec, P)
    run.step(G)
    same(run.params[0], P - G)
    with pytest.raises(ValueError, match="route vectors to AdamW"):
        Run(target, spec, V).step(1)
