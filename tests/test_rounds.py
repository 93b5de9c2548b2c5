"""In which walk over a cell a sweep leaves what it computes."""

from __future__ import annotations

import pytest
from side_by_side import Given, agree

from stepc.compiler.emit.body import Body, sweep_body
from stepc.compiler.emit.syntaxes import C
from stepc.compiler.pipeline import plan
from stepc.compiler.plan import Sweep
from stepc.dsl.levels import ROWS
from stepc.dsl.load import load

HEAD = """
optimizer Tried:
    hyper lr = 0.1
    state m: like param
    update:
"""
AT_ONCE = (
    HEAD
    + """
        m = lerp(m, grad, 0.5)
        of_row = norm(m, per rows)
        of_all = norm(m)
        param -= lr * grad / (of_row + of_all + 1)
"""
)
READ_LATER = (
    HEAD
    + """
        old = m
        m = m + grad
        largest = max(abs(old), per rows)
        share = sum(old / (largest + abs(old) + 1), per rows)
        param -= lr * share * grad
"""
)


def first(spec: str, *, keep: bool = False, early: bool = False) -> tuple[Sweep, Body]:
    _, (made,) = plan(load(spec))
    sweep = made.sweeps[0]
    assert sweep.cell == ROWS
    return sweep, sweep_body(made, sweep, C, keep=keep, early=early)


def left(body: Body) -> list[list[str]]:
    return [[store.stream.name for store in walk.stores] for walk in body.rounds]


def test_one_walk_where_one_is_enough() -> None:
    """The sum over all is that of the rows' sums, and m needs no walk after them."""
    sweep, body = first(AT_ONCE)
    (partial,) = sweep.partials
    assert partial.value.level == ROWS and left(body) == [["m"]]


def test_a_stream_is_overwritten_when_nobody_reads_it_any_more() -> None:
    _, body = first(READ_LATER)
    assert left(body) == [[], ["m"], ["param"]]


def test_where_values_are_kept_all_is_left_at_the_end_unless_asked() -> None:
    assert left(first(READ_LATER, keep=True)[1]) == [[], [], ["param", "m"]]
    assert left(first(READ_LATER, keep=True, early=True)[1]) == [[], ["m"], ["param"]]


@pytest.mark.parametrize("spec", [AT_ONCE, READ_LATER], ids=["at once", "read later"])
@pytest.mark.parametrize("target", ["c", "torch"])
def test_it_computes_what_the_spec_says(spec: str, target: str) -> None:
    agree(spec, [Given("a", (5, 7)), Given("b", (40, 33))], target)
