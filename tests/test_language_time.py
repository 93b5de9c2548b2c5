"""What `t` counts: steps of a tensor; first, skip, every; a missing gradient changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from language import Run, every_target, refused, rule, same

from stepc.dsl.load import load

P = np.array([1.0, -2.0, 3.0])
Q = np.array([[4.0, 5.0], [6.0, 7.0]])


@every_target
def test_t_begins_at_one_and_counts_this_step(target: str) -> None:
    run = Run(target, rule("direction = t"), P)
    for total in (1, 3, 6, 10):
        run.step(0)
        same(run.params[0], P - total)
    assert run.t() == 4


@every_target
def test_every_tensor_counts_its_own_steps(target: str) -> None:
    run = Run(target, rule("direction = t"), P, Q)
    run.step(0, None)
    run.step(0, 0)
    run.step(None, 0)
    same(run.params[0], P - 1 - 2)
    same(run.params[1], Q - 1 - 2)
    assert (run.t(0), run.t(1)) == (2, 2)


@every_target
def test_without_a_gradient_nothing_changes(target: str) -> None:
    spec = rule("m = m + 1\ndirection = m", "state m: like param", "decay:\n    param *= 0.5")
    run = Run(target, spec, P, Q)
    run.step(0, None)
    same(run.params[1], Q)
    assert not run.has("m", 1) and run.t(1) == 0
    run.step(None, 0)
    same(run.params[0], 0.5 * P - 1)
    same(run.state("m", 0), 1)
    same(run.state("m", 1), 1)


@every_target
def test_a_gradient_of_zeros_is_a_gradient(target: str) -> None:
    run = Run(target, rule("direction = grad + 1"), P)
    run.step(0)
    same(run.params[0], P - 1)
    assert run.t() == 1


# ---------------------------------------------------------------- first and skip

WARM = rule("first:\n    v = grad^2\n    skip\ndirection = grad / sqrt(v) * t\nv = v + grad^2",
            "state v: like param", "decay:\n    param *= 0.5")  # fmt: skip


@every_target
def test_skip_ends_the_call_and_is_not_counted(target: str) -> None:
    run = Run(target, WARM, P)
    run.step(2)
    same(run.params[0], P)  # neither ending nor decay
    same(run.state("v"), 4)  # what was written above it is kept
    assert run.t() == 0
    run.step(3)
    same(run.params[0], 0.5 * P - 3 / 2 * 1)
    same(run.state("v"), 4 + 9)
    assert run.t() == 1
    run.step(3)
    same(run.params[0], 0.5 * (0.5 * P - 1.5) - 3 / np.sqrt(13) * 2)


@every_target
def test_first_is_the_call_that_creates_the_states(target: str) -> None:
    """Of each tensor: one whose gradient comes late has its first then."""
    run = Run(target, WARM, P, Q)
    run.step(2, None)
    run.step(3, 5)
    same(run.params[0], 0.5 * P - 1.5)
    same(run.params[1], Q)
    run.step(None, 10)
    same(run.params[1], 0.5 * Q - 10 / 5)
    assert (run.t(0), run.t(1)) == (1, 1)


@every_target
def test_first_without_skip_is_t_one(target: str) -> None:
    spec = rule(
        """
        first:
            m = grad
        otherwise:
            m = m + 10 * grad
        direction = m + 1000 * (t == 1)
        """,
        "state m: like param",
    )
    run = Run(target, spec, P)
    run.step(1)
    run.step(1)
    run.step(1)
    same(run.params[0], P - (1001 + 11 + 21))


@every_target
def test_first_without_any_state_is_the_first_call(target: str) -> None:
    run = Run(target, rule("first:\n    skip\ndirection = 1"), P)
    run.step(0)
    same(run.params[0], P)
    run.step(0)
    same(run.params[0], P - 1)


@every_target
def test_a_skip_that_comes_back(target: str) -> None:
    """Every call with an even number of earlier steps is skipped once: t stays, states go on."""
    spec = rule(
        "calls += 1\nwhen calls % 2 == 1:\n    skip\ndirection = 100 * t + calls",
        "state calls: per tensor, host",
    )
    run = Run(target, spec, P)
    for total in (0, 102, 102, 102 + 204):
        run.step(0)
        same(run.params[0], P - total)
    assert run.t() == 2


@every_target
def test_skip_of_one_tensor_is_its_own_affair(target: str) -> None:
    run = Run(target, rule("when ndim == 2:\n    skip\ndirection = t"), P, Q)
    run.step(0, 0)
    run.step(0, 0)
    same(run.params[0], P - 3)
    same(run.params[1], Q)
    assert (run.t(0), run.t(1)) == (2, 0)


def test_skip_under_a_condition_on_data() -> None:
    with refused("E305"):
        load(rule("when norm(grad) > 1:\n    skip\ndirection = grad"))


# ---------------------------------------------------------------- every


@every_target
def test_every_is_a_multiple_of_t(target: str) -> None:
    spec = rule("every 3:\n    n = n + t\ndirection = n", "state n: like param")
    run = Run(target, spec, P)
    moved = 0.0
    for n in (0, 0, 3, 3, 3, 9, 9):
        run.step(0)
        moved += n
        same(run.params[0], P - moved)


@every_target
def test_every_takes_a_hyper_of_the_group(target: str) -> None:
    spec = rule("direction = 1\nevery k:\n    direction = 100", "hyper k = 2")
    run = Run(target, spec, P, Q, groups=({"k": 3}, {}), of=(0, 1))
    for _ in range(6):
        run.step(0, 0)
    same(run.params[0], P - (4 * 1 + 2 * 100))
    same(run.params[1], Q - (3 * 1 + 3 * 100))


@every_target
def test_every_with_an_otherwise(target: str) -> None:
    spec = rule("every 2:\n    direction = 100\notherwise:\n    direction = t")
    run = Run(target, spec, P)
    for _ in range(4):
        run.step(0)
    same(run.params[0], P - (1 + 100 + 3 + 100))


@every_target
def test_every_counts_the_tensors_own_t(target: str) -> None:
    run = Run(target, rule("direction = 1\nevery 2:\n    direction = 100"), P, Q)
    run.step(0, None)
    run.step(0, 0)
    same(run.params[0], P - 101)
    same(run.params[1], Q - 1)


def test_every_and_repeat_are_counted_on_the_host() -> None:
    for line in ("every norm(grad):", "repeat norm(grad):"):
        with refused("E311"):
            load(rule(f"direction = grad\n{line}\n    direction = 2 * grad"))


# ---------------------------------------------------------------- in arithmetic


@every_target
def test_bias_correction_is_computed_in_double(target: str) -> None:
    """1 - 0.999^t at t = 1 is 1e-3 to sixteen digits, not to seven."""
    spec = rule("direction = grad / (1 - beta^t)", "hyper beta = 0.999999999")
    run = Run(target, spec, P)
    run.step(1e-9)
    same(P - run.params[0], 1e-9 / (1 - 0.999999999), rtol=1e-12)


@every_target
def test_lr_scale_is_lr_over_where_it_began(target: str) -> None:
    run = Run(
        target, rule("step = lr_scale + 10 * base_lr"), P, groups=({"lr": 0.5, "initial_lr": 2.0},)
    )
    run.step(0)
    same(run.params[0], P - (0.25 + 20))


@every_target
def test_a_rate_changed_between_steps_counts_at_once(target: str) -> None:
    run = Run(target, rule("direction = 1"), P)
    run.step(0)
    run.groups[0]["lr"] = 0.25
    run.step(0)
    same(run.params[0], P - 1.25)


@pytest.mark.parametrize("name", ["t", "lr_scale", "numel"])
def test_facts_cannot_be_assigned(name: str) -> None:
    with pytest.raises(Exception, match=r"E(205|213)"):
        load(rule(f"{name} = 3\ndirection = grad"))
