"""Modifiers on optimizers: their meaning in every target, their order, and what they cost.

Pairs and triples are drawn at random from all that ship; `--programs N` asks for more (N / 20 are
run in each target). Triton's kernels run in its interpreter, in a process of its own: this file is
also a script.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
import torch
from side_by_side import Given, agree
from torch.nn import Parameter

import stepc.generated
from stepc.cli.explain import order
from stepc.cli.modifiers import DOCS, bases, page, row
from stepc.compiler.pipeline import plan
from stepc.compiler.plan import Plan
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.levels import Level
from stepc.dsl.library import catalogue
from stepc.dsl.load import load
from stepc.runtime import use_target

BASES = (
    "AdamW", "Lion", "SGD(momentum = 0.9, weight_decay = 0.1)", "Adam", "RMSprop", "NAdam", "LAMB",
    "Adagrad", "AMSGrad", "ADOPT", "AdamMini(num_heads = 1)", "StableAdamW", "LARS", "Muon",
    "AdamW8bit", "SignSGD", "Adafactor", "AdamP", "AdEMAMix", "SPAM", "LaProp",
)  # fmt: skip
SHORT = {
    "Lookahead": "Lookahead(k = 2)",
    "MomentumReset": "MomentumReset(period = 3, warmup = 2)",
    "VarianceReduction": "VarianceReduction(first_step = plain)",
    "ElasticAnchor": "ElasticAnchor(strength = 0.5, anchor_beta = 0.5)",
    "WeightEMA": "WeightEMA(decay = 0.5)",
    "GlobalNormClip": "GlobalNormClip(max_norm = 0.5)",
    "NormLoss": "NormLoss(rho = 0.5)",
}
"""With numbers that take every branch within a few steps."""

MODIFIERS = tuple(entry.name for entry in catalogue() if entry.kind == "modifier")
NAMED = (
    "AdamW + Cautious",
    "Lion + Cautious(normaliser = count)",
    "Muon + Cautious",
    "AdamW + Lookahead(k = 2) + GradientCentralization + AdaptiveGradientClipping",
    "AdamW8bit + Cautious",
    "AdamW + SpikeClip + MomentumReset(period = 3, warmup = 2)",
    "AdamW + VarianceReduction + ElasticAnchor(strength = 0.5) + WeightEMA(decay = 0.5)",
    "AdamW + NormLoss(rho = 0.5) + CautiousDecay + TrustRatio + SphereProjection",
    "AdamW + ValueClip(form = largest) + UpdateClip + SurpriseClip",
    "AdamW + GlobalNormClip(max_norm = 0.5) + PiecewiseAffine",
)
GIVENS = (
    Given("a", ()),
    Given("b", (7,), joins=1),
    Given("c", (6, 5)),
    Given("d", (3, 4, 2), misses=(2,)),
)
FEW = (Given("b", (5,)), Given("c", (4, 3)))  # Triton's interpreter is slow


# ---------------------------------------------------------------- every target, what is drawn


def draws(count: int, seed: int) -> Iterator[str]:
    """Compositions of one optimizer and one or two modifiers that fit it."""
    chance = random.Random(seed)
    while count:
        parts = [SHORT.get(name, name) for name in chance.sample(MODIFIERS, chance.choice((1, 2)))]
        what = " + ".join([chance.choice(BASES), *parts])
        if fits(what):
            count -= 1
            yield what


def run_programs(target: str, count: int, seed: int = 0) -> None:
    givens, steps = (FEW, 3) if target == "triton" else (GIVENS, 5)
    for what in draws(count, seed):
        compare(what, target, givens, steps)


def compare(what: str, target: str, givens: tuple[Given, ...] = GIVENS, steps: int = 5) -> None:
    try:
        agree(what, givens, target, steps=steps, loose=64)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None


def fits(what: str) -> bool:
    """Whether every modifier has what it needs."""
    try:
        return not load(what).unsupported
    except SpecError:
        return False


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> int:
    return max(request.config.getoption("--programs") // 20, 1)


@pytest.mark.parametrize("target", ["torch", "c"])
def test_random_compositions_agree(target: str, programs: int) -> None:
    run_programs(target, programs if target == "torch" else programs // 2, seed=len(target))


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("what", NAMED)
def test_named_compositions_agree(what: str, target: str) -> None:
    large = (Given("c", (70, 61), "float32"),)  # above 4096: quantized states
    compare(what, target, large if "8bit" in what else GIVENS)


def test_compositions_agree_in_triton_s_interpreter(programs: int) -> None:
    count = max(programs // 4, 1)
    ran = subprocess.run(
        [sys.executable, __file__, str(count)],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == f"{count} agree", ran.stderr[-4000:]


# ---------------------------------------------------------------- how many passes


def most_passes(base: str, modifiers: Sequence[str]) -> int:
    """How many passes `base` with `modifiers` may take.

    What the rule needs alone; for each modifier what it adds to AdamW, which needs one pass (these
    are its own barriers: reductions over a tensor or over all); and one for each kind of cells (a
    row, a block of a codec) beyond the first, for a pass walks over the cells of one kind. If the
    rule alone has several kinds, that is in its own number already.
    """
    alone = [f"AdamW + {modifier}" for modifier in modifiers]
    barriers = sum(passes(what) - passes("AdamW") for what in alone)
    kinds = set(cells(base)).union(*map(cells, alone))
    return passes(base) + barriers + len(kinds) - max(len(cells(base)), min(len(kinds), 1))


@cache
def plans(what: str) -> tuple[Plan, ...]:
    return plan(load(what))[1]


def passes(what: str) -> int:
    """The passes of the path that needs most."""
    return max(len(path.sweeps) for path in plans(what))


def cells(what: str) -> frozenset[Level]:
    found = (sweep.cell for path in plans(what) for sweep in path.sweeps)
    return frozenset(cell for cell in found if cell is not None)


def test_no_more_passes_than_the_barriers_force(programs: int) -> None:
    for what in (*draws(programs, seed=9), *NAMED):
        base, *modifiers = what.split(" + ")
        assert passes(what) <= most_passes(base, modifiers), what


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("AdamW + GradientCentralization + AdaptiveGradientClipping + NormLoss + Lookahead", 1),
        ("AdamW + Cautious", 2),
        ("AdamW + TrustRatio + SphereProjection", 2),  # the second norm from sums of the first pass
        ("AdamW + GlobalNormClip + Cautious", 3),
        ("AdamW8bit + GradientCentralization", 2),  # rows, then blocks of 256
    ],
)
def test_passes(what: str, count: int) -> None:
    assert passes(what) == count
    base, *modifiers = what.split(" + ")
    assert count <= most_passes(base, modifiers)


# ---------------------------------------------------------------- piecewise affine


AFFINE = """
optimizer Base:
    hyper lr = 1 in [0, inf)
    update:
        direction = %s

optimizer Both extends Base + PiecewiseAffine
"""
ONE = 0x3F800000


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("rule", ["param * grad", "grad / param", "sqrt(abs(grad))"])
def test_affine_arithmetic_is_that_of_integers(rule: str, target: str) -> None:
    """What adding and subtracting the bits of float32 numbers gives, to the bit; and halving."""
    chance = np.random.default_rng(5)
    sizes = np.exp2(chance.uniform(-30, 30, (2, 999)))
    p, g = (sizes * chance.choice((-1, 1), (2, 999))).astype(np.float32)
    g[:3] = 0, 1, -4
    p_bits, g_bits = (np.abs(x).view(np.int32).astype(np.int64) for x in (p, g))
    found, minus = {
        "param * grad": (p_bits + g_bits - ONE, p * g < 0),
        "grad / param": (g_bits - p_bits + ONE, g / p < 0),
        "sqrt(abs(grad))": ((g_bits + ONE) >> 1, np.zeros(999, bool)),
    }[rule]
    size = np.where(g == 0, 0, found).astype(np.int32).view(np.float32)
    before = np.zeros(999, np.float32) if rule == "sqrt(abs(grad))" else p
    param = Parameter(torch.tensor(before))
    param.grad = torch.tensor(g)
    with use_target(target):
        stepc.compile(AFFINE % rule)([param]).step()
    expected = before - np.where(minus, -size, size)
    np.testing.assert_array_equal(param.detach().numpy(), expected)


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("count", [7, 999])
def test_affine_arithmetic_is_exact_at_the_edges(target: str, count: int) -> None:
    """Zeros, infinities, NaN and tiny and huge results, alone among usual numbers."""
    chance = np.random.default_rng(6)
    p, g = chance.uniform(1, 2, (2, count)).astype(np.float32)
    edges = {0: 0.0, 2: np.inf, 3: -np.inf, 4: np.nan, count - 2: 3e38, count - 1: 1e-38}
    for k, edge in edges.items():
        g[k] = edge
    p[[count - 2, count - 1]] = 100, 0.01  # too large for float32, and subnormal
    usual = ~np.isin(np.arange(count), list(edges))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = p * g
        affine = (p.view(np.int32).astype(np.int64) + g.view(np.int32) - ONE).astype(np.int32)
        expected = np.where(usual, affine.view(np.float32), exact)
        assert (expected != exact)[usual].any()
        param = Parameter(torch.tensor(p))
        param.grad = torch.tensor(g)
        with use_target(target):
            stepc.compile(AFFINE % "param * grad")([param]).step()
        np.testing.assert_array_equal(param.detach().numpy(), p - expected)


@pytest.mark.parametrize("target", ["torch", "c"])
def test_a_chain_of_affine_operations_is_a_sum_of_integers(target: str) -> None:
    """Where the next takes it, a value that the spec names is a link and no number."""
    rule = "grad / (2 * sqrt(grad * grad)) * 3\n        direction = 5 * direction"
    chance = np.random.default_rng(7)
    g = (np.exp2(chance.uniform(-20, 20, 999)) * chance.choice((-1, 1), 999)).astype(np.float32)
    g[:2] = 0, np.inf
    size = np.abs(g).view(np.int32).astype(np.int64)
    two, three, five = (int(np.float32(x).view(np.int32)) for x in (2, 3, 5))
    root = (2 * size - ONE + ONE) >> 1
    found = size - (two + root - ONE) + ONE + three - ONE + five - ONE
    expected = np.copysign(found.astype(np.int32).view(np.float32), g)
    expected[:2] = np.nan
    param = Parameter(torch.zeros(999))
    param.grad = torch.tensor(g)
    both = stepc.compile(AFFINE % rule)
    with use_target(target):
        both([param]).step()
    np.testing.assert_array_equal(param.detach().numpy(), -expected)
    assert both.c_source.count("VALUE_OF(AFFINE_") == 1


# ---------------------------------------------------------------- order


def test_the_order_is_shown() -> None:
    (line,) = order(load("AdamW + NormLoss + CautiousDecay + Cautious + GradientCentralization"))
    assert "grad: GradientCentralization  ->  update: AdamW" in line
    assert "direction: CautiousDecay, Cautious" in line
    assert "decay: AdamW, NormLoss, CautiousDecay" in line
    assert not order(load("AdamW"))


def test_order_matters_within_a_section() -> None:
    """Clip the centred gradient, or centre the clipped one."""
    results = [
        agree(f"SGD + {first} + {second}", (Given("weight", (3, 4)),), "torch", steps=1)
        for first, second in (
            ("GradientCentralization", "ValueClip(limit = 0.1)"),
            ("ValueClip(limit = 0.1)", "GradientCentralization"),
        )
    ]
    left, right = (result.param_groups[0]["params"][0] for result in results)
    assert not left.allclose(right)


@pytest.mark.parametrize("target", ["torch", "c"])
def test_a_spike_of_tiny_gradients_is_cut_to_the_usual_peak(target: str) -> None:
    """The product of two of them would be no float32."""
    param = Parameter(torch.ones(4))
    with use_target(target):
        optimizer = stepc.generated.SpikeClipAdamW([param])
        for spike in (1.0, 2.0):
            param.grad = torch.tensor([1.0, 1.0, 1.0, spike]) * 1e-25
            optimizer.step()
    usual = (1 - 0.999) * (0.999 * 1 + 2) / (1 - 0.999**2)  # the corrected mean of 1 and 2
    expected = (1 - 0.9) * (0.9 * 1 + usual) * 1e-25
    assert optimizer.state[param]["m"][3].item() == pytest.approx(expected, rel=1e-4, abs=0)


# ---------------------------------------------------------------- what does not go together


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("Adam + CautiousDecay", "`CautiousDecay` needs `decay:`"),
        ("SignSGD + MomentumReset", "no state of the rule that `MomentumReset` could reset"),
        ("Lion + SurpriseClip", "`SurpriseClip` needs `v`"),
        ("SGD + VarianceReduction", "`VarianceReduction` needs `beta1`"),
        ("AdamW + Lookahead(k = 0)", "outside [1, inf)"),
        ("AdamW + Cautious(floor = 2)", "outside (0, 1]"),
        ("AdamW + Cautious(normaliser = neither)", "one of share, count"),
        ("Cautious + AdamW", "a composition begins with an optimizer"),
    ],
)
def test_a_modifier_that_cannot_apply_says_why(what: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)) as refused:
        load(what)
    assert "^^^" in str(refused.value)


def test_decay_of_another_modifier_is_decay() -> None:
    assert load("Adam + NormLoss + CautiousDecay").sections
    with pytest.raises(SpecError):
        load("Adam + CautiousDecay + NormLoss")


SPEC = """
modifier Scaled(k = 5 in [1, 9], form = one_of(plain, double), square = false, must in (0, 1]):
    direction:
        when not square:
            direction *= must * (k if form == plain else 2 * k)

optimizer Base:
    hyper lr = 1 in [0, inf)
    update:
        direction = grad

optimizer Both extends Base + Scaled(must = 0.5%s)
"""


def test_a_modifier_s_hypers_have_intervals_and_types() -> None:
    hypers = {hyper.name: hyper for hyper in load(SPEC % "").hypers}
    assert str(hypers["k"].bounds) == "[1, 9]" and str(hypers["must"].bounds) == "(0, 1]"
    assert hypers["form"].choices == ("plain", "double") and hypers["square"].type == "bool"
    optimizer = stepc.compile(SPEC % ", k = 2")
    with pytest.raises(ValueError, match=re.escape("k = 10 is outside [1, 9]")):
        optimizer([torch.zeros(3, requires_grad=True)], k=10)
    with pytest.raises(SpecError, match=re.escape("is 0, outside [1, 9]")):
        load(SPEC % ", k = 0")


# ---------------------------------------------------------------- what ships


def test_every_modifier_has_a_prebuilt_class() -> None:
    """In specs/compositions.opt, named after the modifier and the optimizer."""
    lineages = [load(entry.name).lineage for entry in catalogue() if entry.kind == "optimizer"]
    shipped = {name for lineage in lineages for name in lineage}
    assert shipped >= set(MODIFIERS)
    for entry in catalogue():
        if entry.path.stem == "compositions":
            model = load(entry.name)
            *bases, modifier, own = model.lineage
            assert own == entry.name in {modifier + base for base in bases}
            assert hasattr(stepc.generated, entry.name)


def test_the_page_is_fresh() -> None:
    """docs/modifiers.md: two rows of the matrix are worked out again, all others only named."""
    text = DOCS.read_text(encoding="utf-8")
    lines = text[text.index("| | alone |") :].splitlines()
    assert page(lines) == text
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in bases()]
    for name in ("AdamW", "Lion"):
        assert row(name) in lines, "run `stepc modifiers --all -o docs/modifiers.md`"


if __name__ == "__main__":
    run_programs("triton", int(sys.argv[1]), seed=6)
    for named in NAMED[:4]:
        compare(named, "triton", FEW, 3)
    print(f"{sys.argv[1]} agree")
