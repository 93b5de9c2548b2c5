"""Cells: counts and shapes of levels, and values carried between cells and elements."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import stepc
from stepc.runtime.cells import count, length, shape
from stepc.runtime.facts import Facts
from stepc.runtime.forms import reduce, round_stochastic, spread
from stepc.runtime.path import Level
from stepc.runtime.random import hash32
from stepc.runtime.target import use_target


def fact(*form: int) -> Facts:
    return Facts("Test", 0, form, "", "")


@pytest.mark.parametrize(
    ("level", "form", "sizes", "expected"),
    [
        ("element", (2, 3, 4), (), (2, 3, 4)),
        ("rows", (2, 3, 4), (), (2,)),
        ("cols", (2, 3, 4), (), (12,)),
        ("rows", (5,), (), (1,)),
        ("cols", (5,), (), (5,)),
        ("rows", (), (), (1,)),
        ("tensor", (2, 3), (), ()),
        ("global", (2, 3), (), ()),
        (("chunks", 5), (2, 3, 4), (), (5,)),
        (("chunks", 5), (0, 4), (), (0,)),
        (("heads", "size 1"), (6, 4), (9, 3), (3,)),
        (("tiles", 2, 3), (5, 7), (), (9,)),
    ],
)
def test_shapes(
    level: Level, form: tuple[int, ...], sizes: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert shape(level, fact(*form), sizes) == expected


def test_heads_must_divide_rows() -> None:
    with pytest.raises(ValueError, match="4 heads do not divide its 6 rows"):
        count(("heads", 4), fact(6, 4))
    with pytest.raises(ValueError, match="0 heads"):
        count(("heads", 0), fact(6, 4))


def test_lengths() -> None:
    assert length("rows", fact(3, 5)) == 5
    assert length("cols", fact(3, 5)) == 3
    assert length(("heads", 2), fact(6, 5)) == 15
    assert length(("chunks", 4), fact(3, 5)) == 4
    assert length(("tiles", 2, 4), fact(3, 5)) == 8
    assert length(("tiles", 2, 400), fact(3, 5)) == 10


CELLS = st.one_of(
    st.tuples(st.just("chunks"), st.integers(1, 20)),
    st.tuples(st.just("heads"), st.sampled_from([1, 2, 3, 6])),
    st.tuples(st.just("tiles"), st.integers(1, 7), st.integers(1, 7)),
)


def cell_of(level: tuple[str, ...] | tuple[str, int], row: int, col: int, cols: int) -> int:
    """The cell of an element, said naively (6 rows)."""
    match level:
        case "chunks", int(size):
            return (row * cols + col) // size
        case "heads", int(heads):
            return row // (6 // heads)
        case "tiles", int(high), int(wide):
            return row // high * -(-cols // wide) + col // wide
        case _:
            raise AssertionError


@settings(deadline=None)
@given(CELLS, st.integers(1, 11), st.sampled_from(["sum", "amax", "amin"]))
def test_reduce_and_spread_follow_the_naive_definition(
    level: tuple[str, int], cols: int, how: str
) -> None:
    x = torch.randn(6, cols, generator=torch.Generator().manual_seed(cols), dtype=torch.float64)
    cells = [[cell_of(level, row, col, cols) for col in range(cols)] for row in range(6)]
    number = count(level, fact(6, cols))
    combine = {"sum": sum, "amax": max, "amin": min}[how]
    expected = [
        combine(float(x[r, c]) for r in range(6) for c in range(cols) if cells[r][c] == cell)
        for cell in range(number)
    ]
    found = reduce(x, how, *level)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(spread(found, *level, like=x), found[torch.tensor(cells)])


@pytest.mark.parametrize("form", [(2, 6, 7), (3, 6, 0), (1, 6, 1)])
@pytest.mark.parametrize(
    "level", [("tiles", 4, 3), ("chunks", 5), ("heads", 3), ("tiles", 10**12, 2)]
)
def test_stacks_are_matrices_side_by_side(level: tuple[str, int], form: tuple[int, ...]) -> None:
    x = torch.randn(form, generator=torch.Generator().manual_seed(1))
    found = reduce(x, "sum", *level)
    whole = spread(found, *level, like=x)
    assert found.shape[:2] == (len(x), 1) and whole.shape == x.shape
    for place, matrix in enumerate(x):
        assert torch.equal(found[place, 0], reduce(matrix, "sum", *level))
        assert torch.equal(whole[place], spread(found[place, 0], *level, like=matrix))


@pytest.mark.parametrize("level", [("tiles", 0, 3), ("tiles", 2, -1), ("chunks", 0)])
def test_cells_have_elements(level: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{level[0]} of"):
        count(level, fact(6, 4))
    with pytest.raises(ValueError, match=f"{level[0]} of"):
        reduce(torch.ones(6, 4), "sum", *level)


def test_stochastic_rounding_is_one_of_two_neighbours_and_right_on_average() -> None:
    x = torch.full((200, 50), 1.0 + 2**-9)  # a quarter of the way from 1 to 1 + 2^-7
    rounded = round_stochastic(x, hash32(0, 1, 0), torch.bfloat16)
    assert set(rounded.unique().tolist()) == {1.0, 1.0 + 2**-7}
    assert abs(float((rounded - 1).mean()) - 2**-9) < 2e-4
    assert torch.equal(rounded.bfloat16().float(), rounded)
    assert not torch.equal(rounded, round_stochastic(x, hash32(0, 2, 0), torch.bfloat16))


def test_stochastic_rounding_leaves_other_values_alone() -> None:
    special = torch.tensor([[float("inf"), -float("inf"), 0.0, -0.0, 1.5]])
    assert torch.equal(round_stochastic(special, 7, torch.bfloat16), special)
    nan = torch.tensor([[float("nan")]])
    assert round_stochastic(nan, 7, torch.bfloat16).isnan().all()
    x = torch.randn(3, 4)
    assert round_stochastic(x, 7, torch.float16) is x


def test_rounding_bits_follow_the_definition() -> None:
    """bits = mix(element * 0x9E3779B1 + key), added below the cut; recomputed here by hand."""
    from stepc.runtime.random import mix

    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    key = hash32(3, 5, 7)
    expected = []
    for place, value in enumerate(x.flatten().view(torch.int32).tolist()):
        chance = mix((place * 0x9E3779B1 + key) & 0xFFFFFFFF) & 0xFFFF
        expected.append(((value & 0xFFFFFFFF) + chance) & 0xFFFF0000)
    found = round_stochastic(x, float(key), torch.bfloat16).flatten().view(torch.int32).tolist()
    assert [value & 0xFFFFFFFF for value in found] == expected


@pytest.mark.parametrize("shape", [(130, 70), (3, 4100), (129, 4097), (1, 9000)])
def test_columns_of_many_tiles(shape: tuple[int, int]) -> None:
    """C cuts a sweep over columns into tiles; sums per column are those of the whole."""
    ends: list[torch.Tensor] = []
    for target in ("c", "torch"):
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in (shape, (7, 5))]
        optimizer = stepc.Adafactor(params, lr=0.1)
        with use_target(target):
            for _ in range(2):
                for param in params:
                    param.grad = torch.randn_like(param)
                optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in params]))
        ends.append(optimizer.state[params[0]]["c"])
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(ends[1], ends[3], rtol=1e-12, atol=1e-14)
