"""Every pass keeps a program's meaning, and a plan computes what its program says."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate import World, cells, close, host, run_plan, run_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from stepc.compiler.ir import Program, Stream, leaves
from stepc.compiler.lower import lower
from stepc.compiler.pipeline import PASSES
from stepc.compiler.plan import Plan
from stepc.compiler.schedule import schedule, traffic
from stepc.compiler.text import show
from stepc.compiler.verify import verify_plan, verify_program
from stepc.dsl.load import load

SHAPES = ((1, 1), (1, 5), (3, 4), (6, 2), (5, 7))


def world(program: Program, shape: tuple[int, int], seed: int) -> World:
    """Random contents for every stream, hypers at their defaults, t = 3."""
    random = np.random.default_rng(seed)
    names: dict[tuple[str, str], float | bool | str] = {
        ("hyper", "lr"): 0.01, ("hyper", "beta"): 0.75, ("hyper", "weight_decay"): 0.1,
        ("fact", "t"): 3, ("fact", "first"): False, ("fact", "grad_scale"): 1.0,
        ("fact", "numel"): shape[0] * shape[1], ("fact", "rows"): shape[0],
        ("fact", "cols"): shape[1], ("fact", "ndim"): 2,
    }  # fmt: skip
    bare = World({}, names, shape)
    lets = dict(program.lets)

    def content(stream: Stream) -> np.ndarray:
        sizes = [host(arg, bare, lets) for arg in stream.level.args]
        at = cells(stream.level, shape, sizes)
        return random.normal(size=at.max() + 1)[at]

    return World({s.name: content(s) for s in program.streams}, names, shape)


def stages(text: str) -> list[list[Program]]:
    """The programs of a spec after lowering and after each pass."""
    trees = [verify_program(lower(load(text)))]
    for run in PASSES:
        trees.append(verify_program(_mapped(trees[-1], run)))
    return [list(leaves(tree)) for tree in trees]


def _mapped(tree, run):  # type: ignore[no-untyped-def]
    from stepc.compiler.ir import map_leaves

    return map_leaves(tree, run)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@settings(max_examples=25, deadline=None)
@given(text=specs(), seed=st.integers(0, 2**16))
def test_a_program_means_the_same_before_and_after_each_pass(
    shape: tuple[int, int], text: str, seed: int
) -> None:
    rounds = stages(text)
    for path in range(len(rounds[0])):
        here = world(rounds[0][path], shape, seed)
        expected = run_program(rounds[0][path], here)
        for run, programs in zip(PASSES, rounds[1:], strict=True):
            got = run_program(programs[path], here)
            for name, value in expected.items():
                assert close(got[name], value), f"{run.__name__} changed {name} in\n{text}"
        plan = verify_plan(schedule(rounds[-1][path]))
        planned = run_plan(plan, here)
        for name, value in expected.items():
            assert close(planned[name], value), f"the plan changed {name}\n{text}\n{show(plan)}"


def plan_of(text: str) -> Plan:
    """The plan of a spec with one path."""
    (program,) = stages(text)[-1]
    return schedule(program)


def test_a_norm_of_a_combination_costs_no_pass() -> None:
    """norm(p - lr*r*u) with r from the norms of p and u: three sums in one pass, not two passes."""
    plan = plan_of(
        """
optimizer Sphere:
    hyper lr = 0.1
    state m: like param
    update:
        m = lerp(m, grad, 0.1)
        r = norm(param) / max(norm(m), 1e-8)
        moved = param - lr * r * m
        param = moved * norm(param) / max(norm(moved), 1e-8)
"""
    )
    assert len(plan.sweeps) == 2
    assert sum(map(traffic, plan.sweeps)) == 28
