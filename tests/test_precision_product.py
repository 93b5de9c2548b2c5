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
from naive_codes import Layout
from stepping_codes import copy, layouts
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
    """Two steps of bfloat16 parameters, each from the definition's parameters and states. They must
    be the interpreter's to the bit, but for

    2 %     the next number: products of bfloat16 numbers are often half a place
    0.1 %   another: a rule takes the sign of what is 0 but for rounding (0.9 m + 0.1 g)
    """
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
    for step in range(STEPS):
        grads = [torch.tensor(chance.standard_normal(s)).bfloat16() for s in shapes.values()]
        before = [tensor.value.copy() for tensor in tensors]
        for param, grad in zip(params.values(), grads, strict=True):
            param.grad = grad
        with use_target(target):
            optimizer.step(loss=2.0 - step / 4)
        interpreter.step([grad.double().numpy() for grad in grads], loss=2.0 - step / 4)
        for tensor, param, old in zip(tensors, params.values(), before, strict=True):
            got, moved = param.detach().double().numpy(), np.abs(tensor.value - old)
            assert got.shape == moved.shape
            largest = float(moved[np.isfinite(moved)].max(initial=0))
            for share, places in ((0.02, 0), (0.001, 1)):  # of elements, of bfloat16
                bound = 1e-3 * largest + places * 2.0**-7 * np.abs(tensor.value)
                off = ~(np.abs(got - tensor.value) <= bound)
                off &= np.isfinite(got) | np.isfinite(tensor.value)
                assert off.mean() <= share, f"{step}, {tensor.name}: {off.mean():.2%} of elements"
        give(optimizer, list(params.values()), interpreter, layouts(model))


def give(
    optimizer: Any, params: list[Parameter], interpreter: Interpreter, coded: dict[str, Layout]
) -> None:
    """Put the interpreter's parameters and states into an optimizer; all of them. Raises
    AssertionError where a code that is replaced is not a neighbour of the definition's."""
    for k, (tensor, param) in enumerate(zip(interpreter.tensors, params, strict=True)):
        state = optimizer.state[param]
        left = {name for name, value in state.items() if isinstance(value, torch.Tensor)}
        for name, value in interpreter.states[k].items():
            own = name.removeprefix("param.")  # `param.master`
            if own in coded:
                exact = np.asarray(interpreter._own[k].present[name].data)
                wanted = coded[own].store(exact, (1, *tensor.value.shape)[-1])
                streams = {own + suffix: codes for suffix, codes in wanted.items()}
                found = {suffix: state[own + suffix] for suffix in wanted}
                assert _places_off(coded[own], exact.size, wanted, found) <= 1, own
            else:
                streams = {own: np.asarray(value)} if own in left else {}
            for stream, numbers in streams.items():
                copy(state[stream], numbers)
                left.remove(stream)
        assert not left, left
        copy(param.data, tensor.value)
    shared = interpreter.global_states | interpreter.group_states[0]
    for name, value in shared.items():
        if isinstance(optimizer.param_groups[0].get(name), torch.Tensor):
            copy(optimizer.param_groups[0][name], np.asarray(value))


def _places_off(
    layout: Layout, size: int, wanted: dict[str, Any], found: dict[str, torch.Tensor]
) -> int:
    """By how many places the code of any element is another than the definition's."""
    if layout.plain:
        return 0
    here = {
        suffix: (t if t.dtype == torch.uint8 else t.double()).reshape(-1).numpy()
        for suffix, t in found.items()
    }
    there = {suffix: np.asarray(codes).reshape(-1) for suffix, codes in wanted.items()}
    return int(np.abs(layout.places(here, size) - layout.places(there, size)).max(initial=0))


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


def test_bits_are_checked_before_anything_runs() -> None:
    """The interpreter is given a model that has been checked; so are hypers as numbers of bits."""
    with pytest.raises(SpecError, match="E514"):
        load("AdamW", rounding="master(bits = 12)")
    with pytest.raises(SpecError, match="`bits` is written as a number"):
        load("AdamW", rounding="master(bits = ndim)")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"quantize": 3}, r"quantize = 3; it is a codec \(\"dynamic8\"\), or one for each state"),
        ({"quantize": ["m"]}, r"quantize = \['m'\]; it is a codec"),
        ({"quantize": {"m": 8}}, r"quantize = {'m': 8}; it is a codec"),
        ({"quantize": {3: "none"}}, r"quantize = {3: 'none'}; it is a codec"),
        ({"rounding": 8}, "rounding = 8; it is a text, one of nearest, stochastic, kahan, master"),
    ],
)
def test_what_is_no_text_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        stepc.compile("AdamW", **asked)
