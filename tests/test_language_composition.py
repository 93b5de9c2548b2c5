"""Composition: extends, replace, modifiers, defs and let."""

from __future__ import annotations

import numpy as np
from language import BASE, Run, every_target, refused, rule, same
from language import MATRIX as P
from language import MATRIX_GRAD as G
from language import VECTOR as V

from stepc.dsl.load import load

TIMES = "modifier Times(k = 10):\n    direction:\n        direction *= k\n"
PLUS = "modifier Plus(k = 1):\n    direction:\n        direction += k\n"


def moved(target: str, spec: str, **hypers: object) -> np.ndarray:
    """What one step of the last optimizer subtracts."""
    run = Run(target, spec, P, hypers=hypers)
    run.step(G)
    return P - run.params[0]


# ---------------------------------------------------------------- extends and replace


@every_target
def test_extends_takes_everything_over(target: str) -> None:
    same(moved(target, BASE + "\noptimizer Child extends Base\n"), P - (0.5 * P - G))


@every_target
def test_what_is_declared_again_replaces_the_parent_s(target: str) -> None:
    """A hyper, a state, a section; what stands beside them stays."""
    child = """
optimizer Child extends Base:
    hyper beta = 0.25
    state m: like param = 8
    decay:
        param *= 0.1
"""
    run = Run(target, BASE + child, P)
    run.step(G)
    same(run.params[0], 0.1 * P - (0.25 * 8 + G))


@every_target
def test_replace_changes_the_one_statement(target: str) -> None:
    child = "\noptimizer Child extends Base:\n    replace m = beta * m - grad\n"
    same(moved(target, BASE + child), P - (0.5 * P + G))


def test_replace_of_none_or_many() -> None:
    with refused("E406"):
        load(BASE + "\noptimizer Child extends Base:\n    replace v = grad\n")
    twice = BASE.replace("        direction = m\n", "        m = m + 1\n        direction = m\n")
    with refused("E406"):
        load(twice + "\noptimizer Child extends Base:\n    replace m = grad\n")


@every_target
def test_grandchildren(target: str) -> None:
    more = "\noptimizer A extends Base:\n    decay:\n        param *= 1\n"
    more += "\noptimizer B extends A:\n    replace m = 3 * grad\n"
    same(moved(target, BASE + more), 3 * G)


# ---------------------------------------------------------------- modifiers


@every_target
def test_modifiers_apply_from_left_to_right(target: str) -> None:
    first = f"{TIMES}{PLUS}{BASE}\noptimizer X extends Base + Times + Plus\n"
    same(moved(target, first), P - (0.5 * P - (10 * G + 1)))
    second = f"{TIMES}{PLUS}{BASE}\noptimizer X extends Base + Plus + Times\n"
    same(moved(target, second), P - (0.5 * P - 10 * (G + 1)))


@every_target
def test_a_rule_s_own_section_is_nearest_to_its_update(target: str) -> None:
    own = BASE + "    direction:\n        direction += 100\n"
    same(
        moved(target, f"{TIMES}{own}\noptimizer X extends Base + Times\n"),
        P - (0.5 * P - 10 * (G + 100)),
    )


@every_target
def test_arguments_become_defaults_and_stay_hypers(target: str) -> None:
    spec = f"{TIMES}{BASE}\noptimizer X extends Base + Times(k = 2)\n"
    same(moved(target, spec), P - (0.5 * P - 2 * G))
    same(moved(target, spec, k=3), P - (0.5 * P - 3 * G))


@every_target
def test_hypers_that_collide_get_the_modifier_s_name(target: str) -> None:
    spec = f"{TIMES}{PLUS}{BASE}\noptimizer X extends Base + Times(k = 2) + Plus(k = 7)\n"
    same(moved(target, spec, k=3, plus_k=5), P - (0.5 * P - (3 * G + 5)))


@every_target
def test_a_modifier_has_a_name_space_of_its_own(target: str) -> None:
    """Its state m and its local x are not the rule's."""
    other = """
modifier Other:
    state m: like param = 4
    direction:
        x = direction
        m = m + 1
        direction = x + m
"""
    base = BASE.replace("        direction = m\n", "        x = m\n        direction = x\n")
    run = Run(target, f"{other}{base}\noptimizer X extends Base + Other\n", P)
    run.step(G)
    same(run.params[0], 0.5 * P - (G + 5))
    same(run.state("m"), G)
    same(run.state("Other.m"), 5)


@every_target
def test_needs_makes_the_rule_s_names_visible(target: str) -> None:
    needing = "modifier Needing:\n    needs beta, m\n    direction:\n        direction = beta + m\n"
    same(
        moved(target, f"{needing}{BASE}\noptimizer X extends Base + Needing\n"),
        P - (0.5 * P - (0.5 + G)),
    )


def test_needs_not_met_says_what_is_needed() -> None:
    needing = "modifier Needing:\n    needs v\n    direction:\n        direction /= v\n"
    with refused("E404", r".*`v`"):
        load(f"{needing}{BASE}\noptimizer X extends Base + Needing\n")
    blind = "modifier Blind:\n    direction:\n        direction /= m\n"
    with refused("E201"):
        load(f"{blind}{BASE}\noptimizer X extends Base + Blind\n")


@every_target
def test_a_modifier_s_grad_param_and_decay_sections(target: str) -> None:
    all_of = """
modifier All:
    grad:
        grad *= 2
    decay:
        param += 1
    param:
        param *= 3
    after:
        param -= 7
"""
    run = Run(target, f"{all_of}{BASE}\noptimizer X extends Base + All\n", P)
    run.step(G)
    same(run.params[0], 3 * (0.5 * P + 1 - 2 * G) - 7)


@every_target
def test_the_shipped_modifiers_by_name(target: str) -> None:
    """A composition in one line; Cautious masks and rescales, Lookahead goes half way back."""
    run = Run(
        target,
        "SGD + Cautious(floor = 0.5) + Lookahead(k = 2)",
        P,
        hypers={"lr": 0.5, "momentum": 0.5},
    )
    run.step(G)
    first = P - 0.5 * G
    same(run.params[0], first)
    run.step(-G)
    m = 0.5 * G - G
    agree = m * -G > 0
    second = first - 0.5 * np.where(agree, m, 0) / max(agree.mean(), 0.5)
    same(run.params[0], (P + second) / 2)


@every_target
def test_a_modifier_of_the_gradient_clips_all_tensors_together(target: str) -> None:
    run = Run(target, "SGD + GlobalNormClip(max_norm = 0.5)", P, V, hypers={"lr": 1.0})
    run.step(G, V)
    scale = 0.5 / (np.sqrt((G**2).sum() + (V**2).sum()) + 1e-6)
    same(run.params[0], P - scale * G)
    same(run.params[1], V - scale * V)


# ---------------------------------------------------------------- def and let


@every_target
def test_a_def_is_inlined_with_its_branches_and_loops(target: str) -> None:
    spec = rule(
        "direction = twice(grad, 3) + twice(grad + 1)",
        head="""
        def twice(x, n = 1, bonus = 100):
            x = x + bonus
            repeat n:
                x = 2 * x
            when ndim > 1:
                return x
            otherwise:
                return -x
        """,
    )
    run = Run(target, spec, P, V)
    run.step(G, V)
    same(P - run.params[0], 8 * (G + 100) + 2 * (G + 101))
    same(V - run.params[1], -(8 * (V + 100) + 2 * (V + 101)))


def test_a_def_that_calls_itself() -> None:
    with refused("E407"):
        load(rule("direction = f(grad)", head="def f(x):\n    return f(x) + 1\n"))


@every_target
def test_let_names_a_host_value(target: str) -> None:
    spec = rule("direction = a * grad", "hyper b = 3.0\nlet a = 2 * b + 1")
    same(moved(target, spec), 7 * G)
    same(moved(target, spec, b=5.0), 11 * G)
