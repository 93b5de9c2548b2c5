"""Roundings of the parameter that keep what bfloat16 cannot hold: remainders in 8 and 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from language import Array, Run, every_target, rule

from stepc.dsl.storage import half_ulp, joined, split

BITS = pytest.mark.parametrize("bits", [8, 16])
NARROW = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


def values(count: int, seed: int = 0) -> Array:
    chance = np.random.default_rng(seed)
    drawn = chance.standard_normal(count) * 10.0 ** chance.uniform(-3, 3, count)
    return drawn.astype(np.float32).astype(np.float64)


# ---------------------------------------------------------------- the definition


@NARROW
def test_half_a_unit_is_half_the_way_to_the_next_number(dtype: str) -> None:
    kind = getattr(torch, dtype)
    narrow = torch.tensor([1.0, 1.5, 0.3, 100.0, 6e-5, 3e-6]).to(kind)
    up = torch.nextafter(narrow, torch.full_like(narrow, torch.inf))
    expected = (up.double() - narrow.double()) / 2
    np.testing.assert_array_equal(half_ulp(narrow.double().numpy(), dtype), expected.numpy())


@BITS
@NARROW
def test_a_number_split_and_joined_is_off_by_half_a_count(dtype: str, bits: int) -> None:
    exact = values(2000)
    narrow, rest = split(exact, dtype, bits)
    counts = 2 ** (bits - 1) - 1
    assert np.abs(rest).max() <= counts
    assert np.abs(rest).max() > 0.98 * counts
    unit = half_ulp(narrow, dtype)
    assert np.all(np.abs(joined(narrow, rest, dtype, bits) - exact) <= 0.5001 * unit / counts)


def test_ties_of_the_remainder_go_away_from_zero() -> None:
    """A quarter of a unit of 1 is 63.5 counts."""
    narrow, rest = split(np.array([1 + 2.0**-9, 1 - 2.0**-10, -1 - 2.0**-9]), "bfloat16", 8)
    assert narrow.tolist() == [1, 1, -1]
    assert rest.tolist() == [64, -32, -64]


# ---------------------------------------------------------------- every target


@every_target
@BITS
@NARROW
def test_small_steps_add_up(dtype: str, bits: int, target: str) -> None:
    """Steps of a sixtieth of a unit in the last place, each of which alone is lost."""
    unit = 2.0**-7 if dtype == "bfloat16" else 2.0**-10
    spec = rule(f"direction = {unit / 60}", f"round param: master(bits = {bits})")
    run = Run(target, spec, np.full(8, 1.5), dtype=dtype)
    for _ in range(300):
        run.step(0)
    assert np.all(np.abs(run.params[0] - (1.5 - 5 * unit)) <= unit)


@every_target
@BITS
def test_the_next_step_reads_the_exact_value(bits: int, target: str) -> None:
    start = values(400, 1)
    narrow = torch.tensor(start).to(torch.bfloat16).double().numpy()
    spec = rule("direction = 0.3 * param + grad", f"round param: master(bits = {bits})")
    run, exact = Run(target, spec, narrow, dtype="bfloat16"), narrow.copy()
    for _ in range(6):
        run.step(0)
        exact = 0.7 * exact
    unit = half_ulp(run.params[0], "bfloat16")
    off = np.abs(run.params[0] - exact) / unit
    assert np.all(off <= 1 + 8 / 127)  # half a unit of rounding, and six remainders' errors


@BITS
@NARROW
@pytest.mark.parametrize("target", ["torch", "c"])
def test_the_same_remainders_as_the_definition(dtype: str, bits: int, target: str) -> None:
    """The change is exact in float32, so not a bit may differ."""
    start = torch.tensor(values(3000, 2)).to(getattr(torch, dtype)).double().numpy()
    spec = rule("direction = grad", f"round param: master(bits = {bits})")
    run = Run(target, spec, start, dtype=dtype)
    grad = half_ulp(start, dtype) * np.random.default_rng(3).integers(-64, 64, 3000) / 64
    run.step(grad)
    held = torch.tensor(grad).to(getattr(torch, dtype)).double().numpy()
    exact = (start - held).astype(np.float32).astype(np.float64)
    narrow, rest = split(exact, dtype, bits)
    np.testing.assert_array_equal(run.params[0], narrow)
    np.testing.assert_array_equal(run.state("remainder"), rest)


@BITS
@NARROW
@pytest.mark.parametrize("guard", ["", "guard norm(grad) < 1e30"])
@pytest.mark.parametrize("target", ["torch", "c"])
def test_the_same_remainders_beside_codes(guard: str, dtype: str, bits: int, target: str) -> None:
    """There C joins and splits several blocks at once, in loops of their own; some are not full."""
    start = torch.tensor(values(3000, 2)).to(getattr(torch, dtype)).double().numpy()
    codes = (
        f"state m: like param\nquantize m: softsign8(block = 32)\nround param: master({bits = })"
    )
    run = Run(target, rule(f"{guard}\nm = m + grad\ndirection = grad", codes), start, dtype=dtype)
    grad = half_ulp(start, dtype) * np.random.default_rng(3).integers(-64, 64, 3000) / 64
    run.step(grad)
    held = torch.tensor(grad).to(getattr(torch, dtype)).double().numpy()
    narrow, rest = split((start - held).astype(np.float32).astype(np.float64), dtype, bits)
    np.testing.assert_array_equal(run.params[0], narrow)
    np.testing.assert_array_equal(run.state("remainder"), rest)
    if bits == 8:  # so coarse that what was joined is split again
        run.step(0)
        np.testing.assert_array_equal(run.params[0], narrow)
        np.testing.assert_array_equal(run.state("remainder"), rest)


@every_target
@BITS
def test_a_guard_keeps_the_remainder(bits: int, target: str) -> None:
    spec = rule("guard norm(grad) < 10\ndirection = 0.003 * grad",
                f"round param: master(bits = {bits})")  # fmt: skip
    run = Run(target, spec, np.ones(8), dtype="bfloat16")
    again = Run(target, spec, np.ones(8), dtype="bfloat16")
    run.step(1)
    run.step(100)
    run.step(1)
    for _ in range(2):
        again.step(1)
    np.testing.assert_array_equal(run.params[0], again.params[0])


@every_target
@BITS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_parameters_have_no_remainder(dtype: str, bits: int, target: str) -> None:
    spec = rule("direction = grad / 3", f"round param: master(bits = {bits})")
    run, plain = (
        Run(target, spec, np.ones(5), dtype=dtype),
        Run(target, rule("direction = grad / 3"), np.ones(5), dtype=dtype),
    )
    run.step(1)
    plain.step(1)
    np.testing.assert_array_equal(run.params[0], plain.params[0])
