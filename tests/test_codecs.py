"""Codecs on every target: each value and border of a codec, blocks that need guards, against
the definition (dsl/codes.py), which searches tables.

A number closer to a border than `NEAR` of the distance between its neighbours may take either: the
place among the codes is computed in float32, where 2^-15 of a code is a few last places.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from running_codecs import CASES, NEAR, broken, defined, everything, numbers, shaped, states

from stepc.dsl.load import load
from stepc.dsl.signs import nonnegative_states

Array = np.ndarray
HERE = Path(__file__).parent
TARGETS = pytest.mark.parametrize("target", ["torch", "c", "triton"])


@cache
def stored(target: str) -> dict[str, Array]:
    """What a target stores in every case. Triton's interpreter needs a process of its own."""
    if target != "triton":
        return everything(target)
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"stepc-codes-{os.getpid()}.npz"
    command = [sys.executable, "-W", "ignore", str(HERE / "running_codecs.py"), "triton", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    found = dict(np.load(path))
    path.unlink()
    return found


def read_as_defined(given: Array, want: Array, read: Array, codec: str) -> float:
    """Every number reads back as defined, or as the other side of a border it is at; the share of
    the latter."""
    finite = np.isfinite(want)
    np.testing.assert_array_equal(finite, np.isfinite(read))
    given, want, read = (x[finite].astype(np.float64) for x in (given, want, read))
    off = np.abs(want - read)
    ranges = 3e-7 * np.abs(given).max(initial=0) if "asymmetric" in codec else 0
    same = off <= 1e-6 * np.abs(want) + ranges
    at_border = np.abs(given - (want + read) / 2) <= NEAR * off
    wrong = ~same & ~at_border
    assert not wrong.any(), (given[wrong][:3], want[wrong][:3], read[wrong][:3])
    return float((~same).mean())


@TARGETS
@pytest.mark.parametrize("codec", CASES)
def test_numbers_read_back_as_the_nearest_value(codec: str, target: str) -> None:
    if (codec, target) == ("bfloat16", "triton"):
        pytest.skip("Triton's interpreter truncates where it stores bfloat16")
    given = shaped(codec, numbers(codec))
    read = stored(target)[f"{codec}|read"]
    assert read_as_defined(given, defined(codec, given), read, codec) < 0.005


@TARGETS
@pytest.mark.parametrize("codec", CASES)
def test_what_is_not_finite_stays_in_its_block(codec: str, target: str) -> None:
    """Infinity, NaN and something huge, in three blocks of seven."""
    if (codec, target) == ("bfloat16", "triton"):
        pytest.skip("Triton's interpreter truncates where it stores bfloat16")
    given = shaped(codec, broken(codec))
    with np.errstate(all="ignore"):
        want = defined(codec, given)
    read_as_defined(given, want, stored(target)[f"broken {codec}|read"], codec)


@pytest.mark.parametrize("other", ["c", "triton"])
@pytest.mark.parametrize("codec", CASES)
def test_targets_store_the_same_codes_and_scales(codec: str, other: str) -> None:
    """Bit for bit, but for codes of numbers at a border (C fuses multiply and add)."""
    if (codec, other) == ("bfloat16", "triton"):
        pytest.skip("Triton's interpreter truncates where it stores bfloat16")
    one, two = stored("torch"), stored(other)
    given = shaped(codec, numbers(codec))
    for key in one:
        if key.startswith(f"{codec}|") and not key.endswith("|read"):
            differ = one[key] != two[key]
            scale = key.split("|")[1] != "m"
            assert differ.mean() <= (0 if scale else 0.005), key
    read_as_defined(given, one[f"{codec}|read"], two[f"{codec}|read"], codec)


@TARGETS
@pytest.mark.parametrize("codec", [name for name, table in CASES.items() if table is not None])
def test_every_value_of_a_codec_is_kept(codec: str, target: str) -> None:
    """What was read back is stored as the same codes again."""
    assert np.array_equal(stored(target)[f"{codec}|m"], stored(target)[f"again {codec}|m"])


def test_half_bytes_lie_as_said() -> None:
    """Element j with j + 64 by default, neighbours with `pairs`; the first in the upper half."""
    given = np.zeros(128, np.float32)
    given[[0, 1, 64]] = 1, 0.8875, 0.6625  # codes 15, 14, 13 of the signed map, where 0 is 7
    planes = states("dynamic4(signed = true)", given, "c")["m"]
    pairs = states("dynamic4(signed = true, pairs = true)", given, "c")["m"]
    assert planes[:3].tolist() == [15 * 16 + 13, 14 * 16 + 7, 7 * 16 + 7]
    assert pairs[:2].tolist() == [15 * 16 + 14, 7 * 16 + 7]
    assert pairs[32] == 13 * 16 + 7


@pytest.mark.parametrize("target", ["torch", "c"])
def test_a_packed_state_takes_whole_blocks(target: str) -> None:
    for count, size in ((1, 64), (128, 64), (129, 128), (1000, 512)):
        given = np.ones(count, np.float32)
        assert states("linear4(signed = true)", given, target)["m"].shape == (size,)


# ---------------------------------------------------------------- signs


def test_states_that_are_never_negative_have_codes_without_a_sign() -> None:
    model = load("AdamW", quantize="dynamic8")
    assert nonnegative_states(model) == {"v"}
    last = {line.state: dict(line.options) for line in model.storage}
    assert "signed" not in last["all"]
    assert last["v"]["signed"].value is False


@pytest.mark.parametrize(
    ("value", "sign"),
    [
        ("grad^2", False), ("abs(grad)", False), ("grad * grad", False), ("grad", True),
        ("max(grad, 0)", False), ("grad^3", True), ("sqrt(grad^2) / (1 + t)", False),
        ("grad^2 - 1", True), ("lerp(s, grad^2, 0.5)", False), ("lerp(s, grad, 0.5)", True),
    ],
)  # fmt: skip
def test_signs_are_read_off_the_rule(value: str, sign: bool) -> None:
    spec = f"""
optimizer One:
    hyper lr = 1.0 in [0, inf)
    state s: like param
    update:
        direction = grad + s
        s = {value}
"""
    assert (nonnegative_states(load(spec)) == frozenset()) == sign


def test_signs_of_many_locals_are_read_off_once() -> None:
    doubled = "".join(f"        x{k} = x{k - 1} + x{k - 1}\n" for k in range(1, 60))
    spec = f"""
optimizer Many:
    hyper lr = 1.0 in [0, inf)
    state s: like param
    update:
        x0 = abs(grad)
{doubled}        s = x59
        direction = grad + s
"""
    assert nonnegative_states(load(spec)) == {"s"}


def test_a_loss_may_be_negative() -> None:
    spec = """
optimizer Lossy:
    needs loss
    hyper lr = 1.0 in [0, inf)
    state s: like param
    update:
        s = grad^2 * loss
        direction = grad + s
"""
    assert nonnegative_states(load(spec)) == set()


# ---------------------------------------------------------------- codes for zero


def warned(lines: str, below: str = "sqrt(v)") -> set[str]:
    """The warnings of a rule with such storage that divides by `below`."""
    spec = f"""
optimizer Divides:
    hyper lr = 1.0 in [0, inf)
    state m: like param
    state v: like param
{lines}
    update:
        m = lerp(m, grad, 0.1)
        v = lerp(v, grad^2, 0.1)
        x0 = {below}
{"".join(f"        x{k} = x{k - 1} * x{k - 1}" + chr(10) for k in range(1, 60))}
        direction = m / x59
"""
    return {warning.code for warning in load(spec).warnings}


@pytest.mark.parametrize(
    ("lines", "below", "codes"),
    [
        ("    quantize v: dynamic8", "sqrt(v)", {"W402"}),
        ("    quantize v: dynamic8", "sqrt(v) + 1e-8", set()),
        ("    quantize all: dynamic8", "sqrt(v)", {"W402"}),
        ("    quantize all: dynamic8\n    quantize v: none", "sqrt(v)", set()),
        ("    quantize all: dynamic8\n    quantize v: none when ndim < 2", "sqrt(v)", {"W402"}),
        ("    quantize v: dynamic8\n    quantize v: power4", "sqrt(v)", set()),
    ],
)
def test_small_values_as_zero_under_a_root(lines: str, below: str, codes: set[str]) -> None:
    assert warned(lines, below) == codes
