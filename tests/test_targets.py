"""Every shipped optimizer, in every target, against the interpreter.

Five steps on tensors of awkward shapes with weight decay, gradients of very different sizes, some
of them zero, one missing. Before each step the optimizer is given the interpreter's numbers, so
what is compared is one step's error, in units of rounding at the scale of the tensor.
Triton's kernels run in its interpreter in `test_triton.py`, which needs a process of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

import stepc.generated
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.runtime import CompiledOptimizer, use_target

SHAPES: dict[str, tuple[int, ...]] = {
    "scale": (),
    "one.weight": (1,),
    "norm.weight": (7,),
    "bias": (301,),
    "attn.q_proj.weight": (8, 5),
    "mlp.tall": (67, 3),
    "mlp.wide": (2, 131),
    "conv.weight": (4, 3, 2, 2),
    "embed.weight": (97, 43),  # above 4096 elements: quantized states, a partial last block
    "mlp.long": (3, 23001),  # over one task of the C target
}
COMPOSITIONS = (
    "AdamW + Cautious",
    "Lion + Cautious",
    "Muon + Cautious",
    "AdamW + Lookahead(k = 2) + GlobalNormClip",
    "SGD + GlobalNormClip(max_norm = 0.1)",
)
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-9}
STEPS = 5


def hypers_of(cls: type[CompiledOptimizer]) -> dict[str, Any]:
    """Hypers that leave nothing out: a large rate and decay, required ones at 1. (SGDP's lr * decay
    is such that no bfloat16 number times 1 - lr * decay lies half way between two.)"""
    names = {hyper.name for hyper in cls.hypers}
    decay = 0.11 if cls.__name__ == "SGDP" else 0.1
    given: dict[str, Any] = {"lr": 1e-2, "weight_decay": decay, "momentum": 0.9}
    given = {name: value for name, value in given.items() if name in names}
    return given | {hyper.name: 1 for hyper in cls.hypers if hyper.required}


def gradients(step: int, dtype: str) -> dict[str, np.ndarray | None]:
    """Gradients that the dtype holds, of sizes from 1e-6 to 10, a tenth of the elements zero."""
    chance = np.random.default_rng(step)
    found: dict[str, np.ndarray | None] = {}
    for name, shape in SHAPES.items():
        grad = chance.standard_normal(shape) * 10.0 ** chance.integers(-6, 2)
        grad = np.where(chance.random(shape) < 0.1, 0.0, grad)
        grad = torch.tensor(grad).to(getattr(torch, dtype)).to(torch.float64).numpy()
        found[name] = None if (name, step) == ("norm.weight", 2) else grad
    return found


def takes(cls: type[CompiledOptimizer], shape: tuple[int, ...]) -> bool:
    return cls.__name__ != "MuonMatrix" or len(shape) >= 2


def check(what: str, cls: type[CompiledOptimizer], dtype: str, target: str) -> None:
    """Run both side by side, comparing parameters and states after every step."""
    kind = getattr(torch, dtype)
    chance = np.random.default_rng(99)
    names = [name for name, shape in SHAPES.items() if takes(cls, shape)]
    start = {n: torch.tensor(chance.standard_normal(SHAPES[n])).to(kind) for n in names}
    params = {n: Parameter(value.clone()) for n, value in start.items()}
    hypers = hypers_of(cls)
    coded = any(is_code(stream.dtype) for path in cls.paths for stream in path.streams)
    tensors = [Tensor(n, start[n].to(torch.float64).numpy().copy(), dtype=dtype) for n in names]
    interpreter = Interpreter(load(what), tensors, (hypers,))
    with use_target(target):
        optimizer = cls(params.items(), **hypers)  # type: ignore[call-arg]
        for step in range(STEPS):
            given = gradients(step, dtype)
            before = [float(np.abs(tensor.value).max()) for tensor in tensors]
            for name, param in params.items():
                grad = given[name]
                param.grad = None if grad is None else torch.tensor(grad).to(kind)
            optimizer.step(loss=2.0 - step / 4)  # for the rules that read it
            interpreter.step([given[name] for name in names], loss=2.0 - step / 4)
            for place, (tensor, param) in enumerate(zip(tensors, params.values(), strict=True)):
                here = f"{what}, {tensor.name}, step {step}"
                compare(here, tensor, param, dtype, before[place], coded)
                compare_states(here, interpreter.states[place], optimizer.state[param])


def is_code(dtype: str) -> bool:
    """Whether a stream holds codes, and not numbers: those have the names of PARAM, GRAD, REAL."""
    return dtype.startswith(("uint", "int", "float8"))


def compare(
    what: str, tensor: Tensor, param: Parameter, dtype: str, scale: float, coded: bool
) -> None:
    """The parameter against the interpreter's, at the scale of both ends of the step; then it takes
    the interpreter's."""
    got = param.detach().to(torch.float64).numpy()
    limits = {"float32": 32.0, "float64": 32.0, "bfloat16": 2.0}
    if coded and got.size >= 4096:
        # A code may be its neighbour where a value lies at the bound between the two, and the map
        # itself is known to float32 only.
        unit = max(UNIT[dtype], UNIT["float32"])
        off = np.abs(got - tensor.value) > 4 * limits[dtype] * unit * np.abs(tensor.value).max()
        assert off.mean() < 1e-3 and np.isfinite(got).all(), what
        assert np.quantile(np.abs(got - tensor.value), 0.9999) < 0.02, what  # v may read back as 0
    else:
        assert_near(got, tensor.value, limits[dtype], UNIT[dtype], what, scale)
    with torch.no_grad():
        param.copy_(torch.tensor(tensor.value))


def compare_states(what: str, expected: dict[str, Any], kept: dict[str, Any]) -> None:
    for key, value in expected.items():
        found = kept.get(key)
        if not isinstance(found, torch.Tensor) or found.dtype == torch.uint8:
            continue
        unit = UNIT["float64" if found.dtype == torch.float64 else "float32"]
        value = np.asarray(value).reshape(found.shape)
        assert_near(found.to(torch.float64).numpy(), value, 64, unit, f"{what}, {key}")
        found.copy_(torch.tensor(value))


def assert_near(
    got: np.ndarray,
    expected: np.ndarray,
    units: float,
    unit: float,
    what: str,
    scale: float = 1e-30,
) -> None:
    scale = max(float(np.max(np.abs(expected), initial=0.0)), scale)
    off = float(np.max(np.abs(got - expected), initial=0.0)) / (unit * scale)
    assert np.isfinite(got).all() and off <= units, f"{what}: {off:.1f} units of rounding"


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", stepc.generated.__all__)
def test_a_prebuilt_optimizer_computes_what_its_spec_says(
    name: str, dtype: str, target: str
) -> None:
    check(name, getattr(stepc.generated, name), dtype, target)


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize("what", COMPOSITIONS)
def test_a_composition_computes_what_its_parts_say(what: str, target: str) -> None:
    check(what, stepc.compile(what), "float32", target)
