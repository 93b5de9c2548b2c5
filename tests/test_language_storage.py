"""Storage and rounding: once, at the end of the step, of the last value; codecs, kahan, master.

What a codec reads back as is `dsl.storage.read_back`, tested on its own in test_storage.py; here:
when it is applied, to what, and that every target stores the same bits.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from language import Array, Run, every_target, refused, rule, same

from stepc.dsl.codes import read_back
from stepc.dsl.load import load
from stepc.dsl.storage import round_to, stochastic


def values(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32).astype(np.float64)


def bf16(x: Array) -> Array:
    return torch.tensor(np.asarray(x)).to(torch.bfloat16).to(torch.float64).numpy()


# ---------------------------------------------------------------- the parameter


@every_target
def test_the_parameter_is_rounded_once(target: str) -> None:
    """Two updates of a third of a unit: rounded between, neither would move it."""
    unit = 2.0**-7  # of bfloat16 at 1
    spec = rule(f"direction = {unit / 3}", "", f"param:\n    param = param - {unit / 3}")
    run = Run(target, spec, np.ones(8), dtype="bfloat16")
    run.step(0)
    same(run.params[0], 1 - unit / 2 * round(2 * 2 / 3))
    assert float(bf16(np.array(1 - unit / 3 / 2))) == 1.0  # the lesser change alone is lost


@every_target
def test_sections_pass_unrounded_values_on(target: str) -> None:
    """decay, ending, param and after see what no bfloat16 number is."""
    spec = rule("direction = 0.001", "state seen: like param",
                "decay:\n    param *= 0.999\nafter:\n    seen = param")  # fmt: skip
    run = Run(target, spec, np.ones(4), dtype="bfloat16")
    run.step(0)
    same(run.state("seen"), 1 * 0.999 - 0.001, rtol=1e-6)
    same(run.params[0], bf16(np.array(0.998)))


@every_target
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_parameter_is_rounded_to_nearest(dtype: str, target: str) -> None:
    start, grad = round_to(values(64), dtype), round_to(values(64, 1), dtype)
    run = Run(target, rule("direction = 0.25 * grad"), start, dtype=dtype)
    run.step(grad)
    np.testing.assert_array_equal(run.params[0], round_to(start - 0.25 * grad, dtype))


# ---------------------------------------------------------------- stochastic, kahan, master


@every_target
def test_stochastic_rounding_has_the_same_bits_everywhere(target: str) -> None:
    """Each element's bits depend on seed, step, tensor and place alone."""
    spec = rule("direction = 0.125 * grad", "round param: stochastic")
    start, grad = bf16(values(70)), bf16(values(70, 1))
    run = Run(target, spec, start, start[:7].copy(), dtype="bfloat16")
    for t in (1, 2):
        before = run.params
        run.step(grad, grad[:7])
        for place, (old, new) in enumerate(zip(before, run.params, strict=True)):
            exact = old - 0.125 * grad[: len(old)]
            np.testing.assert_array_equal(new, stochastic(exact, "bfloat16", 0, t, place))


@every_target
def test_stochastic_rounding_keeps_the_mean(target: str) -> None:
    spec = rule("direction = 0.0005", "round param: stochastic")
    run = Run(target, spec, np.ones(4000), dtype="bfloat16")
    for _ in range(20):
        run.step(0)
    assert abs(run.params[0].mean() - 0.99) < 4 * 2.0**-8 * np.sqrt(20 / 4000)
    again = Run(target, spec, np.ones(4000), dtype="bfloat16")
    for _ in range(20):
        again.step(0)
    np.testing.assert_array_equal(again.params[0], run.params[0])


@every_target
def test_kahan_keeps_what_bfloat16_loses(target: str) -> None:
    """Steps of a tenth of a rounding unit, each of which alone is lost."""
    spec = rule("direction = 0.0004", "round param: kahan")
    run = Run(target, spec, np.ones(8), np.full(8, -3.0), dtype="bfloat16")
    plain = Run(target, rule("direction = 0.0004"), np.ones(8), dtype="bfloat16")
    for _ in range(100):
        run.step(0, 0)
        plain.step(0)
    same(plain.params[0], 1)
    assert abs(run.params[0][0] - 0.96) <= 2.0**-8
    assert abs(run.params[1][0] + 3.04) <= 2.0**-6


@every_target
def test_master_keeps_the_parameter_in_float32(target: str) -> None:
    """`param` reads the master copy: the product of a hundred factors, not of their roundings."""
    spec = rule("direction = 0.001 * param", "round param: master")
    start = bf16(values(16))
    run = Run(target, spec, start, dtype="bfloat16")
    for _ in range(100):
        run.step(0)
    exact = start * 0.999**100
    np.testing.assert_allclose(run.params[0], exact, rtol=2.0**-8)
    rounded = run.params[0] != bf16(exact)
    assert rounded.mean() < 0.2  # a neighbour only where the exact value is near the middle


@every_target
@pytest.mark.parametrize("how", ["stochastic", "kahan", "master"])
def test_roundings_leave_float64_parameters_alone(how: str, target: str) -> None:
    run = Run(target, rule("direction = grad / 3", f"round param: {how}"), np.ones(5))
    run.step(1)
    same(run.params[0], 1 - 1 / 3)


# ---------------------------------------------------------------- quantized states

CODECS = ("dynamic8(block = 16)", "dynamic8(block = 16, signed = false)", "dynamic8(block = 64)",
          "dynamic8")  # fmt: skip


def through(codec: str, x: Array) -> Array:
    """What values read back as."""
    name, _, options = codec.partition("(")
    given = dict(part.split(" = ") for part in options.rstrip(")").split(", ") if part)
    return read_back(x, "float64", name, {k: v == "true" if v in ("true", "false") else int(v)
                                          for k, v in given.items()})  # fmt: skip


@every_target
@pytest.mark.parametrize("codec", CODECS)
def test_a_quantized_state_is_unrounded_within_the_step(codec: str, target: str) -> None:
    """This step's direction is exact; the next one reads what storage kept."""
    spec = rule("m = m + grad\ndirection = m", f"state m: like param\nquantize m: {codec}")
    first, second = values(40), values(40, 1)
    if "false" in codec:
        first, second = abs(first), abs(second)
    run = Run(target, spec, np.zeros(40))
    run.step(first)
    same(run.params[0], -first)
    run.step(second)
    same(run.params[0], -first - (through(codec, first) + second), rtol=1e-6)


@every_target
def test_a_second_pass_does_not_reload_through_the_codec(target: str) -> None:
    """The norm of m waits for all of m; the m that it divides is the unrounded one, still."""
    spec = rule(
        "m = m / 2 + grad\ndirection = m / norm(m)",
        "state m: like param\nquantize m: dynamic8(block = 16)",
    )
    grad = values(3000)
    run = Run(target, spec, np.zeros(3000))
    run.step(grad)
    same(run.params[0], -grad / np.sqrt((grad**2).sum()), rtol=1e-10)
    kept = through("dynamic8(block = 16)", grad)
    run.step(grad)
    m = kept / 2 + grad
    same(run.params[0], -grad / np.sqrt((grad**2).sum()) - m / np.sqrt((m**2).sum()), rtol=1e-6)


@every_target
def test_blocks_of_codes_beside_values_per_row(target: str) -> None:
    """The norm's pass goes over rows, the codes' over blocks."""
    spec = rule(
        "v = v + mean(grad^2, per rows)\nm = m / 2 + grad / sqrt(v)\ndirection = m * norm(m)",
        "state v: per rows\nstate m: like param\nquantize m: dynamic8(block = 16)",
    )
    grad = values(60).reshape(3, 20)
    run = Run(target, spec, np.zeros((3, 20)))
    run.step(grad)
    first = grad / np.sqrt((grad**2).mean(1, keepdims=True))
    norm = np.sqrt((first**2).sum())
    same(run.params[0], -first * norm, rtol=1e-10)
    run.step(0)
    kept = through("dynamic8(block = 16)", first.ravel()).reshape(3, 20) / 2
    same(run.params[0], -first * norm - kept * np.sqrt((kept**2).sum()), rtol=1e-5)


@every_target
def test_quantize_all_leaves_exact_and_small_states_alone(target: str) -> None:
    """`exact`, host and per-row states; `none when`; and of several lines the last that holds."""
    spec = rule(
        """
        a += grad
        b += grad
        c += grad
        r += mean(grad, per rows)
        h += 0.1
        direction = a + 10*b + 100*c + r + h
        """,
        """
        state a: like param
        state b: like param, exact
        state c: like param
        state r: per rows
        state h: per tensor, host
        quantize all: dynamic8(block = 16)
        quantize c: none
        quantize all: none when numel < 10
        """,
    )
    big, small = values(48), values(9)
    run = Run(target, spec, np.zeros((2, 24)), np.zeros(9))
    run.step(big.reshape(2, 24), small)
    before = run.params
    run.step(0, 0)
    means = big.reshape(2, 24).mean(1, keepdims=True)
    moved = through("dynamic8(block = 16)", big) + 110 * big
    same(before[0] - run.params[0], moved.reshape(2, 24) + means + 0.2, rtol=1e-6)
    same(before[1] - run.params[1], 111 * small + small.mean() + 0.2, rtol=1e-12)


@every_target
def test_later_lines_win(target: str) -> None:
    spec = rule(
        "m += grad\ndirection = m",
        "state m: like param\nquantize m: none\nquantize all: dynamic8(block = 16)",
    )
    grad = values(40)
    run = Run(target, spec, np.zeros(40))
    run.step(grad)
    run.step(0)
    same(-run.params[0], grad + through("dynamic8(block = 16)", grad), rtol=1e-6)


@every_target
def test_storage_may_be_asked_for_from_outside(target: str) -> None:
    """`quantize=` for all states or by name, `rounding=` for the parameter."""
    spec = rule("m += grad\ndirection = m", "state m: like param")
    grad = values(40)
    run = Run(target, spec, np.zeros(40), quantize="dynamic8(block = 16)")
    run.step(grad)
    run.step(0)
    same(-run.params[0], grad + through("dynamic8(block = 16)", grad), rtol=1e-6)
    run = Run(
        target, rule("direction = 0.0005"), np.ones(900), dtype="bfloat16", rounding="stochastic"
    )
    run.step(0)
    assert set(run.params[0]) == {1.0, 1 - 2.0**-8}


@every_target
def test_an_initial_value_goes_through_the_codec_at_the_end_of_its_step(target: str) -> None:
    start, grad = values(40, 3), values(40)
    spec = rule(
        "direction = m\nm = m + 0 * grad",
        "state m: like param = param\nquantize m: dynamic8(block = 16)",
    )
    run = Run(target, spec, start)
    run.step(grad)
    same(run.params[0], start - start)
    run.step(grad)
    same(run.params[0], -through("dynamic8(block = 16)", start), rtol=1e-6)


@every_target
def test_a_guard_keeps_codes_as_they_are(target: str) -> None:
    spec = rule("m = m + grad\nguard norm(grad) < 100\ndirection = m",
                "state m: like param\nquantize m: dynamic8(block = 16)")  # fmt: skip
    grad = values(40)
    run = Run(target, spec, np.zeros(40))
    run.step(grad)
    run.step(1000)
    same(run.params[0], -grad)
    run.step(0)
    same(run.params[0], -grad - through("dynamic8(block = 16)", grad), rtol=1e-6)


@pytest.mark.parametrize("line", ["quantize v: dynamic8", "quantize b: dynamic8"])
def test_quantize_of_an_unknown_or_exact_state(line: str) -> None:
    with refused("E409"):
        load(rule("m += grad\nb += grad\ndirection = m + b",
                  f"state m: like param\nstate b: like param, exact\n{line}"))  # fmt: skip
