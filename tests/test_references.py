"""The hand-written references agree with torch and with each other where they must."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import blocks, piecewise
from reference.buggy import BUGS, Bug
from reference.catalogue import REFERENCES, composed
from reference.driver import Handwritten, Hypers, Oracle, TorchOptimizer
from reference.oracles import ORACLES, MakeOracle
from reference.scenarios import SCENARIOS, Scenario, gradients, run, start
from reference.staged_modifiers import WeightEMA
from reference.stages import Staged

SHAPES = ((70, 64), (6, 5), (9,), (4, 2, 3, 3))
ADAMW = {"lr": 1e-2, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}


def trajectory(make: MakeOracle, hypers: Hypers, steps: int = 12) -> list[torch.Tensor]:
    """The parameters after some steps on the same random gradients; one tensor starts late."""
    generator = torch.Generator().manual_seed(7)
    draw = {"generator": generator, "dtype": torch.float64}
    params = [torch.randn(shape, **draw) for shape in SHAPES]
    oracle = make(params, hypers)
    for step in range(steps):
        for index, param in enumerate(params):
            grad = torch.randn(param.shape, **draw)
            param.grad = None if index == 1 and step < 3 else grad
        oracle.step()
    return params


def assert_same(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> None:
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def handwritten_adamw(
    params: Sequence[torch.Tensor], hypers: Hypers, names: Sequence[str] = ()
) -> Handwritten:
    return Handwritten(blocks.adamw, params, dict(ADAMW), hypers, names)


def test_adamw_is_torch_s() -> None:
    assert_same(trajectory(handwritten_adamw, {}), trajectory(ORACLES["AdamW"], ADAMW))


@pytest.mark.parametrize("decoupled", [False, True])
def test_radam_is_torch_s(decoupled: bool) -> None:
    hypers = {**ADAMW, "betas": (0.9, 0.999), "decoupled_weight_decay": decoupled}
    torch_s = trajectory(ORACLES["RAdam"], hypers)
    assert_same(trajectory(ORACLES["RAdam"], {**hypers, "threshold": 5.0}), torch_s)


def test_signum_is_lion_with_equal_betas() -> None:
    lion = trajectory(ORACLES["Lion"], {"lr": 1e-3, "betas": (0.9, 0.9), "weight_decay": 0.1})
    assert_same(
        trajectory(ORACLES["Signum"], {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.1}), lion
    )


def test_lars_without_trust_is_sgd() -> None:
    """A ratio of 1 (a zero parameter) leaves SGD: the vectors of LARS take that path."""
    hypers = {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}
    lars = trajectory(ORACLES["LARS"], {**hypers, "weight_decay": 0.0})
    sgd = trajectory(ORACLES["SGD"], hypers)
    assert_same([lars[2]], [sgd[2]])


def test_lookahead_that_never_comes_changes_nothing() -> None:
    plain = trajectory(ORACLES["AdamW"], ADAMW)
    assert_same(trajectory(ORACLES["AdamW + Lookahead"], {**ADAMW, "k": 100}), plain)
    assert_same(trajectory(ORACLES["AdamW + GlobalNormClip"], {**ADAMW, "max_norm": 1e9}), plain)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (7, 7)])
def test_polar_keeps_the_singular_vectors(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a, s, b = torch.linalg.svd(x, full_matrices=False)
    y = s / s.norm()
    for _ in range(5):
        y = 3.4445 * y - 4.7750 * y**3 + 2.0315 * y**5
    torch.testing.assert_close(blocks.polar(x, 5), a * y @ b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("signed", [True, False])
def test_dynamic_map_has_the_known_values(signed: bool) -> None:
    table = blocks.dynamic_map(signed)
    assert len(table) == 256
    assert int((table == 0).nonzero()) == (127 if signed else 0)
    smallest, top = (5.5e-7, 0.99296875) if signed else (3.25e-7, 0.996484375)
    torch.testing.assert_close(table[table > 0].min().item(), smallest, rtol=1e-6, atol=0)
    torch.testing.assert_close(table[-2:].tolist(), [top, 1.0], rtol=1e-6, atol=0)


def test_dynamic8_takes_near_codes() -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    once = blocks.through_dynamic8(x, signed=True)
    assert (once - x).abs().max() <= 0.0071 * x.abs().max()
    assert blocks.through_dynamic8(torch.zeros(300, dtype=torch.float64), signed=True).norm() == 0
    assert once.unique().numel() > 200


# ---------------------------------------------------------------- wave `core`, over the scenarios

IDS = [f"{i}-{scenario.name}" for i, scenario in enumerate(SCENARIOS)]


def named(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def end(name: str, hypers: Hypers, make: MakeOracle | None = None) -> list[torch.Tensor]:
    return run(named(name), hypers, make)[0]


def test_there_is_a_scenario_for_every_row() -> None:
    assert len({scenario.row for scenario in SCENARIOS}) == 59


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_a_scenario_takes_every_branch(scenario: Scenario) -> None:
    """In at least 20 steps and with decay, if the rule has any; and the numbers stay tame."""
    assert scenario.steps >= 20
    taken: set[str] = set()
    for hypers in scenario.variants:
        assert hypers.get("weight_decay") or scenario.row == "CLASSP"  # which has none
        params, oracle = run(scenario, hypers)
        taken |= getattr(oracle, "taken", set())
        assert all(bool(torch.isfinite(p).all()) for p in params)
        assert max(float(p.abs().max()) for p in params) < 100
    assert scenario.branches <= taken


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_every_hyper_of_a_scenario_matters(scenario: Scenario) -> None:
    """Two variants of a scenario end in different places."""
    ends = [torch.cat([p.reshape(-1) for p in run(scenario, h)[0]]) for h in scenario.variants]
    if scenario.row == "WeightEMA":
        return  # read beside the weights, see below
    for i, one in enumerate(ends):
        for other in ends[:i]:
            assert float((one - other).abs().max()) > 1e-6


ENDS = Path(__file__).parent / "reference" / "ends.json"


def test_references_end_where_they_did_beside_the_libraries(request: pytest.FixtureRequest) -> None:
    """A change of a reference has to be compared again (README.md there); then `--update`."""
    found: dict[str, list[float]] = {}
    for scenario in SCENARIOS:
        runs = (run(scenario, hypers)[0] for hypers in scenario.variants)
        found[scenario.name] = found.get(scenario.name, []) + [
            sum(float((p * p).sum()) for p in params) for params in runs
        ]
    if request.config.getoption("--update"):
        ENDS.write_text(json.dumps(found, indent=1) + "\n")
    wanted = json.loads(ENDS.read_text())
    assert set(found) == set(wanted)
    for name, numbers in found.items():
        assert numbers == pytest.approx(wanted[name], rel=1e-9), name


@pytest.mark.parametrize("bug", BUGS, ids=[bug.rule.__name__ for bug in BUGS])
def test_a_known_bug_would_be_seen(bug: Bug) -> None:
    hypers = named(bug.name).variants[bug.variant]
    right, wrong = end(bug.name, hypers), end(bug.name, hypers, bug.make())
    assert max(float((a - b).abs().max()) for a, b in zip(right, wrong, strict=True)) > 1e-3


EXACT = {"lr": 1e-2, "betas": (0.7, 0.9), "eps": 0.0, "weight_decay": 0.1}  # where eps is moved
PLAIN = {**EXACT, "eps": 1e-3}


@pytest.mark.parametrize(
    ("name", "hypers", "other", "theirs"),
    [
        ("AdaMod", {**EXACT, "beta3": 0.0}, "AdamW", EXACT),
        ("AdEMAMix", {**PLAIN, "betas": (0.7, 0.9, 0.99), "alpha": 0.0}, "AdamW", PLAIN),
        ("AdamCM", {**EXACT, "topc": 0}, "AdaMomentum", EXACT),  # v is of the momentum
        ("AdamP", {**PLAIN, "delta": 0.0}, "AdamW", PLAIN),
        ("MARS", {**PLAIN, "gamma": 0.0, "clip": False, "optimize_1d": True}, "AdamW", PLAIN),
        ("SWATS", {**EXACT, "tolerance": 0.0}, "Adam", EXACT),
        (
            "Prodigy",
            {
                **EXACT,
                "d0": 1.0,
                "growth_rate": 1.0,
                "use_bias_correction": True,
                "weight_decay": 0,
            },
            "AdamW",
            {**EXACT, "weight_decay": 0},  # d stays 1
        ),
        ("LionK", {"lr": 1e-2, "weight_decay": 0.1}, "Lion", {"lr": 1e-2, "weight_decay": 0.1}),
        (
            "SGDP",
            {"lr": 1e-2, "momentum": 0.9, "delta": 0.0, "nesterov": True},
            "SGD",
            {"lr": 1e-2, "momentum": 0.9, "nesterov": True},
        ),
        ("NormalizedGD", {"lr": 0.02}, "SGD", {"lr": 0.01}),  # with a loss of 2
    ],
)
def test_without_its_novelty_a_rule_is_its_parent(
    name: str, hypers: Hypers, other: str, theirs: Hypers
) -> None:
    scenario = replace(named(name), kind="dense")
    params, mirror = (
        [torch.tensor(value, dtype=torch.float64) for value in start(scenario)] for _ in range(2)
    )
    names = [one for one, _ in scenario.shapes]
    parent = (REFERENCES | ORACLES)[other]
    one, two = scenario.make(params, hypers, names), parent(mirror, theirs, names)
    for step in range(12):
        for a, b, grad in zip(params, mirror, gradients(scenario, step), strict=True):
            a.grad = b.grad = None if grad is None else torch.tensor(grad)
        one.step(2.0)
        two.step()
    assert_same(params, mirror)


@pytest.mark.parametrize("base", ["AdamW", "Lion", "SGD", "LAMB"])
def test_a_base_without_modifiers_is_itself(base: str) -> None:
    own = {"SGD": {"momentum": 0.9, "dampening": 0.3}}.get(base, {"betas": (0.7, 0.9)})
    hypers = {"lr": 1e-2, "weight_decay": 0.1, **own}
    assert_same(end(base, hypers, composed(base)), end(base, hypers))


def test_the_two_forms_of_muon_agree() -> None:
    muon = "MuonMatrix + Cautious"
    hypers = named(muon).variants[0]
    assert_same(end(muon, hypers, composed("MuonMatrix")), end(muon, hypers, ORACLES["MuonMatrix"]))


@pytest.mark.parametrize("row", ["Cautious", "Lookahead", "GlobalNormClip"])
def test_the_two_references_of_a_modifier_agree(row: str) -> None:
    hypers = {**PLAIN, **{"Cautious": {"floor": 0.9}, "Lookahead": {"k": 3}}.get(row, {})}
    name = f"AdamW + {row}"
    assert_same(end(name, hypers, ORACLES[name]), end(name, hypers))


def test_modifiers_make_known_optimizers() -> None:
    """AdamW with them is LAMB, StableAdamW or MARS, where decay is left out."""
    still = {**PLAIN, "weight_decay": 0.0}
    assert_same(end("LAMB", still, composed("AdamW", "TrustRatio")), end("LAMB", still))
    by_gradient = composed("AdamW", "UpdateClip")
    assert_same(
        end("StableAdamW", {**still, "measure": "gradient"}, by_gradient), end("StableAdamW", still)
    )
    corrected = {**PLAIN, "gamma": 0.1}
    assert_same(
        end("MARS", corrected, composed("AdamW", "VarianceReduction")),
        end("MARS", {**corrected, "optimize_1d": True}),
    )
    never = {**PLAIN, "interval": 100, "theta": 0.8, "gamma1": 0.7, "gamma2": 0.9}
    spikes = {key: value for key, value in never.items() if key != "interval"} | {"norm_eps": 1e-3}
    assert_same(end("StableSPAM", spikes, composed("AdamW", "SpikeClip")), end("StableSPAM", never))


@pytest.mark.parametrize("hypers", [{"lr": 0.3}, {"lr": 0.05, "eps": (1e-30, 2.0), "d": 2.0}])
def test_adafactor_is_torch_s(hypers: Hypers) -> None:
    """Whose eps1 is a floor, not an addend: here neither is felt."""
    given = {"weight_decay": 0.1, "eps": (1e-30, 1e-3), **hypers}

    def torch_s(params: Sequence[torch.Tensor], own: Hypers, names: Sequence[str] = ()) -> Oracle:
        return TorchOptimizer(torch.optim.Adafactor(list(params), **own))

    assert_same(end("Adafactor", given, torch_s), end("Adafactor", given))


@pytest.mark.parametrize("copy_first", [True, False])
def test_weight_ema_is_an_average(copy_first: bool) -> None:
    """torch's AveragedModel, or the plain weighted mean of what the weights were."""
    scenario, seen = named("AdamW + WeightEMA"), list[torch.Tensor]()
    hypers = {**PLAIN, "ema": 0.9, "copy_first": copy_first}
    _, oracle = run(scenario, hypers, watch=lambda _, params: seen.append(params[0].clone()))
    assert isinstance(oracle, Staged) and isinstance(oracle.modifiers[0], WeightEMA)
    average = oracle.modifiers[0].average(oracle.tensors[0])
    if copy_first:
        module = torch.nn.ParameterList([torch.nn.Parameter(seen[0].clone())])
        ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
        model = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=ema)
        for value in seen:
            module[0].data.copy_(value)
            model.update_parameters(module)
        torch.testing.assert_close(average, model.module[0].detach(), rtol=1e-12, atol=0)
    else:
        weights = torch.tensor([0.9**i for i in range(len(seen))][::-1], dtype=torch.float64)
        mean = (weights[:, None, None] * torch.stack(seen)).sum(0) / weights.sum()
        torch.testing.assert_close(average, mean, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["AdmetaR", "AdmetaS"])
def test_admeta_s_first_gain_is_sixteen(name: str) -> None:
    """h = 16 g at t = 1, whatever lamda: with beta 0, AdmetaS moves by 16 lr g."""
    g = torch.tensor([0.3, -2.0], dtype=torch.float64)
    param = torch.zeros(2, dtype=torch.float64)
    param.grad = g
    own: Hypers = {"betas": (0.0, 0.0)} if name == "AdmetaR" else {"beta": 0.0}
    REFERENCES[name]([param], {"lr": 0.1, "lamda": 0.37, **own}, []).step()
    wanted = -1.6 * g if name == "AdmetaS" else -0.1 * torch.sign(g)
    torch.testing.assert_close(param, wanted, rtol=1e-6, atol=0)


def test_admeta_s_second_moment_sees_sixteen_times_the_gradient() -> None:
    param = torch.zeros(2, dtype=torch.float64)
    param.grad = torch.tensor([0.3, -2.0], dtype=torch.float64)
    oracle = REFERENCES["AdmetaR"]([param], {"lr": 0.1, "betas": (0.0, 0.0)}, [])
    oracle.step()
    assert isinstance(oracle, Handwritten)
    torch.testing.assert_close(oracle.tensors[0].state["m"], 16 * param.grad)


@pytest.mark.parametrize("name", ["AdamHyper", "AdamW + SphereProjection"])
def test_a_matrix_stays_on_its_sphere(name: str) -> None:
    scenario = named(name)
    for (_, shape), before, after in zip(
        scenario.shapes, start(scenario), end(name, PLAIN), strict=True
    ):
        if len(shape) == 2 and shape != (30, 16):  # AdamHyper leaves the embedding alone
            assert abs(float(after.norm()) / np.linalg.norm(before) - 1) < 1e-12


def test_piecewise_arithmetic_is_integer_arithmetic_on_the_bits() -> None:
    chance = np.random.default_rng(3)
    a, b = np.exp(chance.standard_normal((2, 2000)) * 5)
    one = np.float64(1).view(np.int64)
    x, y = torch.tensor(a), torch.tensor(b)
    bits = a.view(np.int64), b.view(np.int64)
    for found, integers in (
        (piecewise.times(x, y), bits[0] + bits[1] - one),
        (piecewise.over(x, y), bits[0] - bits[1] + one),
        (piecewise.root(x), (bits[0] - one) // 2 + one),
    ):
        torch.testing.assert_close(
            found, torch.tensor(integers.view(np.float64)), rtol=1e-14, atol=0
        )
    assert piecewise.times(-2.0, 0.75) == -1.5
    assert piecewise.times(3.0, 3.0) == 8.0  # 2^(1.5 + 1.5)
    assert piecewise.times(0.0, 3.0) == 0 and piecewise.root(torch.tensor(0.0)) == 0
