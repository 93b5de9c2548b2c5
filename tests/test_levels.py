"""Levels and places: what joins, what reduces, what a state takes, what is on the host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepc.dsl.describe import phrase
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.levels import COLS, ELEMENT, GLOBAL, GROUP, ROWS, TENSOR, Level, join, refines
from stepc.dsl.load import load
from stepc.dsl.model import Assign, Repeat, Stmt, When

HEADS = Level("heads", ())
LEVELS = st.sampled_from([GLOBAL, GROUP, TENSOR, ROWS, COLS, ELEMENT, HEADS, Level("layers")])


@given(LEVELS, LEVELS, LEVELS)
def test_a_join_is_the_finest_and_the_order_does_not_matter(a: Level, b: Level, c: Level) -> None:
    assert join(a, b) == join(b, a)
    both = join(a, b)
    assert both is not None and refines(both, a) and refines(both, b)
    left, right = join(both, c), join(a, join(b, c) or a)
    assert left == right


@given(LEVELS, LEVELS)
def test_refining_both_ways_is_equality(a: Level, b: Level) -> None:
    assert (refines(a, b) and refines(b, a)) == (a == b)


def values(
    body: str, members: str = "", requires: bool = True, before: str = ""
) -> dict[str, tuple[str, bool]]:
    """Each name assigned in an update, with the last level and place it was given."""
    lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
    declared = "".join(f"    {line}\n" for line in members.strip("\n").splitlines() if line)
    matrix = "    requires ndim >= 2\n" if requires else ""
    model = load(
        f"{before}\noptimizer Rule:\n{matrix}    hyper lr = 1e-3\n{declared}    update:\n{lines}"
        "        direction = grad\n"
    )
    found: dict[str, tuple[str, bool]] = {}

    def visit(body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            match stmt:
                case Assign(name=name, value=value):
                    found[name] = phrase(value.level), value.host
                case When(then=then, otherwise=otherwise):
                    visit(then)
                    visit(otherwise)
                case Repeat(body=inner):
                    visit(inner)
                case _:
                    pass

    visit(model.body)
    return found


@pytest.mark.parametrize(
    ("expression", "level", "host"),
    [
        ("1 - lr", "per global", True),
        ("t / 2", "per global", True),
        ("rows * cols", "per tensor", True),
        ("norm(grad)", "per tensor", False),
        ("mean(grad, per rows)", "per rows", False),
        ("mean(grad, per rows) * norm(grad)", "per rows", False),
        ("mean(grad, per rows) + mean(grad, per cols)", "per element", False),
        ("mean(grad, per heads(4)) * mean(grad, per rows)", "per element", False),
        ("sum(norm(grad), per global)", "per global", False),
        ("sum(numel, per global)", "per global", True),
        ("max(abs(grad), per chunks(64))", "per chunks(64)", False),
        ("max(grad, 0)", "per element", False),
        ("grad @ grad.T", "matrix(rows, rows)", False),
        ("grad.T @ grad", "matrix(cols, cols)", False),
        ("(grad @ grad.T) @ grad + grad", "per element", False),
        ("sum((grad @ grad.T)^2, per rows)", "per rows", False),
        ("sum(grad.T, per rows)", "per cols", False),
        ("trace(grad @ grad.T)", "per tensor", False),
        ("diagonal(grad.T @ grad)", "vector(cols)", False),
        ("sync(norm(grad))", "per tensor", True),
        ("norm(grad) if lr > 1 else 0", "per tensor", False),
        ("where(grad > 0, 1, 0)", "per element", False),
        ("lr if ndim > 1 else 2 * lr", "per tensor", True),
    ],
)
def test_level_and_place(expression: str, level: str, host: bool) -> None:
    assert values(f"x = {expression}")["x"] == (level, host)


def test_a_loop_settles_on_the_level_its_locals_come_to_have() -> None:
    found = values(
        """
c = 1
repeat 5:
    r = sqrt(cols) / norm(grad * c, per rows)
    c = sqrt(rows) / norm(r * grad, per cols)
x = c
"""
    )
    assert found["r"] == ("per rows", False)
    assert found["c"] == found["x"] == ("per cols", False)


def test_branches_join() -> None:
    found = values("when t > 1:\n    a = lr\notherwise:\n    a = norm(grad)\nx = a")
    assert found["x"] == ("per tensor", False)


def test_shapes_follow_from_the_condition_they_stand_under() -> None:
    found = values(
        "g = grad @ B if tall else B.T @ grad",
        "let tall = rows >= cols\nlet side = cols if tall else rows\nstate B: matrix(side, side)",
    )
    assert found["g"] == ("matrix(rows, cols)", False)


def test_host_values_are_never_too_fine() -> None:
    found = values("d = max(d, numel)", "state d: per global, host")
    assert found["d"] == ("per tensor", True)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ("ndim >= 2", True),
        ("ndim == 2", True),
        ("ndim > 1", True),
        ("not ndim < 2", True),
        ("ndim == 2 and numel > 4", True),
        ("ndim >= 1", False),
        ("numel > 4", False),
        ("ndim == 2 or numel > 4", False),
    ],
)
def test_matrix_operations_need_matrices(condition: str, allowed: bool) -> None:
    text = (
        "optimizer Rule:\n    hyper lr = 1e-3\n    update:\n        direction = grad\n"
        f"        when {condition}: direction = grad @ grad.T @ grad\n"
    )
    if allowed:
        load(text)
    else:
        with pytest.raises(SpecError, match="E308"):
            load(text)


@pytest.mark.parametrize(
    ("condition", "present"),
    [
        ("mode == plain", True),
        ("mode != signed", True),
        ("not mode == signed", True),
        ("mode == signed", False),
        ("t > 1", False),
    ],
)
def test_a_state_is_read_where_it_exists(condition: str, present: bool) -> None:
    text = (
        "optimizer Rule:\n    hyper lr = 1e-3\n    hyper mode = one_of(plain, signed)\n"
        "    state m: like param when mode == plain\n    update:\n        direction = grad\n"
        f"        when {condition}:\n            m = lerp(m, grad, 0.1)\n"
        "            direction = m\n"
    )
    if present:
        load(text)
    else:
        with pytest.raises(SpecError, match="E309"):
            load(text)
