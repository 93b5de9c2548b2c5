"""Every pass keeps a program's meaning, and a plan computes what its program says."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate import World, cells, close, host, run_plan, run_program
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from stepc.compiler.ir import Program, Stream, leaves, ordered
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


def plan_of(text: str, path: int = 0) -> Plan:
    """The plan of one of a spec's paths."""
    return schedule(stages(text)[-1][path])


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


def test_a_mean_of_new_moments_costs_no_pass() -> None:
    """v is known from sums of old v and of grad^2, on any path, before the pass that writes it."""
    plan = plan_of(
        """
optimizer Floored:
    hyper lr = 0.1
    state v: like param
    update:
        g = grad
        when ndim > 1:
            g = grad / norm(grad)
        v = lerp(v, g^2, 0.1)
        param -= lr * g / (sqrt(v) + mean(v, per global))
"""
    )
    assert len(plan.sweeps) == 2
    assert sum(map(traffic, plan.sweeps)) == 8 + 20


def test_what_is_centred_is_not_centred_again() -> None:
    """The mean over all rows of what has lost its mean per row is not taken."""
    plan = plan_of(
        """
optimizer Standard:
    hyper lr = 0.1
    update:
        g = grad - mean(grad, per rows)
        param -= lr * g / std(g)
"""
    )
    first, last = plan.sweeps
    assert [p.kind for p in first.partials] == ["sum"]
    assert "mean" not in show(plan)
    assert len(plan.steps) == 3
    assert traffic(first) + traffic(last) == 4 + 12


def test_a_sum_waits_for_no_factor() -> None:
    """Sums over what is scaled per row are taken with those that the scale is made of."""
    plan = plan_of(
        """
optimizer Clipped:
    hyper lr = 0.1
    update:
        n = norm(grad, per rows)
        g = where(n > 1, grad * (1 / n), grad)
        param -= lr * (g + norm(g, per rows))
"""
    )
    (sweep,) = plan.sweeps
    found = [n for n in ordered(sweep.roots()) if n.op in ("sum", "where")]
    assert [(n.op, n.level.kind) for n in found] == [("sum", "rows"), ("where", "rows")]
