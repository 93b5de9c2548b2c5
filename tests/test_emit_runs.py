"""The C and torch forms of hand-built plans compute what the programs say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hand_programs import SPAN, Hand, adamw, lamb, per_cell
from running_plans import (
    FLAGS,
    Tensor,
    c_text,
    cell_shape,
    compile_c,
    expected,
    operand,
    run_c,
)  # fmt: skip

from stepc.compiler.codecs import dynamic8
from stepc.compiler.emit.torch import torch_function
from stepc.compiler.ir import Graph, Node, Program
from stepc.compiler.plan import Plan, Sweep
from stepc.compiler.schedule import schedule
from stepc.dsl.codes import dynamic_table
from stepc.dsl.levels import COLS, ROWS, Level
from stepc.dsl.model import constant

CHUNKS = Level("chunks", (constant(256, SPAN),))
HEADS = Level("heads", (constant(4, SPAN),))
TILES = Level("tiles", (constant(3, SPAN), constant(50, SPAN)))
HYPERS = {
    "grad_scale": -1.0, "beta1": 0.9, "alpha1": 0.1, "beta2": 0.99, "alpha2": 0.01,
    "correction2": 1.3, "eps": 1e-8, "decay": 0.99, "rate": 1e-2, "lr": 0.01,
}  # fmt: skip
PROGRAMS = {
    "adamw": adamw(), "lamb": lamb(), "rows": per_cell(ROWS), "cols": per_cell(COLS),
    "chunks": per_cell(CHUNKS), "heads": per_cell(HEADS), "tiles": per_cell(TILES),
}  # fmt: skip
SHAPES = ((4, 7), (8, 300), (64, 1111), (1, 1))


def tensors_for(program: Program, dtype: type = np.float32) -> list[Tensor]:
    rng = np.random.default_rng(5)
    made: list[Tensor] = []
    for rows, cols in SHAPES:
        if rows % 4 and any(s.level == HEADS for s in program.streams):
            continue
        tensor = Tensor(rows, cols, {})
        for stream in program.streams:
            count, _ = cell_shape(stream.level, tensor, HYPERS)
            x = rng.standard_normal(count)
            tensor.streams[stream.name] = (
                np.abs(x).astype(dtype) if stream.name == "v" else x.astype(dtype)
            )
        made.append(tensor)
    return made


# ---------------------------------------------------------------- C computes the program


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("param", "bound"), [("f32", 5e-7), ("f64", 1e-15)])
def test_c_computes_the_program(name: str, param: str, bound: float) -> None:
    program = PROGRAMS[name]
    dtype = np.float64 if param == "f64" else np.float32
    tensors = tensors_for(program, dtype)
    want = expected(program, tensors, HYPERS)
    run_c(schedule(program), tensors, HYPERS, param=param, grad=param)
    for tensor, streams in zip(tensors, want, strict=True):
        for stream, x in streams.items():
            error = np.abs(tensor.streams[stream] - x).max() / np.abs(x).max()
            assert error < bound, (stream, tensor.rows, tensor.cols)


@pytest.mark.parametrize("name", ["lamb", "rows"])
def test_c_does_not_depend_on_the_number_of_threads(name: str) -> None:
    program, results = PROGRAMS[name], []
    omp = compile_c(c_text(schedule(program))[1], "f32", "f32")
    omp.omp_set_num_threads  # noqa: B018  the OpenMP runtime is loaded with it
    for threads in (1, 3):
        omp.omp_set_num_threads(threads)
        tensors = tensors_for(program)
        run_c(schedule(program), tensors, HYPERS, task_size=512)
        results.append([t.streams["param"].copy() for t in tensors])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


UNARY = (
    "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "sign", "sign_bit", "floor", "ceil",
    "round", "tanh", "sigmoid", "softplus", "sin", "cos", "tan", "atan", "cbrt", "neg",
)  # fmt: skip
BINARY = ("maximum", "minimum", "atan2", "mod", "add", "sub", "mul", "div")
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -1.5, 1e-8, -1e-8, 3.0, np.inf, -np.inf, np.nan]
)


def elementwise(op: str) -> Program:
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    h.store("param", h.do(op, *([param] if op in UNARY else [param, grad]), label="result"))
    return h.program(op)


def test_c_and_torch_functions_agree_with_numpy_on_special_values() -> None:
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    for op in (*UNARY, *BINARY):
        program = elementwise(op)
        tensor = Tensor(1, len(pairs), {"param": pairs[:, 0].copy(), "grad": pairs[:, 1].copy()})
        with np.errstate(all="ignore"):
            want = expected(program, [tensor], HYPERS)[0]["param"]
        for column in torch_run(schedule(program), [tensor]):
            np.testing.assert_allclose(
                column["param"].ravel(), want, rtol=1e-14, atol=1e-300, err_msg=op
            )
        run_c(schedule(program), [tensor], HYPERS, param="f64", grad="f64")
        np.testing.assert_allclose(
            tensor.streams["param"], want, rtol=1e-14, atol=1e-300, err_msg=op
        )


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("f16", torch.float16)])
def test_half_conversions_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    """Every 16-bit pattern survives a load and a store; stores round to nearest even."""
    h = Hand()
    h.load("param")
    h.store("param", h.do("mul", h.load("grad"), 1.0, label="x"))
    plan = schedule(h.program())
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    halves = bits.view(dtype)
    many = torch.randn(1 << 16) * torch.logspace(-12, 6, 1 << 16)
    edges = halves.float() * (1 + 2.0**-9)
    for grad in (halves.float(), many, edges):
        out = np.zeros(grad.numel(), np.uint16)
        tensor = Tensor(1, grad.numel(), {"param": out, "grad": grad.numpy().copy()})
        run_c(plan, [tensor], HYPERS, param=name, grad="f32")
        got = torch.from_numpy(out.view(np.int16)).view(dtype)
        want = grad.to(dtype)
        assert torch.equal(got.isnan(), want.isnan())
        assert torch.equal(got[~got.isnan()], want[~want.isnan()])


# ---------------------------------------------------------------- torch computes the program


def torch_run(plan: Plan, tensors: list[Tensor]) -> list[dict[str, np.ndarray]]:
    """Run a plan's torch forms by the contract of `emit/torch.py`, without the runtime."""
    made: list[dict[str, torch.Tensor]] = []
    for tensor in tensors:
        made.append({})
        for stream in plan.program.streams:
            shape = {
                "element": (tensor.rows, tensor.cols), "rows": (-1, 1), "cols": (1, -1),
            }.get(stream.level.kind, (-1,))  # fmt: skip
            x = torch.from_numpy(tensor.streams[stream.name].copy())
            made[-1][stream.name] = x.reshape(shape)
    values = [[torch.tensor(math.nan, dtype=torch.float64) for _ in plan.values] for _ in tensors]
    partials: list[list[torch.Tensor]] = [[] for _ in tensors]
    before: Sweep | None = None
    for step in plan.steps:
        form = torch_function(plan, step, "form")
        scope: dict[str, object] = {"torch": torch}
        exec(_with_imports(form.text, form.functions), scope)
        for k, tensor in enumerate(tensors):
            if not isinstance(step, Sweep):
                assert before is not None
                begun = [p.slot for p in before.partials]
                for slot, _ in step.completes:  # type: ignore[union-attr]
                    values[k][plan.values.index(slot)] = partials[k][begun.index(slot)]
            args: list[object] = [made[k][s.name] for s in step.loads]
            args += [operand(plan.scalars[c][1], tensor, HYPERS) for c in form.scalars]
            args += [values[k][c] for c in form.values]
            results = list(scope["form"](*args))  # type: ignore[operator]
            if isinstance(step, Sweep):
                partials[k] = results[len(step.stores) :]
            else:
                for (slot, _), x in zip(step.values, results, strict=False):  # type: ignore[union-attr]
                    values[k][plan.values.index(slot)] = x
                results = results[len(step.values) :]  # type: ignore[union-attr]
            for store, x in zip(step.stores, results, strict=False):
                made[k][store.stream.name] = x
        before = step if isinstance(step, Sweep) else before
    return [{name: x.numpy().ravel() for name, x in one.items()} for one in made]


def _with_imports(text: str, functions: tuple[str, ...]) -> str:
    lines = ["from __future__ import annotations", "import torch"]
    lines += [f"from stepc.runtime.forms import {f}" for f in functions]
    return "\n".join([*lines, text])


@pytest.mark.parametrize("name", PROGRAMS)
def test_torch_computes_the_program(name: str) -> None:
    program = PROGRAMS[name]
    tensors = tensors_for(program, np.float64)
    want = expected(program, tensors, HYPERS)
    for found, streams in zip(torch_run(schedule(program), tensors), want, strict=True):
        for stream, x in streams.items():
            assert np.abs(found[stream] - x).max() / np.abs(x).max() < 1e-14, stream


def test_flags_of_these_tests_keep_the_meaning_of_floats() -> None:
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only"} & set(FLAGS)


# ---------------------------------------------------------------- codecs


@pytest.mark.parametrize("signed", [True, False])
def test_codecs_in_c_are_the_dynamic_map(signed: bool) -> None:
    """Every code decodes to its table entry; every number gets the nearest entry's code, except
    within rounding of the bound between two."""
    table = dynamic_table(8, signed)
    codec = dynamic8(signed=signed)
    chance = np.random.default_rng(3)
    small = 10 ** chance.uniform(-8, 0, 60_000)
    bounds = (table[1:] + table[:-1]) / 2
    x = np.concatenate([table, small, bounds * (1 + 1e-5), bounds * (1 - 1e-5)])
    x = np.concatenate([x, -x]) if signed else np.abs(x)
    codes = run_unary(codec.encode, x[np.abs(x) <= 1].astype(np.float32))
    x = x[np.abs(x) <= 1].astype(np.float32).astype(np.float64)
    want = np.searchsorted(bounds, x)
    near = np.abs(x - bounds[np.clip(want, 0, 254)]), np.abs(x - bounds[np.clip(want - 1, 0, 254)])
    certain = np.minimum(*near) > 2e-6 * np.abs(x)
    assert certain.mean() > 0.99
    assert np.array_equal(codes[certain], want[certain])
    decoded = run_unary(codec.decode, np.arange(256, dtype=np.float32))
    np.testing.assert_allclose(decoded, table, rtol=2e-6)


def run_unary(function: Callable[[Graph, Node], Node], x: np.ndarray) -> np.ndarray:
    h = Hand()
    h.load("param")
    h.store("param", function(h.graph, h.load("grad")))
    tensor = Tensor(1, len(x), {"param": np.zeros_like(x), "grad": x})
    run_c(schedule(h.program()), [tensor], HYPERS)
    return tensor.streams["param"]
