"""Levels in the interpreter: cells of a tensor, reductions over tensors, routes."""

from __future__ import annotations

import numpy as np
import pytest
from interpreting import interpreter, random_grads, values
from language import rule

from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load

# ---------------------------------------------------------------- levels

GRID = np.arange(24.0).reshape(6, 4) ** 1.5
LEVELS: list[tuple[str, tuple[int, ...], list[np.ndarray]]] = [
    ("tensor", (6, 4), [GRID.ravel()]),
    ("rows", (6, 4), list(GRID)),
    ("cols", (6, 4), list(GRID.T)),
    ("heads(3)", (6, 4), [GRID[:2].ravel(), GRID[2:4].ravel(), GRID[4:].ravel()]),
    ("chunks(10)", (6, 4), [GRID.ravel()[:10], GRID.ravel()[10:20], GRID.ravel()[20:]]),
    (
        "tiles(4, 3)",
        (6, 4),
        [GRID[:4, :3].ravel(), GRID[:4, 3:].ravel(), GRID[4:, :3].ravel(), GRID[4:, 3:].ravel()],
    ),
    ("rows", (24,), [GRID.ravel()]),  # a vector is one row
    ("cols", (3, 2, 4), list(GRID.reshape(3, 8).T)),  # cols: all axes but the first together
    ("axis(1)", (3, 2, 4), [GRID.reshape(3, 2, 4)[:, k].ravel() for k in range(2)]),
]


@pytest.mark.parametrize(("level", "shape", "cells"), LEVELS)
@pytest.mark.parametrize("op", ["mean", "norm", "max", "std", "count"])
def test_reductions_and_states_per_level(
    level: str, shape: tuple[int, ...], cells: list[np.ndarray], op: str
) -> None:
    of = {
        "mean": np.mean,
        "norm": lambda x: np.sqrt((x**2).sum()),
        "max": np.max,
        "std": np.std,
        "count": np.count_nonzero,
    }[op]
    spec = rule(f"v += {op}(grad, per {level})\ndirection = v", f"state v: per {level}")
    run = interpreter(spec, [shape])
    start = values(run)[0].copy()
    run.step([GRID.reshape(shape)])
    expected = [of(cell) for cell in cells]
    np.testing.assert_allclose(np.ravel(run.states[0]["v"]), expected, rtol=1e-12)
    moved = start - values(run)[0]
    for cell, value in zip(cells, expected, strict=True):
        inside = np.isin(GRID.reshape(shape), cell)
        np.testing.assert_allclose(moved[inside], value, rtol=1e-9)


def test_a_reduction_counts_cells_not_elements() -> None:
    spec = rule("direction = sum(mean(grad, per rows))")
    run = interpreter(spec, [(6, 4)])
    start = values(run)[0].copy()
    run.step([GRID])
    np.testing.assert_allclose(start - values(run)[0], GRID.mean(axis=1).sum(), rtol=1e-12)


def test_chunks_and_rows_join_to_elements() -> None:
    spec = rule("direction = mean(grad, per rows) * max(grad, per chunks(7))")
    run = interpreter(spec, [(6, 4)])
    start = values(run)[0].copy()
    run.step([GRID])
    chunk = np.arange(24) // 7
    top = np.array([GRID.ravel()[chunk == c].max() for c in chunk]).reshape(6, 4)
    expected = GRID.mean(axis=1, keepdims=True) * top
    np.testing.assert_allclose(start - values(run)[0], expected, rtol=1e-12)


def test_a_partition_is_chosen_per_tensor() -> None:
    spec = (
        "partition blocks:\n    ndim == 1 -> element\n    rows > 4 -> rows\n    else -> tensor\n\n"
    )
    spec += rule("v = mean(grad^2, per blocks)\ndirection = v", "state v: per blocks")
    shapes = [(6, 4), (3, 2), (5,)]
    run = interpreter(spec, shapes)
    grads = random_grads(shapes, 1)[0]
    run.step(grads)
    found = [states["v"] for states in run.states]
    np.testing.assert_allclose(found[0], (grads[0] ** 2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found[1], (grads[1] ** 2).mean(), rtol=1e-12)
    np.testing.assert_allclose(found[2], grads[2] ** 2, rtol=1e-12)


def test_heads_must_divide_the_rows() -> None:
    run = interpreter(rule("direction = mean(grad, per heads(4))"), [(6, 4)])
    with pytest.raises(ValueError, match="6 rows are not 4 equal heads"):
        run.step([GRID])


def test_unbiased_deviation_and_dot() -> None:
    spec = rule("direction = std(grad, unbiased = true) + 100 * dot(grad, param, per cols)")
    run = interpreter(spec, [(6, 4)])
    start = values(run)[0].copy()
    run.step([GRID])
    expected = GRID.std(ddof=1) + 100 * (GRID * start).sum(axis=0)
    np.testing.assert_allclose(start - values(run)[0], expected + 0 * GRID, rtol=1e-9)


# ---------------------------------------------------------------- across tensors


def test_a_global_norm_is_over_all_tensors_with_a_gradient() -> None:
    shapes = [(3, 4), (5,), (2, 2)]
    spec = rule("direction = grad / norm(grad, per global)")
    run = interpreter(spec, shapes)
    start = [value.copy() for value in values(run)]
    a, b, _ = random_grads(shapes, 1)[0]
    run.step([a, b, None])
    total = np.sqrt((a**2).sum() + (b**2).sum())
    np.testing.assert_allclose(values(run)[0], start[0] - a / total, rtol=1e-12)
    np.testing.assert_allclose(values(run)[1], start[1] - b / total, rtol=1e-12)
    np.testing.assert_array_equal(values(run)[2], start[2])


def test_levels_above_the_tensor() -> None:
    """A tensor's norm counts once, a group's once; a mean is over all elements."""
    spec = rule(
        """
        a = sum(norm(grad), per global)
        b = sum(norm(grad, per group), per global)
        c = mean(grad, per group)
        d = sum(numel, per global)
        direction = a + 10 * b + 100 * c + 1000 * d
        """
    )
    shapes = [(3, 4), (5,), (2, 2)]
    tensors = [Tensor(f"p{k}", np.zeros(s), "float64", int(k > 1)) for k, s in enumerate(shapes)]
    run = Interpreter(load(spec), tensors, [{}, {"lr": 0.5}])
    grads = random_grads(shapes, 1)[0]
    run.step(grads)
    flat = [grad.ravel() for grad in grads]
    groups = [np.concatenate(flat[:2]), flat[2]]
    norm = np.linalg.norm
    a, b = sum(map(norm, flat)), sum(map(norm, groups))
    for tensor in tensors:
        c = groups[tensor.group].mean()
        expected = (a + 10 * b + 100 * c + 1000 * 21) * (0.5 if tensor.group else 1)
        np.testing.assert_allclose(-tensor.value, expected + 0 * tensor.value, rtol=1e-12)


def test_a_statement_runs_for_all_tensors_before_the_next() -> None:
    """The global state is the new one for the tensor that comes first, too."""
    spec = rule("s = s + sum(grad, per global)\ndirection = s", "state s: per global")
    run = interpreter(spec, [(2,), (3,)])
    start = [value.copy() for value in values(run)]
    run.step([np.ones(2), np.ones(3)])
    for value, old in zip(values(run), start, strict=True):
        np.testing.assert_allclose(value, old - 5, rtol=1e-14)
    assert run.global_states == {"s": 5}


def test_a_reduction_is_over_the_tensors_that_reach_it() -> None:
    spec = rule(
        """
        when ndim == 2:
            direction = sum(grad, per global)
        otherwise:
            direction = 100 * sum(grad, per global)
        """
    )
    run = interpreter(spec, [(2, 2), (3,), (1, 5)])
    start = [value.copy() for value in values(run)]
    run.step([np.ones((2, 2)), np.ones(3), np.ones((1, 5))])
    moved = [float((old - value).flat[0]) for value, old in zip(values(run), start, strict=True)]
    assert moved == pytest.approx([9, 300, 9])


def test_states_of_groups() -> None:
    spec = rule("s = norm(grad, per group)\ndirection = s", "state s: per group")
    tensors = [Tensor(f"p{k}", np.zeros(2), "float32", k // 2) for k in range(3)]
    run = Interpreter(load(spec), tensors, [{}, {}])
    run.step([np.ones(2), np.ones(2), np.ones(2)])
    assert [state["s"] for state in run.group_states] == [2, np.float32(2**0.5)]


def test_groups_that_disagree_about_a_global_state() -> None:
    spec = rule("s = s + lr\ndirection = s", "state s: per global")
    tensors = [Tensor("a", np.zeros(2), group=0), Tensor("b", np.zeros(2), group=1)]
    with pytest.raises(ValueError, match="must agree"):
        Interpreter(load(spec), tensors, [{"lr": 1.0}, {"lr": 2.0}]).step([np.ones(2)] * 2)
    Interpreter(load(spec), tensors, [{"lr": 1.0}, {"lr": 1.0}]).step([np.ones(2)] * 2)


# ---------------------------------------------------------------- routes and composition

ROUTED = """
optimizer Plain:
    hyper lr = 1.0
    update:
        direction = grad

optimizer Signs:
    hyper lr = 1.0
    hyper eps = 3.0
    update:
        direction = sign(grad) * (eps if role == plain else 100)

optimizer Routed:
    hyper lr = 1.0
    hyper other = 2.0
    route:
        ndim >= 2 -> Plain
        role == special -> Plain(lr = 100 * other)
        else -> Signs(lr = other * lr_scale)
    roles:
        name ~ "odd" -> special
        else -> plain
"""


def test_a_route_binds_hypers_by_role_and_shape() -> None:
    names = ("w", "odd.one", "b", "given")
    run = interpreter(ROUTED, [(2, 2), (2,), (2,), (2,)], names=names)
    run.tensors[3].role = "special"
    run.groups[0] |= {"lr": 0.5, "initial_lr": 1.0}
    start = [value.copy() for value in values(run)]
    run.step([np.full((2, 2), 3.0), *[np.full(2, 3.0)] * 3])
    moved = [float((old - value).flat[0]) for value, old in zip(values(run), start, strict=True)]
    assert moved == pytest.approx([0.5 * 3, 200 * 3, 2 * 0.5 * 3, 200 * 3])


@pytest.mark.parametrize("clip", ["GlobalNormClip", "GlobalNormClip(max_norm = 0.5, eps = 0)"])
def test_a_modifiers_global_norm_is_over_all_branches(clip: str) -> None:
    """One branch has a hyper `eps` of its own, so the modifier's has two names; it is one text."""
    clipped = f"{ROUTED}\noptimizer Clipped extends Routed + {clip}\n"
    run = interpreter(clipped, [(2, 2), (2,)])
    start = values(run)[0].copy()
    grads = [np.full((2, 2), 3.0), np.full(2, 8.0)]
    run.step(grads)
    total = np.sqrt(4 * 9 + 2 * 64)
    limit, eps = (0.5, 0.0) if "0.5" in clip else (1.0, 1e-6)
    np.testing.assert_allclose(start - values(run)[0], 3 * limit / (total + eps), rtol=1e-12)


def test_requirements_are_checked_with_their_advice() -> None:
    spec = rule("direction = grad @ grad.T @ grad", 'requires ndim >= 2: "send vectors elsewhere"')
    run = interpreter(spec, [(2, 3), (3,)])
    with pytest.raises(ValueError, match="Tried does not take p1: send vectors elsewhere"):
        run.step([np.ones((2, 3)), np.ones(3)])


def test_lookahead_over_a_clipped_rule() -> None:
    run = interpreter(
        "SGD + GlobalNormClip(max_norm = 2, eps = 0) + Lookahead(k = 2)", hypers={"lr": 1.0}
    )
    fast = values(run)[0].copy()
    slow = fast.copy()
    for step, (grad,) in enumerate(random_grads([(3, 4)], 5), start=1):
        run.step([grad])
        fast = fast - grad * min(1, 2 / np.linalg.norm(grad))
        if step % 2 == 0:
            slow = fast = slow + 0.5 * (fast - slow)
    np.testing.assert_allclose(values(run)[0], fast, rtol=1e-12)
    np.testing.assert_allclose(run.states[0]["Lookahead.slow"], slow, rtol=1e-12)
