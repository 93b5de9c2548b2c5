"""What other libraries' 8- and 4-bit optimizers store, recorded step by step.

    python -m pip install -c constraints.txt bitsandbytes torchao flashoptim
    python tests/recording_oracles.py        rewrites tests/cases/oracles/*.npz

Before each step the parameter (and of flashoptim its remainder) is set anew, from a seed; the
states go on. Kept are all codes and scales after each step, and every few parameters. Codes mean
nothing for zeros, so the gradients have none.

- bitsandbytes: its portable update in torch (`backends/triton/kernels_optim.py`). The compiled one
  for CPUs does not take the nearest code. Adam's decay is decoupled there in both classes.
- torchao: `single_param_adam` on its own state classes, not compiled.
- flashoptim: the unfused step. Its states and remainders are coded by Triton kernels, which run in
  Triton's interpreter here: what needs a GPU in the constructor is bypassed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
FOLDER = Path(__file__).parent / "cases" / "oracles"
STEPS, EVERY = 3, 8  # of the parameters one of so many is kept


@dataclass(frozen=True)
class Case:
    """One optimizer of a library. `ours`: the class that computes the same; `quantize` where only
    a composition does. `shape`: bitsandbytes and flashoptim take a partial last block."""

    library: str
    rule: str
    ours: str
    hypers: dict[str, Any]
    quantize: dict[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] = (17, 256)

    @property
    def name(self) -> str:
        return f"{self.library}-{self.rule}-{self.ours}"


ADAM = {"lr": 3e-3, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.1}
ODD = (13, 331)
CASES = (
    Case("bitsandbytes", "adam", "AdamW8bit", ADAM, shape=ODD),
    Case("bitsandbytes", "lion", "Lion8bit",
         {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}, shape=ODD),
    Case("bitsandbytes", "rmsprop", "RMSprop8bit",  # which has the signed map there
         {"lr": 3e-3, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1},
         quantize={"v": "dynamic8(signed = true)"}, shape=ODD),
    Case("bitsandbytes", "momentum", "SGD8bit",
         {"lr": 3e-3, "momentum": 0.9, "weight_decay": 0.1}, shape=ODD),
    Case("torchao", "8bit", "AdamW8bit", ADAM),
    Case("torchao", "8bit", "Adam8bit", ADAM),
    Case("torchao", "4bit", "AdamW4bit", ADAM),
    Case("torchao", "fp8", "AdamWFp8", ADAM),
    Case("flashoptim", "adam", "FlashAdamW", ADAM, shape=ODD),
    Case("flashoptim", "lion", "FlashLion",
         {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}, shape=ODD),
    Case("flashoptim", "sgd", "FlashSGD",
         {"lr": 3e-3, "momentum": 0.9, "weight_decay": 0.1}, shape=ODD),
)  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    param: Array
    grad: Array
    remainder: Array


def inputs(shape: tuple[int, ...], step: int) -> Inputs:
    """Numbers of one step, float32; parameters are such as bfloat16 has, with a remainder."""
    draw = np.random.Generator(np.random.PCG64(step)).random
    signs = np.where(draw(shape) < 0.5, -1.0, 1.0)
    grad = signs * (0.1 + draw(shape)) * 10.0 ** (-3 * draw(shape))
    param = (draw(shape) - 0.5).astype(np.float32)
    narrow = (param.view(np.uint32) & 0xFFFF0000).view(np.float32)
    remainder = np.floor(draw(shape) * 255) - 127
    return Inputs(narrow, grad.astype(np.float32), remainder.astype(np.int8))


Record = dict[str, Array]


def bitsandbytes(case: Case) -> Record:
    import bitsandbytes.backends.triton.kernels_optim as kernels
    import torch
    from bitsandbytes.functional import create_dynamic_map

    signed, unsigned = (create_dynamic_map(signed=s) for s in (True, False))
    n = int(np.prod(case.shape))
    two = case.rule == "adam"
    codes = [torch.zeros(case.shape, dtype=torch.uint8) for _ in range(1 + two)]
    scales = [torch.zeros(-(-n // 256)) for _ in range(1 + two)]
    h = case.hypers
    first, second = h.get("betas", (h.get("alpha", h.get("momentum")), 0.0))
    kept: Record = {}
    for step in range(STEPS):
        given = inputs(case.shape, step)
        param = torch.from_numpy(given.param.copy())
        kernels.optimizer_update_8bit_blockwise_pytorch(
            param, torch.from_numpy(given.grad), codes[0], codes[1] if two else None,
            first, second, 0.0, 0.0, h.get("eps", 0.0), step + 1, h["lr"], signed,
            unsigned if two else None, scales[0], scales[1] if two else None, h["weight_decay"],
            1.0, False, optimizer_name=case.rule,
        )  # fmt: skip
        for place in range(1 + two):
            kept[f"{step}|{place}"] = codes[place].numpy().reshape(-1).copy()
            kept[f"{step}|{place}_scale"] = scales[place].numpy().copy()
        kept[f"{step}|param"] = param.numpy().reshape(-1)[::EVERY].copy()
    return kept


def torchao(case: Case) -> Record:
    import torch
    from torchao.optim.adam import single_param_adam
    from torchao.optim.subclass_4bit import OptimState4bit
    from torchao.optim.subclass_8bit import OptimState8bit
    from torchao.optim.subclass_fp8 import OptimStateFp8

    make: Callable[[bool], Any] = {
        "8bit": lambda signed: OptimState8bit.zeros(case.shape, signed, 256),
        "4bit": lambda signed: OptimState4bit.zeros(case.shape, signed, 128),
        "fp8": lambda signed: OptimStateFp8.zeros(case.shape, 256),
    }[case.rule]
    states, h = [make(True), make(False)], case.hypers
    kept: Record = {}
    for step in range(STEPS):
        given = inputs(case.shape, step)
        param = torch.from_numpy(given.param.copy())
        single_param_adam(
            param, torch.from_numpy(given.grad), torch.tensor(step + 1.0), *states, None,
            torch.tensor(h["lr"]), *h["betas"], h["weight_decay"], h["eps"],
            case.ours.startswith("AdamW"), False,
        )  # fmt: skip
        for place, state in enumerate(states):
            kept[f"{step}|{place}"] = state.codes.view(torch.uint8).numpy().reshape(-1).copy()
            kept[f"{step}|{place}_scale"] = state.scale.numpy().copy()
        kept[f"{step}|param"] = param.numpy().reshape(-1)[::EVERY].copy()
    return kept


def flashoptim(case: Case) -> Record:
    import torch

    flash = _without_gpu()
    make = {"adam": flash.FlashAdamW, "lion": flash.FlashLion, "sgd": flash.FlashSGD}[case.rule]
    param = torch.nn.Parameter(torch.zeros(case.shape, dtype=torch.bfloat16))
    optimizer = make([param], **case.hypers, master_weight_bits=24, fused=False)
    names = ("exp_avg", "exp_avg_sq") if case.rule == "adam" else ("exp_avg",)
    names = ("momentum_buffer",) if case.rule == "sgd" else names
    kept: Record = {}
    for step in range(STEPS):
        given = inputs(case.shape, step)
        param.data.copy_(torch.from_numpy(given.param))
        param.grad = torch.from_numpy(given.grad).to(torch.bfloat16)
        optimizer._ensure_state_initialized(param, optimizer.param_groups[0])
        optimizer.state[param]["error_bits"].copy_(torch.from_numpy(given.remainder))
        optimizer.step()
        state = optimizer.state[param]
        for place, name in enumerate(names):
            codes = state[name].quantized.numpy().reshape(-1)
            kept[f"{step}|{place}"] = codes.view(np.uint8).copy()
            kept[f"{step}|{place}_scale"] = state[name].scales.numpy().reshape(-1).copy()
        kept[f"{step}|param"] = param.detach().float().numpy().reshape(-1)[::EVERY].copy()
        kept[f"{step}|remainder"] = state["error_bits"].numpy().reshape(-1)[::EVERY].copy()
    return kept


@cache
def _without_gpu() -> Any:
    """flashoptim, made to run on a CPU, in Triton's interpreter."""
    import flashoptim.optimizers as flash
    import torch

    def copysign(size: Any, sign: Any) -> Any:
        return size * ((sign >= 0) * 2.0 - 1.0)

    class Untuned:
        def __init__(self, tuned: Any) -> None:
            self.kernel = tuned.fn

        def __getitem__(self, grid: Any) -> Any:
            size = {"BLOCK_SIZE_N": 1024}
            return lambda *a, **k: self.kernel[grid(size)](*a, **k, **size)

    torch.cuda.is_available = lambda: True
    flash._get_sm_count = lambda device=None: 1
    flash.libdevice.copysign = copysign
    for name in ("_triton_quantize_kernel", "_triton_dequantize_kernel"):
        setattr(flash, name, Untuned(getattr(flash, name)))

    def set_data(self: Any, data: Any) -> None:
        self._data = None
        self._quantized, self._scales = flash.quantize(
            data, signed=self._signed, sqrt=self._sqrt, softsign=self._softsign
        )

    flash._MaybeQuantizedTensor.set_data = set_data
    return flash


if __name__ == "__main__":
    os.environ.update(TRITON_INTERPRET="1", TORCHDYNAMO_DISABLE="1")
    FOLDER.mkdir(exist_ok=True)
    for library in (bitsandbytes, torchao, flashoptim):
        name = library.__name__
        records = {
            f"{case.name}|{key}": value
            for case in CASES
            if case.library == name
            for key, value in library(case).items()
        }
        used = [f"{package} {version(package)}" for package in (name, "torch", "triton")]
        np.savez_compressed(FOLDER / f"{name}.npz", versions=np.array(used), **records)
        print(name, (FOLDER / f"{name}.npz").stat().st_size, *used)
