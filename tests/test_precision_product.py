"""Storage is a free axis: every prebuilt optimizer with every codec of its states and every
rounding of its parameters, compiled, and two steps of it beside the interpreter.
By default each optimizer has one pair, so that between them they have every pair, and a tenth of
them also runs in C; `pytest tests/test_precision_product.py --product` runs them all in torch.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from test_targets import hypers_of, takes
from torch.nn import Parameter

import stepc
import stepc.generated
from stepc.cli import main
from stepc.dsl.codecs import CODECS
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.runtime import use_target

ROUNDINGS = ("nearest", "stochastic", "kahan", "master", "master(bits = 8)", "master(bits = 16)")
PAIRS = tuple(product(CODECS, ROUNDINGS))
OPTIMIZERS = tuple(stepc.generated.__all__)
ROTATION = [(name, *PAIRS[place % len(PAIRS)]) for place, name in enumerate(OPTIMIZERS)]
WHOLE = [(name, *pair) for name in OPTIMIZERS for pair in PAIRS]
# A matrix whose last block is partial, a vector and a scalar.
SHAPES: dict[str, tuple[int, ...]] = {"mlp.weight": (71, 59), "bias": (33,), "scale": ()}
STEPS = 2
pytestmark = pytest.mark.filterwarnings("ignore")  # of codecs that do not suit a state


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--product")
        cases = WHOLE if whole else ROTATION
        ids = [f"{name}-{codec}-{how}" for name, codec, how in cases]
        metafunc.parametrize("pair", cases, ids=ids)


def check(name: str, codec: str, how: str, target: str) -> None:
    """Two steps of bfloat16 parameters: the interpreter's to the bit, but for those (at most 5 %)
    that lie at a border, and (1 %) where a code did."""
    cls: Any = stepc.compile(name, quantize=codec, rounding=how)
    prebuilt = getattr(stepc.generated, name)
    hypers = hypers_of(prebuilt) | {"lr": 0.3}  # so that a step is many places of bfloat16
    chance = np.random.default_rng(5)
    shapes = {label: shape for label, shape in SHAPES.items() if takes(prebuilt, shape)}
    start = {n: torch.tensor(chance.standard_normal(s)).bfloat16() for n, s in shapes.items()}
    params = {n: Parameter(value.clone()) for n, value in start.items()}
    tensors = [Tensor(n, value.double().numpy(), "bfloat16") for n, value in start.items()]
    model = load(name, quantize=codec, rounding=how)
    interpreter = Interpreter(model, tensors, [dict(hypers)])
    optimizer = cls(params.items(), **hypers)
    with use_target(target):
        for step in range(STEPS):
            grads = [torch.tensor(chance.standard_normal(s)).bfloat16() for s in shapes.values()]
            for param, grad in zip(params.values(), grads, strict=True):
                param.grad = grad
            optimizer.step(loss=2.0 - step / 4)
            interpreter.step([grad.double().numpy() for grad in grads], loss=2.0 - step / 4)
    for tensor, param in zip(tensors, params.values(), strict=True):
        got, before = param.detach().double().numpy(), start[tensor.name].double().numpy()
        moved = np.abs(tensor.value - before)
        assert got.shape == moved.shape
        largest = float(moved[np.isfinite(moved)].max(initial=0))
        matrix = 0.1 if "Muon" in name else 0.05  # a product of matrices rounds more
        for share, places in ((matrix, 0), (0.01, 1)):  # of elements, of bfloat16
            bound = 1e-3 * largest + places * 2.0**-7 * np.abs(tensor.value)
            off = ~(np.abs(got - tensor.value) <= bound)
            off &= np.isfinite(got) | np.isfinite(tensor.value)
            assert off.mean() <= share, f"{tensor.name}: {off.mean():.2%} of elements"


def test_every_pair_and_every_optimizer_occurs() -> None:
    assert {(codec, how) for _, codec, how in ROTATION} == set(PAIRS)
    assert [name for name, _, _ in ROTATION] == list(OPTIMIZERS)


def test_a_prebuilt_optimizer_takes_any_codec_and_rounding(pair: tuple[str, str, str]) -> None:
    check(*pair, "torch")


@pytest.mark.parametrize("how", ROUNDINGS)
def test_a_rule_that_routes_takes_any_rounding(how: str) -> None:
    """Muon's branches are rules of their own, each with the rounding that was asked for."""
    check("Muon", "dynamic8", how, "torch")


@pytest.mark.parametrize("pair_in_c", ROTATION[::9], ids=lambda pair: "-".join(pair))
def test_in_c_too(pair_in_c: tuple[str, str, str]) -> None:
    check(*pair_in_c, "c")


def test_the_command_line_asks_for_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """`stepc compile NAME --quantize CODEC --rounding HOW` prints the module that Python gets."""
    given = ["compile", "Lion", "--quantize", "linear8", "--rounding", "master(bits = 8)"]
    assert main(given) == 0
    text = capsys.readouterr().out
    cls = stepc.compile("Lion", quantize="linear8", rounding="master(bits = 8)")
    assert f"class {cls.__name__}(" in text and cls.c_source in text


@pytest.mark.parametrize(
    ("what", "asked", "said"),
    [
        ("AdamW", {"quantize": "dynamic9"}, "there is no codec `dynamic9`"),
        ("AdamW", {"quantize": "dynamic8(blok = 3)"}, "`dynamic8` has no option `blok`"),
        ("AdamW", {"quantize": "dynamic8(block = 0)"}, "a whole number from 1 on"),
        ("AdamW", {"quantize": "linear4(block = 48)"}, "a power of two, from 2 to 4096"),
        ("AdamW", {"quantize": "linear8(signed = 2)"}, "`signed` is true or false"),
        ("AdamW", {"quantize": "linear4(asymmetric = true, rank1 = true)"}, "have no scale"),
        ("AdamW", {"quantize": {"w": "dynamic8"}}, "there is no state `w`"),
        ("ADOPT", {"quantize": {"v": "dynamic8"}}, "the state `v` is exact"),
        ("Adafactor", {"quantize": {"r": "dynamic8"}}, "one value per row"),
        ("AdamW", {"rounding": "up"}, "there is no rounding `up`"),
        ("AdamW", {"rounding": "master(bits = 12)"}, "master(bits = 12) does not exist"),
        ("AdamW", {"rounding": "kahan(bits = 8)"}, "`kahan` has no option `bits`"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong(what: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("(", r"\(").replace(")", r"\)")):
        stepc.compile(what, **asked)
