"""What quantized states take in memory, to the byte: as counted by hand, and as the plan says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import Parameter

import stepc
import stepc.generated
from stepc.cli.explain import cost
from stepc.compiler.ir import Stream
from stepc.compiler.pipeline import plan
from stepc.compiler.plan import Plan
from stepc.demo.race import state_bytes
from stepc.dsl.load import load
from stepc.dsl.model import Const
from stepc.runtime import use_target
from stepc.runtime.c import compiled, find_compiler

Shape = tuple[int, ...]


def blocks(n: int, size: int) -> int:
    return -(-n // size)


def byte(n: int) -> int:
    """8-bit codes with a float32 scale for 256."""
    return n + 4 * blocks(n, 256)


def half(n: int) -> int:
    """4-bit codes with a float32 scale for 128; a partial block takes a whole one's bytes."""
    return (64 + 4) * blocks(n, 128)


def companded(n: int) -> int:
    """8-bit codes with a float16 scale for 32."""
    return n + 2 * blocks(n, 32)


def factor(shape: Shape) -> int:
    n = int(np.prod(shape))
    return half(n) + (half(n) if len(shape) == 1 else 4 * (shape[0] + n // shape[0]))


def of(count: Callable[[int], int], states: int) -> Callable[[Shape], int]:
    return lambda shape: states * count(int(np.prod(shape)))


def flash(states: int) -> Callable[[Shape], int]:
    """Companded states, and a byte that is left of the parameter."""
    return lambda shape: states * companded(int(np.prod(shape))) + int(np.prod(shape))


# optimizer -> its bytes for a shape, and of one parameter of many
BYTES: dict[str, tuple[Callable[[Shape], int], float]] = {
    "Adam8bit": (of(byte, 2), 2.03125),
    "AdamW8bit": (of(byte, 2), 2.03125),
    "SGD8bit": (of(byte, 1), 1.015625),
    "Adagrad8bit": (of(byte, 1), 1.015625),
    "RMSprop8bit": (of(byte, 1), 1.015625),
    "Lion8bit": (of(byte, 1), 1.015625),
    "LAMB8bit": (of(byte, 2), 2.03125),
    "LARS8bit": (of(byte, 1), 1.015625),
    "AdEMAMix8bit": (of(byte, 3), 3.046875),
    "AdamW4bit": (of(half, 2), 1.0625),
    "Factor4bit": (factor, 0.53125),
    "AdamWFp8": (of(byte, 2), 2.03125),
    "FlashAdamW": (flash(2), 3.125),
    "FlashLion": (flash(1), 2.0625),
    "FlashSGD": (flash(1), 2.0625),
}
# Partial last blocks of 256, 128 and 32; a byte more than a block; whole blocks.
SHAPES: tuple[Shape, ...] = ((4097,), (67, 131), (5, 33, 31), (4352,), (64, 256))
SMALL: tuple[Shape, ...] = ((), (1,), (63, 65))  # below 4096 elements: float32, but for Flash
WORDS = {"uint8": 1, "int8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "float32": 4, "real": 4}


def stepped(name: str, shape: Shape, dtype: torch.dtype = torch.bfloat16) -> torch.optim.Optimizer:
    """An optimizer after a step of one parameter."""
    cls = getattr(stepc.generated, name)
    required = {hyper.name: 1 for hyper in cls.hypers if hyper.required}
    param = Parameter(torch.ones(shape, dtype=dtype))
    optimizer = cls([param], **required)
    param.grad = torch.ones_like(param)
    optimizer.step()
    return optimizer


def predicted(stream: Stream, shape: Shape) -> int:
    """The bytes of a stream of a plan."""
    n = int(np.prod(shape))
    rows = shape[0] if len(shape) > 1 else 1
    if stream.dtype == "uint4":
        return blocks(n, stream.block) * stream.block // 2
    sizes = [arg.value for arg in stream.level.args if isinstance(arg, Const)]
    count = {
        "element": lambda: n,
        "rows": lambda: rows,
        "cols": lambda: n // rows,
        "chunks": lambda: blocks(n, sizes[0]),
    }[stream.level.kind]()
    return WORDS[stream.dtype] * count


def states_of(made: Plan) -> list[Stream]:
    return [
        s for s in made.streams if s.name not in ("param", "grad") and s not in made.temporaries
    ]


def test_every_optimizer_of_the_wave_is_here() -> None:
    assert set(BYTES) <= set(stepc.generated.__all__) and len(BYTES) == 15


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", BYTES)
def test_states_take_the_bytes_that_were_counted(name: str, shape: Shape) -> None:
    optimizer = stepped(name, shape)
    assert state_bytes(optimizer) == BYTES[name][0](shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", BYTES)
def test_states_take_the_bytes_that_the_plan_says(name: str, shape: Shape) -> None:
    """The plan of the path that the tensor took, which is known by the states that it made."""
    optimizer = stepped(name, shape)
    (state,) = optimizer.state.values()
    kept = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}
    sizes = {
        tuple(sorted((s.name, predicted(s, shape)) for s in states_of(made)))
        for made in plan(load(name))[1]
        if {s.name for s in states_of(made)} == set(kept)
    }
    assert sizes == {tuple(sorted((k, v.numel() * v.element_size()) for k, v in kept.items()))}


@pytest.mark.parametrize("name", BYTES)
def test_of_many_parameters_each_takes_what_the_plan_says(name: str) -> None:
    """`stepc explain` prints it; here of whole blocks."""
    figures = {
        cost(made, "bfloat16", 0.0).state_bytes_per_parameter for made in plan(load(name))[1]
    }
    assert BYTES[name][1] in figures
    shape = (64, 256)
    vectors = 4 * (64 + 256) if name == "Factor4bit" else 0
    assert BYTES[name][0](shape) == BYTES[name][1] * 64 * 256 + vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["FlashAdamW", "FlashLion", "FlashSGD"])
def test_wide_parameters_have_nothing_left(name: str, dtype: torch.dtype) -> None:
    """A byte an element less, in memory and in what the plan says."""
    optimizer = stepped(name, (67, 131), dtype)
    assert state_bytes(optimizer) == BYTES[name][0]((67, 131)) - 67 * 131
    figures = {cost(made, "float32", 0.0).state_bytes_per_parameter for made in plan(load(name))[1]}
    assert BYTES[name][1] - 1 in figures


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize(("dtype", "place"), [(torch.bfloat16, 0), (torch.float32, 1)])
def test_only_what_a_dtype_needs_is_built(dtype: torch.dtype, place: int) -> None:
    cls = stepc.generated.FlashLion
    names = [step.name for path in cls.paths for step in path.steps]
    library = compiled(cls.c_source, dtype, dtype)
    assert library is not None and len(names) == 2
    assert [hasattr(library._library, name) for name in names] == [place == 0, place == 1]


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("how", ["master", "master(bits = 8)", "master(bits = 16)"])
def test_only_narrow_parameters_keep_what_rounding_cuts_off(how: str, target: str) -> None:
    """A float32 and a bfloat16 tensor of one optimizer; then the first is made bfloat16 too."""
    cls = stepc.compile("SignSGD", rounding=how)
    params = [Parameter(torch.ones(40, dtype=d)) for d in (torch.float32, torch.bfloat16)]
    optimizer, kept = cls(params, lr=2.0**-11), "master" if how == "master" else "remainder"
    with use_target(target):
        for narrow in (False, True):
            for param in params:
                param.grad = torch.ones_like(param)
            optimizer.step()
            assert [kept in optimizer.state[param] for param in params] == [narrow, True]
            params[0].data, params[0].grad = params[0].data.bfloat16(), None
    assert params[1].tolist() == [1.0] * 40  # two steps are a quarter of bfloat16's last place
    if how == "master":
        assert optimizer.state[params[1]][kept].tolist() == [1 - 2.0**-10] * 40
    else:
        assert optimizer.state[params[1]][kept].float().max() < -20


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize("name", [name for name in BYTES if not name.startswith("Flash")])
def test_small_tensors_keep_float32_states(name: str, shape: Shape) -> None:
    (state,) = stepped(name, shape).state.values()
    tensors = [v for v in state.values() if isinstance(v, torch.Tensor)]
    assert tensors and {v.dtype for v in tensors} == {torch.float32}
