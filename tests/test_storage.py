"""What values read back as: dtypes against torch, codecs against brute force, roundings by their
properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stepc.dsl.codecs import CODECS
from stepc.dsl.codes import ROUND_TRIPS, dynamic_table, linear_table, read_back
from stepc.dsl.storage import hash32, kahan, random_bits, round_to, stochastic

TORCH = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "e4m3": torch.float8_e4m3fn,
    "e5m2": torch.float8_e5m2,
}


def spread_out() -> np.ndarray:
    """Numbers of many sizes, as float32 has them, with the edges of every format among them."""
    chance = np.random.default_rng(3)
    numbers = chance.standard_normal(4000) * 10.0 ** chance.integers(-42, 38, 4000)
    edges = [0.0, -0.0, 1.0, 65504.0, 65519.0, 65520.0, 448.0, 57344.0, 2.0**-14, 2.0**-24]
    edges += [
        2.0**-25,
        2.0**-126,
        2.0**-149,
        3.3e38,
        2.0**-9,
        1.5 * 2.0**-10,
        np.inf,
        -np.inf,
        np.nan,
    ]
    return np.concatenate([numbers, edges]).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("dtype", TORCH)
def test_dtypes_round_as_torch_does(dtype: str) -> None:
    values = spread_out()
    if dtype.startswith("e"):  # torch's 8-bit formats hold at the top; ours are scaled below it
        values = values[np.abs(values) <= (448 if dtype == "e4m3" else 57344)]
    expected = torch.tensor(values).float().to(TORCH[dtype]).double().numpy()
    np.testing.assert_array_equal(round_to(values, dtype), expected)


def test_rounding_happens_once() -> None:
    """Just above the middle of two bfloat16 numbers; by way of float32 it would be the middle."""
    middle = 1 + 2.0**-8
    assert round_to(np.array(middle + 2.0**-40), "bfloat16") == 1 + 2.0**-7
    assert round_to(np.array(middle), "bfloat16") == 1


def test_integers_round_half_even_and_hold_at_their_ends() -> None:
    values = np.array([0.5, 1.5, -0.5, -2.5, 127.4, 300, -300])
    assert round_to(values, "int8").tolist() == [0, 2, 0, -2, 127, 127, -128]


# ---------------------------------------------------------------- codecs


@pytest.mark.parametrize(("signed", "zero"), [(True, 127), (False, 0)])
def test_dynamic8_table_has_the_known_values(signed: bool, zero: int) -> None:
    table = dynamic_table(8, signed)
    assert len(table) == 256
    assert table[zero] == 0
    assert np.all(np.diff(table) > 0)
    least, top, bottom = (5.5e-7, 0.99296875, -0.99296875) if signed else (3.25e-7, 0.996484375, 0)
    np.testing.assert_allclose(
        [table[zero + 1], table[-2], table[0]], [least, top, bottom], rtol=1e-6
    )
    assert table[-1] == 1


def test_dynamic4_tables() -> None:
    signed = [0.0055, 0.0325, 0.0775, 0.2125, 0.4375, 0.6625, 0.8875]
    np.testing.assert_allclose(
        dynamic_table(4, True), [*(-x for x in reversed(signed)), 0, *signed, 1], rtol=1e-6
    )
    np.testing.assert_allclose(
        dynamic_table(4, False),
        [
            *(0, 0.00325, 0.00775, 0.02125, 0.04375, 0.06625, 0.08875, 0.15625, 0.26875),
            *(0.38125, 0.49375, 0.60625, 0.71875, 0.83125, 0.94375, 1),
        ],
        rtol=1e-6,
    )


def test_linear_tables() -> None:
    assert len(linear_table(4, True)) == len(linear_table(4, False)) == 16
    assert len(linear_table(8, False)) == 256
    assert 0 in linear_table(8, True) and 0 in linear_table(8, False)
    assert 0 not in linear_table(4, True) and 0 not in linear_table(4, False)


@pytest.mark.parametrize("codec", ["dynamic8", "dynamic4", "linear8", "linear4"])
@pytest.mark.parametrize("signed", [True, False])
def test_codes_are_the_nearest(codec: str, signed: bool) -> None:
    """Blocks of 8 with the last one partial; one block of zeros, one of tiny values."""
    chance = np.random.default_rng(7)
    values = chance.standard_normal(45) * 10.0 ** chance.integers(-6, 3, 45)
    values[8:16] = 0
    values[16:24] *= 1e-20
    values = values if signed else np.abs(values)
    table = (dynamic_table if codec.startswith("dynamic") else linear_table)(int(codec[-1]), signed)
    found = read_back(values, "float32", codec, {"block": 8, "signed": signed})
    for start in range(0, 45, 8):
        block, read = values[start : start + 8], found[start : start + 8]
        scale = float(np.float32(np.abs(block).max()))
        if scale == 0:
            assert np.all(read == 0)
            continue
        for value, one in zip(block, read, strict=True):
            best = min(abs(value / scale - entry) for entry in table)
            assert np.abs(table - one / scale).min() < 1e-12
            assert abs(value / scale - one / scale) <= best * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("place", [3, 4])
def test_a_tie_takes_the_even_code(place: int) -> None:
    table = linear_table(4, False)
    middle = (table[place] + table[place + 1]) / 2
    found = read_back(np.array([1.0, middle]), "float32", "linear4", {"signed": False})
    assert found[1] == table[4]


def test_linear4_asymmetric_spans_a_block() -> None:
    values = np.array([3.0, 4.0, 4.4, 4.6, 6.0, 7.0, 7.0, 7.0])
    found = read_back(values, "float32", "linear4", {"block": 5, "asymmetric": True})
    assert found[0] == 3
    np.testing.assert_allclose(found[4], 6, rtol=2.0**-23)  # the step is kept in float32
    np.testing.assert_allclose(found[:5] - 3, np.rint((values[:5] - 3) / 0.2) * 0.2, rtol=1e-7)
    np.testing.assert_array_equal(found[5:], 7)


@pytest.mark.parametrize(("codec", "relative"), [("e4m3", 2.0**-4), ("e5m2", 2.0**-3)])
def test_eight_bit_floats_keep_their_mantissa(codec: str, relative: float) -> None:
    values = np.random.default_rng(1).standard_normal(600) * 100
    found = read_back(values, "float32", codec, {})
    large = np.abs(values) > 1
    assert np.all(np.abs(found - values)[large] <= relative * np.abs(values)[large])
    assert np.abs(found - values).max() > 0.2 * relative


def test_a_block_that_is_not_finite_reads_back_as_nan() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0, 6.0])
    found = read_back(values, "float32", "dynamic8", {"block": 2})
    np.testing.assert_array_equal(np.isnan(found), [True, True, True, True, False, False])


def test_every_codec_of_the_table_is_there() -> None:
    assert set(ROUND_TRIPS) | {"none"} == set(CODECS)
    values = np.linspace(-2, 3, 300).reshape(20, 15)
    for codec in CODECS:
        assert read_back(values, "float32", codec, {}).shape == values.shape


# ---------------------------------------------------------------- the parameter


def test_stochastic_rounding_is_the_formula_of_the_contract() -> None:
    values = np.float32([1.00390625, -3.1415927, 1e-30, 123456.0]).astype(np.float64)
    key = hash32(5, 3, 2)
    for index, value in enumerate(values):
        h = (index * 0x9E3779B1 + key) % 2**32
        h = ((h ^ (h >> 16)) * 0x85EBCA6B) % 2**32
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) % 2**32
        h ^= h >> 16
        bits = int(np.float32(value).view(np.uint32))
        expected = np.uint32((bits + (h & 0xFFFF)) & 0xFFFF0000).view(np.float32)
        assert stochastic(values, "bfloat16", 5, 3, 2)[index] == expected


def test_stochastic_rounding_keeps_the_mean() -> None:
    value = 1 + 0.3 * 2.0**-7
    found = stochastic(np.full(20_000, value), "bfloat16", 0, 1, 0)
    assert set(found) == {1.0, 1 + 2.0**-7}
    deviation = 2.0**-7 * np.sqrt(0.3 * 0.7 / 20_000)
    assert abs(found.mean() - value) < 4 * deviation


def test_stochastic_rounding_is_deterministic_and_differs_by_seed_step_and_tensor() -> None:
    values = np.full(64, 1.001)
    draws = [stochastic(values, "bfloat16", *at).tobytes() for at in
             ((0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1))]  # fmt: skip
    assert len(set(draws)) == 4
    assert stochastic(values, "bfloat16", 0, 1, 0).tobytes() == draws[0]
    assert len(set(random_bits(0, 1, 0, 1000).tolist())) > 990


def test_stochastic_rounding_leaves_what_has_no_bits_to_lose() -> None:
    values = np.array([1.0, -2.5, np.inf, -np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(stochastic(values, "bfloat16", 0, 1, 0), values)
    third = np.array([1 / 3])
    assert stochastic(third, "float32", 0, 1, 0) == np.float32(1 / 3)


def test_kahan_keeps_what_bfloat16_loses() -> None:
    param, lost = np.array([1.0]), np.array([0.0])
    plain = np.array([1.0])
    for _ in range(1000):
        param, lost = kahan(param, param + 1e-4, lost, "bfloat16")
        plain = round_to(plain + 1e-4, "bfloat16")
    assert plain == 1.0
    assert abs(param[0] - 1.1) < 2.0**-7
    assert param == round_to(param, "bfloat16") and lost == round_to(lost, "bfloat16")
