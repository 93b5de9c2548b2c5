"""Shapes: states of a shape of their own, shapes chosen on the host, steps of many passes."""

from __future__ import annotations

import numpy as np
import pytest
from language import Run, every_target, moved, refused, rule, same

from stepc.dsl.load import load

chance = np.random.default_rng(5)
TALL, WIDE = chance.standard_normal((4, 3)), chance.standard_normal((2, 5))
CUBE = chance.standard_normal((3, 2, 2))
V = np.array([3.0, -1.0, 2.0])


# ---------------------------------------------------------------- rows and columns by turns


@every_target
@pytest.mark.parametrize("times", [1, 3, 5])
def test_rows_and_columns_by_turns(times: int, target: str) -> None:
    """The gradient made of rows and columns of norm one: each turn waits for the one before."""
    spec = rule(
        f"""
        c = 1
        repeat {times}:
            r = sqrt(cols) / norm(grad * c, per rows)
            c = sqrt(rows) / norm(r * grad, per cols)
        direction = r * grad * c
        """
    )
    run = Run(target, spec, np.zeros((4, 3)), np.zeros((2, 5)))
    run.step(TALL, WIDE)
    for x, param in zip((TALL, WIDE), run.params, strict=True):
        c = np.ones(x.shape[1])
        for _ in range(times):
            r = np.sqrt(x.shape[1]) / np.sqrt(((x * c) ** 2).sum(1, keepdims=True))
            c = np.sqrt(x.shape[0]) / np.sqrt(((x * r) ** 2).sum(0))
        same(-param, r * x * c, 1e-10)


@every_target
def test_a_factored_second_moment(target: str) -> None:
    """Adafactor's: rows and columns for matrices, elements for vectors."""
    spec = rule(
        """
        when ndim >= 2:
            r = r / 2 + mean(grad^2, per rows)
            c = c / 2 + mean(grad^2, per cols)
            u = grad / sqrt(r * c / mean(r))
        otherwise:
            v = v / 2 + grad^2
            u = grad / sqrt(v)
        direction = u / max(1, rms(u))
        """,
        """
        state r: per rows when ndim >= 2
        state c: per cols when ndim >= 2
        state v: like param when ndim < 2
        """,
    )
    run = Run(target, spec, np.zeros((4, 3)), np.zeros(3))
    run.step(TALL, V)
    r, c = (TALL**2).mean(1, keepdims=True), (TALL**2).mean(0)
    u = TALL / np.sqrt(r * c / r.mean())
    same(-run.params[0], u / max(1, np.sqrt((u**2).mean())))
    same(-run.params[1], np.sign(V))
    assert not run.has("v", 0) and not run.has("r", 1)


@every_target
@pytest.mark.parametrize(
    ("level", "count"),
    [("chunks(4)", 3), ("tiles(2, 3)", 2), ("rows", 4), ("cols", 3), ("heads(2)", 2)],
)
def test_a_mean_over_cells_divides_by_their_number(level: str, count: int, target: str) -> None:
    mean, number = f"mean(0 * max(grad, per {level}) + 6)", f"sum(0 * min(grad, per {level}) + 1)"
    same(moved(target, f"{mean} + {number}", TALL), 6 + count)


@every_target
def test_a_row_s_sum_beside_the_tensor_s(target: str) -> None:
    found = moved(
        target, "sum(grad^2, per rows) + 100 * sum(grad^2) + 10 * sum(mean(grad, per rows)^2)", TALL
    )
    square = TALL**2
    same(found, square.sum(1, keepdims=True) + 100 * square.sum() + 10 * (TALL.mean(1) ** 2).sum())


@every_target
def test_a_group_s_and_everything_s_sum_in_one_step(target: str) -> None:
    run = Run(target, rule("direction = max(grad, per group) + 10 * min(grad, per global)"),
              V, V, V, groups=({}, {"lr": 2.0}), of=(0, 0, 1))  # fmt: skip
    run.step(V, 2 * V, -3 * V)
    same(V - run.params[0], 6 - 90)
    same(V - run.params[2], 2 * (3 - 90))


# ---------------------------------------------------------------- matrices


@every_target
def test_a_matrix_state(target: str) -> None:
    spec = rule("s = s / 2 + grad @ grad.T\ndirection = s @ grad",
                "requires ndim >= 2\nstate s: matrix(rows, rows)")  # fmt: skip
    run = Run(target, spec, np.zeros((4, 3)), np.zeros((3, 2, 2)))
    run.step(TALL, CUBE)
    run.step(TALL, CUBE)
    for place, x in enumerate((TALL, CUBE.reshape(3, 4))):
        first = x @ x.T
        same(run.state("s", place), 1.5 * first)
        same(-run.params[place].reshape(x.shape), 2.5 * first @ x, 1e-11)


@every_target
def test_a_matrix_state_begins_as_the_identity(target: str) -> None:
    spec = rule("direction = s @ grad\ns = s + grad @ grad.T",
                "requires ndim >= 2\nstate s: matrix(rows, rows) = identity")  # fmt: skip
    run = Run(target, spec, np.zeros((4, 3)))
    run.step(TALL)
    same(-run.params[0], TALL)
    same(run.state("s"), np.eye(4) + TALL @ TALL.T)


@every_target
def test_an_identity_is_not_stored(target: str) -> None:
    """The host chooses: a matrix where it is small, else the identity."""
    spec = rule(
        "when rows <= 3:\n    Q = Q + grad @ grad.T\ndirection = Q.T @ (Q @ grad)",
        "requires ndim >= 2\n"
        "state Q: matrix(rows, rows) if rows <= 3 else identity(rows) = identity",
    )
    run = Run(target, spec, np.zeros((4, 3)), np.zeros((2, 5)))
    run.step(TALL, WIDE)
    same(-run.params[0], TALL)
    Q = np.eye(2) + WIDE @ WIDE.T
    same(-run.params[1], Q.T @ Q @ WIDE, 1e-11)
    assert not run.has("Q", 0) and run.has("Q", 1)


@every_target
def test_a_sum_over_what_products_made(target: str) -> None:
    """Per tensor, per row, over all tensors; as a guard too."""
    spec = rule(
        "y = grad @ grad.T @ grad\nguard norm(y) < 1000\n"
        "direction = y / norm(y) + y / norm(y, per global) + mean(y, per rows)",
        "requires ndim >= 2",
    )
    run = Run(target, spec, np.zeros((4, 3)), np.zeros((2, 5)), np.zeros((2, 5)))
    run.step(TALL, WIDE, 100 * WIDE)
    results = [x @ x.T @ x for x in (TALL, WIDE, 100 * WIDE)]
    norms = [np.sqrt((y**2).sum()) for y in results]
    total = np.sqrt(sum(n**2 for n in norms))
    for y, norm, param in zip(results[:2], norms, run.params, strict=False):
        same(-param, y / norm + y / total + y.mean(1, keepdims=True), 1e-10)
    same(run.params[2], 0)


def test_a_shape_that_does_not_fit() -> None:
    with refused("E307", r".*inner sizes"):
        load(rule("direction = grad @ grad", "requires ndim >= 2"))
