"""Levels: how many there are of a value, what joins give, what reductions leave.

Every rule in the interpreter and in the targets; expected numbers are lines of numpy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from language import Array, Run, every_target, moved, refused, rule, same

from stepc.dsl.load import load

GRID = np.array([[1.0, -2, 3, 0], [4, 5, -7, 2], [0.5, 8, 1, -1], [3, 0, -6, 9], [2, 2, 1, 4],
                 [7, -3, 0, 1]])  # fmt: skip
CUBE = GRID.reshape(3, 2, 2, 2)
VECTOR = np.array([3.0, -1, 4, 1, -5])

OPERATIONS: dict[str, Callable[[Array], float]] = {
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "norm": lambda x: (x**2).sum() ** 0.5,
    "rms": lambda x: (x**2).mean() ** 0.5,
    "std": lambda x: ((x - x.mean()) ** 2).mean() ** 0.5,
    "count": lambda x: (x != 0).sum(),
}


def numbered(shape: tuple[int, int], height: int, width: int) -> Array:
    """Which tile each element is in."""
    rows, cols = np.indices(shape)
    return (rows // height) * 100 + cols // width


# level, the gradient, and for each element the number of its cell
CELLS: dict[str, tuple[str, Array, Array]] = {
    "tensor": ("tensor", GRID, np.zeros((6, 4))),
    "rows": ("rows", GRID, np.indices((6, 4))[0]),
    "cols": ("cols", GRID, np.indices((6, 4))[1]),
    "heads": ("heads(3)", GRID, np.indices((6, 4))[0] // 2),
    "chunks": ("chunks(10)", GRID, np.arange(24).reshape(6, 4) // 10),
    "tiles": ("tiles(4, 3)", GRID, numbered((6, 4), 4, 3)),
    "a vector is one row": ("rows", VECTOR, np.zeros(5)),
    "a vector has its columns": ("cols", VECTOR, np.arange(5)),
    "chunks of a vector": ("chunks(2)", VECTOR, np.arange(5) // 2),
    "a number is one row": ("rows", np.array(3.0), np.array(0)),
    "a number is one column": ("cols", np.array(3.0), np.array(0)),
    "rows of a convolution": ("rows", CUBE, np.indices(CUBE.shape)[0]),
    "cols of a convolution": ("cols", CUBE, np.arange(24).reshape(CUBE.shape) % 8),
    "heads of a convolution": ("heads(1)", CUBE, np.zeros(CUBE.shape)),
}


def by_cell(grad: Array, cells: Array, of: Callable[[Array], float]) -> Array:
    """For each element what the reduction of its cell is."""
    found = np.empty(grad.shape)
    for cell in np.unique(cells):
        found[cells == cell] = of(grad[cells == cell])
    return found


@every_target
@pytest.mark.parametrize("case", CELLS)
def test_every_reduction_is_over_a_cell(case: str, target: str) -> None:
    level, grad, cells = CELLS[case]
    finer = list(OPERATIONS)
    states = "\n".join(f"state s_{op}: per {level}" for op in finer)
    update = "\n".join(f"s_{op} += {op}(grad, per {level})" for op in finer)
    total = " + ".join(f"{10.0**k} * s_{op}" for k, op in enumerate(finer))
    run = Run(target, rule(f"{update}\ndirection = {total}", states), np.zeros(grad.shape))
    run.step(grad)
    expected = 0.0
    for k, op in enumerate(finer):
        one = by_cell(grad, cells, OPERATIONS[op])
        expected = expected + 10.0**k * one
        order = np.unique(cells, return_index=True)[1]
        same(run.state(f"s_{op}").ravel(), one.ravel()[order])
    same(-run.params[0], expected, 1e-11)


@every_target
def test_per_tensor_when_left_out(target: str) -> None:
    same(moved(target, "sum(grad) + 0 * grad", GRID), GRID.sum())
    same(moved(target, "dot(grad, param)", GRID, GRID + 1), (GRID * (GRID + 1)).sum())


@every_target
def test_dot_and_std_have_their_own_arguments(target: str) -> None:
    found = moved(target, "dot(grad, param, per rows)", GRID, GRID + 1)
    same(found, (GRID * (GRID + 1)).sum(axis=1, keepdims=True))
    found = moved(target, "std(grad, per cols, unbiased = true)", GRID)
    same(found, GRID.std(axis=0, ddof=1))


@pytest.mark.parametrize("op", ["max", "min"])
def test_unary_max_and_min_must_say_per(op: str) -> None:
    with refused("E306"):
        load(rule(f"direction = {op}(grad)"))


# ---------------------------------------------------------------- joins


@every_target
def test_rows_and_cols_join_to_elements(target: str) -> None:
    found = moved(target, "mean(grad, per rows) * max(grad, per cols)", GRID)
    same(found, GRID.mean(axis=1, keepdims=True) * GRID.max(axis=0))


@every_target
def test_rows_and_chunks_join_to_elements(target: str) -> None:
    found = moved(target, "mean(grad, per rows) + sum(grad, per chunks(5))", GRID)
    chunk = by_cell(GRID, np.arange(24).reshape(6, 4) // 5, np.sum)
    same(found, GRID.mean(axis=1, keepdims=True) + chunk)


@every_target
def test_a_join_with_a_coarser_value_keeps_the_finer_level(target: str) -> None:
    """Tensor and rows: still one per row, so it goes into a state per rows."""
    run = Run(target, rule("r = mean(grad, per rows) / norm(grad) + lr * t\ndirection = r",
                           "state r: per rows"), GRID)  # fmt: skip
    run.step(GRID)
    same(run.state("r").ravel(), GRID.mean(axis=1) / np.sqrt((GRID**2).sum()) + 1)


def test_the_join_of_rows_and_cols_is_too_fine_for_either() -> None:
    for level in ("rows", "cols", "tensor", "heads(2)"):
        with refused("E303"):
            load(rule("v = mean(grad, per rows) + mean(grad, per cols)\ndirection = v",
                      f"state v: per {level}"))  # fmt: skip


def test_a_finer_value_names_the_missing_reduction() -> None:
    with refused("E303", r"[\s\S]*reduce it: `mean\(..., per rows\)`"):
        load(rule("v = grad^2\ndirection = v", "state v: per rows"))


@every_target
@pytest.mark.parametrize("level", ["like param", "per rows", "per cols", "per chunks(7)"])
def test_a_state_takes_a_coarser_value(level: str, target: str) -> None:
    run = Run(target, rule("v = v + mean(grad) + t\ndirection = v", f"state v: {level}"), GRID)
    run.step(GRID)
    run.step(GRID)
    same(run.state("v"), 2 * GRID.mean() + 3)
    same(GRID - run.params[0], 3 * GRID.mean() + 1 + 3)


# ---------------------------------------------------------------- reductions of cells


@every_target
def test_a_reduction_consumes_cells(target: str) -> None:
    found = moved(target, "sum(mean(grad, per rows))", GRID)
    same(found, GRID.mean(axis=1).sum())
    found = moved(target, "max(norm(grad, per cols), per tensor) + mean(sum(grad, per rows))", GRID)
    norms = np.sqrt((GRID**2).sum(axis=0))
    same(found, norms.max() + GRID.sum(axis=1).mean())


@pytest.mark.parametrize(
    "what",
    ["sum(norm(grad))", "mean(mean(grad, per rows), per rows)", "sum(mean(grad), per rows)",
     "mean(lr)", "max(sum(grad, per rows), per heads(2))",
     "sum(mean(grad, per cols), per rows)", "norm(grad, per element)"],
)  # fmt: skip
def test_reducing_what_is_not_finer_is_an_error(what: str) -> None:
    with refused("E302"):
        load(rule(f"direction = {what}"))


# ---------------------------------------------------------------- several tensors


@every_target
def test_per_global_counts_each_tensor_once(target: str) -> None:
    """The sum of norms, not of elements; the norm over everything is another number."""
    spec = rule("direction = sum(norm(grad), per global) + 100 * norm(grad, per global)")
    run = Run(target, spec, GRID, VECTOR, np.array(2.0))
    run.step(GRID, VECTOR, 6)
    norms = [np.sqrt((GRID**2).sum()), np.sqrt((VECTOR**2).sum()), 6.0]
    expected = sum(norms) + 100 * np.sqrt(sum(n**2 for n in norms))
    for before, after in zip((GRID, VECTOR, np.array(2.0)), run.params, strict=True):
        same(before - after, expected)


@every_target
def test_a_global_reduction_sees_the_tensors_with_a_gradient(target: str) -> None:
    spec = rule("direction = max(abs(grad), per global) + mean(grad, per global)")
    run = Run(target, spec, GRID, VECTOR, VECTOR)
    run.step(GRID, None, VECTOR)
    both = np.concatenate([GRID.ravel(), VECTOR])
    same(GRID - run.params[0], np.abs(both).max() + both.mean())
    same(run.params[1], VECTOR)


@every_target
def test_cells_reduce_to_global(target: str) -> None:
    spec = rule("direction = max(norm(grad, per rows), per global)")
    run = Run(target, spec, GRID, VECTOR)
    run.step(GRID, VECTOR)
    top = max(np.sqrt((GRID**2).sum(axis=1)).max(), np.sqrt((VECTOR**2).sum()))
    same(GRID - run.params[0], top)
    same(VECTOR - run.params[1], top)


@every_target
def test_a_group_is_a_level(target: str) -> None:
    spec = rule("s += norm(grad, per group)\ndirection = s", "state s: per group")
    run = Run(target, spec, GRID, VECTOR, VECTOR, groups=({}, {"lr": 0.5}), of=(0, 1, 0))
    run.step(GRID, VECTOR, VECTOR)
    first = np.sqrt((GRID**2).sum() + (VECTOR**2).sum())
    second = np.sqrt((VECTOR**2).sum())
    same(run.group_state("s", 0), first)
    same(run.group_state("s", 1), second)
    same(GRID - run.params[0], first)
    same(VECTOR - run.params[1], 0.5 * second)
    same(VECTOR - run.params[2], first)


@every_target
def test_a_global_state_is_one_for_all(target: str) -> None:
    spec = rule("s = s / 2 + sum(grad, per global)\ndirection = s", "state s: per global = 8")
    run = Run(target, spec, GRID, VECTOR)
    run.step(1, 1)
    run.step(1, None)
    same(run.global_state("s"), (4 + 29) / 2 + 24)
    same(GRID - run.params[0], 33 + 33 / 2 + 24)
    same(VECTOR - run.params[1], 33)


@every_target
def test_a_sum_of_facts_is_over_tensors(target: str) -> None:
    run = Run(target, rule("direction = grad * sum(numel, per global)"), GRID, VECTOR)
    run.step(1, 1)
    same(GRID - run.params[0], 29)


# ---------------------------------------------------------------- partitions

BLOCKS = """
    partition blocks:
        ndim == 1 -> element
        rows > 4  -> rows
        ndim == 4 -> heads(parts)
        else      -> tensor
    """


@every_target
def test_a_partition_is_a_level_chosen_by_tensor(target: str) -> None:
    spec = rule(
        "v += mean(grad^2, per blocks)\ndirection = v",
        f"hyper parts = 3\n{BLOCKS.replace('    partition', 'partition')}\nstate v: per blocks",
    )
    small = GRID[:3]
    run = Run(target, spec, GRID, small, VECTOR, CUBE)
    run.step(GRID, small, VECTOR, CUBE)
    expected = [(GRID**2).mean(axis=1, keepdims=True), (small**2).mean(), VECTOR**2,
                (CUBE**2).mean(axis=(1, 2, 3), keepdims=True)]  # fmt: skip
    for start, after, moves in zip((GRID, small, VECTOR, CUBE), run.params, expected, strict=True):
        same(start - after, moves)


@every_target
def test_heads_must_divide_the_rows(target: str) -> None:
    run = Run(target, rule("direction = mean(grad, per heads(4))"), GRID)
    with pytest.raises(ValueError, match="heads"):
        run.step(GRID)
