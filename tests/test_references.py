"""The hand-written references agree with torch and with each other where they must."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from reference import blocks
from reference.driver import Handwritten, Hypers
from reference.oracles import ORACLES, MakeOracle

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
