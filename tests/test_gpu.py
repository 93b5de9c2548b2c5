"""On a GPU: the Triton kernels against the torch form. `make bench-gpu` runs this too, so it needs
nothing but torch, triton and pytest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from stepc import generated
from stepc.runtime import CompiledOptimizer, use_target

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

DEVICE = "cuda"
SHAPES = ((300, 257), (8, 1024), (1000,), (1,), (64, 3, 5, 5), (129, 512))
STEPS = 4


def shapes_for(name: str) -> Sequence[tuple[int, ...]]:
    return [s for s in SHAPES if len(s) >= 2] if name == "MuonMatrix" else SHAPES


def params_of(name: str, dtype: torch.dtype, offset: int = 0) -> list[Tensor]:
    """The same numbers every time; `offset` elements from where memory is aligned."""
    random = torch.Generator().manual_seed(1)
    made: list[Tensor] = []
    for shape in shapes_for(name):
        numbers = torch.randn(shape, generator=random).to(DEVICE, dtype)
        place = torch.empty(numbers.numel() + offset, dtype=dtype, device=DEVICE)[offset:]
        made.append(place.view(shape).copy_(numbers).requires_grad_())
    return made


def optimizer(name: str, params: Sequence[Tensor], **given: object) -> CompiledOptimizer:
    cls = getattr(generated, name)
    required = {hyper.name: 1 for hyper in cls.hypers if hyper.required}
    named = [(f"layers.{k}.weight", param) for k, param in enumerate(params)]
    return cls(named, **required, **given)


def train(opt: CompiledOptimizer, params: Sequence[Tensor]) -> list[Tensor]:
    random = torch.Generator().manual_seed(2)
    for _ in range(STEPS):
        for param in params:
            param.grad = torch.randn(param.shape, generator=random).to(DEVICE, param.dtype)
        opt.step()
    return [param.detach().double().cpu() for param in params]


def trained(name: str, dtype: torch.dtype, target: str, offset: int = 0) -> list[Tensor]:
    params = params_of(name, dtype, offset)
    with use_target(target):
        return train(optimizer(name, params), params)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", generated.__all__)
def test_triton_computes_what_torch_does(name: str, dtype: torch.dtype) -> None:
    """A sign or a code at its edge may fall either way: one value in 200, by less than a step."""
    before = [param.detach().double().cpu() for param in params_of(name, dtype)]
    for start, a, b in zip(
        before, trained(name, dtype, "triton"), trained(name, dtype, "torch"), strict=True
    ):
        step = (b - start).abs().max()
        off = (a - b).abs()
        roundings = 16 * torch.finfo(dtype).eps * b.abs()
        astray = off > roundings + 1e-4 * step
        assert astray.float().mean() <= 0.005, (name, b.shape, off.max(), step)
        assert off.max() <= 2 * step + roundings.max(), (name, b.shape)


@pytest.mark.parametrize("name", ["AdamW", "LAMB", "AdamW8bit"])
def test_alignment_changes_nothing(name: str) -> None:
    for a, b in zip(
        trained(name, torch.float32, "triton"),
        trained(name, torch.float32, "triton", offset=1),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", generated.__all__)
def test_two_runs_give_the_same_bits(name: str) -> None:
    if name.startswith("Muon"):
        pytest.skip("its products are the matrix library's, which promises no order of sums")
    for a, b in zip(
        trained(name, torch.float32, "triton"), trained(name, torch.float32, "triton"), strict=True
    ):
        assert torch.equal(a, b)


def test_a_captured_step_counts_on() -> None:
    """Bias corrections move with every replay, as they do in eager steps."""
    eager, replayed = params_of("AdamW", torch.float32), params_of("AdamW", torch.float32)
    for params in (eager, replayed):
        for param in params:
            param.grad = torch.ones_like(param)
    plain, captured = (optimizer("AdamW", p, capturable=True) for p in (eager, replayed))
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            captured.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    for _ in range(2):
        graph.replay()
    for _ in range(3 + 2):
        plain.step()
    for a, b in zip(eager, replayed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
