"""Steps of optimizers with quantized states, each from the same codes, beside the interpreter.

    python tests/stepping_codes.py triton [--product]        {case: what was found}, as JSON

The interpreter leads: after each of its steps its exact new states become codes and scales by
`naive_codes.py`, and the target begins its next step with those. So what is compared is what one
step stores. A target computes in float32: its value may lie beside the interpreter's by a few last
places, and where a border of two codes lies between, it has the neighbouring code. How far such a
value is from the border is measured here, in roundings of float32 at the size of what was added.

For Triton's interpreter this is a process of its own (TRITON_INTERPRET must be set before the
import).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from naive_codes import UNIT, Layout, layout_of
from torch.nn import Parameter

import stepc
from stepc.dsl.interpret import Interpreter, Tensor
from stepc.dsl.load import load
from stepc.dsl.model import Const, Model
from stepc.runtime import use_target

Array = np.ndarray

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"lr": 1e-2, "weight_decay": 0.1},
    "Lion": {"lr": 1e-3, "weight_decay": 0.1},
    "SGD": {"lr": 1e-2, "weight_decay": 0.1, "momentum": 0.9},
    "ADOPT": {"lr": 1e-2, "weight_decay": 0.1},
    "Prodigy": {"weight_decay": 0.1, "d0": 1e-3, "growth_rate": 1.5},
    "StableAdamW": {"lr": 1e-2, "weight_decay": 0.1},
    "AdamW + Lookahead(k = 2)": {"lr": 1e-2, "weight_decay": 0.1},
}
CODECS = (
    "dynamic8", "linear8", "dynamic4", "linear4", "power4", "linear4(asymmetric = true)",
    "softsign8", "sqrt8", "e4m3", "e5m2", "bfloat16", "float16",
)  # fmt: skip
# Other scales and orders of the same arithmetic.
FORMS = (
    "linear8(rank1 = true)", "linear4(rank1 = true)", "power4(rank1 = true)",
    "dynamic4(pairs = true)", "dynamic8(block = 64)",
)  # fmt: skip
CASES = [(what, codec) for codec in CODECS for what in OPTIMIZERS] + [
    ("AdamW", codec) for codec in FORMS
]
# Every optimizer and every codec, for what takes too long to run all cases by default.
ROTATION = [case for place, case in enumerate(CASES) if place % 5 == 0]
SHAPE, STEPS = (13, 301), 4  # the last block is partial, for every size of block
SMALL, FEW = (5, 60), 2  # for Triton's interpreter


@dataclass
class Found:
    """Of one case: how many elements have another code than the definition's; how many of those
    one that is no neighbour; how far beyond the borders of its code the farthest value lies, in
    units of rounding; by how many of them scales are off; and parameters, as a share of the largest
    change."""

    elements: int = 0
    differ: int = 0
    wrong: int = 0
    farthest: float = 0.0
    scale_off: float = 0.0
    param_off: float = 0.0

    def add(self, other: Found) -> None:
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine + value if isinstance(value, int) else max(mine, value))


@dataclass
class Step:
    """What the interpreter did: of each coded state its value before and its exact new one, and
    what belongs in memory after; all other numbers that are kept."""

    grad: Array
    before: dict[str, Array]
    exact: dict[str, Array]
    after: dict[str, Array]
    codes: dict[str, dict[str, Array]]
    plain: dict[str, Array]
    shared: dict[str, Array]
    param: Array
    moved: float


def layouts(model: Model) -> dict[str, Layout]:
    """How each coded state is stored, of a rule that routes those of all its branches."""
    found: dict[str, Layout] = {}
    for branch in model.route:
        found |= layouts(branch.model)
    for state in model.states:
        in_all = state.level.kind == "element" and not (state.exact or state.host)
        for line in model.storage:
            if line.state != state.name and not (line.state == "all" and in_all):
                continue
            if line.codec == "none" and line.condition is None:
                found.pop(state.name, None)
            elif line.codec != "none":
                options = {k: v.value for k, v in line.options if isinstance(v, Const)}
                found[state.name] = layout_of(line.codec, options)
    return found


def gradients(codec: str, shape: tuple[int, ...], steps: int) -> Iterator[Array]:
    """Of many sizes, a tenth zeros, whole blocks (or rows) of zeros and of almost nothing."""
    chance = np.random.default_rng(3)
    length = shape[-1] if "rank1" in codec else 256
    for _ in range(steps):
        grad = chance.standard_normal(shape) * 10.0 ** chance.uniform(-4, 0, shape)
        flat = np.where(chance.random(shape) < 0.1, 0.0, grad).reshape(-1)
        if flat.size > 2000:
            flat[2 * length : 4 * length] = 0
            flat[4 * length : 6 * length] *= 1e-31
        yield flat.reshape(shape).astype(np.float32).astype(np.float64)


@cache
def trajectory(what: str, codec: str, shape: tuple[int, ...], steps: int) -> list[Step]:
    """The interpreter's steps."""
    chance = np.random.default_rng(1)
    start = chance.standard_normal(shape).astype(np.float32).astype(np.float64)
    tensor = Tensor("w", start, "float32", 0)
    model = load(what, quantize=codec)
    run, coded = Interpreter(model, [tensor], [dict(OPTIMIZERS[what])]), layouts(model)
    found: list[Step] = []
    for grad in gradients(codec, shape, steps):
        before = {name: run.states[0].get(name, np.zeros(shape)) for name in coded}
        old = tensor.value.copy()
        run.step([grad])
        exact = {name: run._own[0].present[name].data for name in coded}
        after = {name: run.states[0][name].copy() for name in coded}
        codes = {name: coded[name].store(exact[name], shape[-1]) for name in coded}
        plain = {n: np.asarray(v).copy() for n, v in run.states[0].items() if n not in coded}
        shared = {n: np.asarray(v).copy() for n, v in run.global_states.items()}
        moved = float(np.abs(tensor.value - old).max())
        found.append(
            Step(grad, before, exact, after, codes, plain, shared, tensor.value.copy(), moved)
        )
    return found


@cache
def compiled(what: str, codec: str) -> type[torch.optim.Optimizer]:
    return stepc.compile(what, quantize=codec)


def found(
    what: str, codec: str, target: str, shape: tuple[int, ...] = SHAPE, steps: int = STEPS
) -> Found:
    """Every step of a case on a target."""
    coded = layouts(load(what, quantize=codec))
    chance = np.random.default_rng(1)
    param = Parameter(torch.tensor(chance.standard_normal(shape), dtype=torch.float32))
    optimizer = compiled(what, codec)([param], **OPTIMIZERS[what])
    whole = Found()
    with use_target(target):
        for step in trajectory(what, codec, shape, steps):
            param.grad = torch.tensor(step.grad, dtype=torch.float32)
            optimizer.step()
            state = optimizer.state[param]
            for name, layout in coded.items():
                streams = {suffix: state[name + suffix] for suffix in step.codes[name]}
                whole.add(
                    compare(layout, step.exact[name], step.before[name], step.codes[name], streams)
                )
                for suffix, wanted in step.codes[name].items():
                    copy(streams[suffix], wanted)
            for name, wanted in step.plain.items():
                copy(state[name], wanted)
            for name, wanted in step.shared.items():
                if isinstance(optimizer.param_groups[0].get(name), torch.Tensor):
                    copy(optimizer.param_groups[0][name], wanted)
            off = np.abs(param.detach().double().numpy() - step.param)
            off = np.maximum(off - 2 * UNIT * np.abs(step.param), 0)  # the parameter's own rounding
            whole.param_off = max(whole.param_off, float(off.max()) / max(step.moved, 1e-30))
            copy(param.data, step.param)
    return whole


def copy(tensor: torch.Tensor, values: Array) -> None:
    """Raises RuntimeError where the sizes differ."""
    tensor.copy_(torch.tensor(values).reshape(tensor.shape))


def compare(
    layout: Layout,
    exact: Array,
    before: Array,
    wanted: dict[str, Array],
    streams: dict[str, torch.Tensor],
) -> Found:
    """What a target stored of a state, beside what the definition stores."""
    n, cols = exact.size, before.shape[-1]
    exact, before = exact.reshape(-1), before.reshape(-1)
    wanted = {suffix: values.reshape(-1) for suffix, values in wanted.items()}
    got = {
        suffix: (s if s.dtype == torch.uint8 else s.double()).numpy().reshape(-1)
        for suffix, s in streams.items()
    }
    here, there = layout.places(got, n), layout.places(wanted, n)
    low, high = layout.borders(got, n, cols)
    least, scale = layout.spread(got, n, cols)
    other = (here != there) if layout.packed else (got[""] != wanted[""])
    other &= scale != 0  # the codes of a block of zeros mean nothing
    size = np.abs(exact) + np.abs(before) + np.abs(least)  # of what was rounded
    if not layout.zero:
        size += scale  # places are counted from the lowest value
    beyond = np.maximum(low - exact, exact - high) / (UNIT * np.maximum(size, 1e-38))
    return Found(
        elements=n,
        differ=int(other.sum()),
        wrong=int((other & (np.abs(here - there) != 1)).sum()),
        farthest=max(float(beyond.max(initial=0)), 0.0),
        scale_off=layout.scale_off(got, exact, cols),
    )


def everything(target: str, cases: list[tuple[str, str]]) -> dict[str, Found]:
    """Small cases on a target, by `optimizer, codec`."""
    return {f"{w}, {c}": found(w, c, target, SMALL, FEW) for w, c in cases}


if __name__ == "__main__":
    chosen = CASES if "--product" in sys.argv else ROTATION
    results = everything(sys.argv[1], [case for case in chosen if case[1] != "bfloat16"])
    print(json.dumps({name: asdict(result) for name, result in results.items()}))
