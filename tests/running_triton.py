"""Running Triton kernels in Triton's interpreter, without a GPU.

    TRITON_INTERPRET=1 python tests/running_triton.py    prints {case: largest error} as JSON

TRITON_INTERPRET must be set before triton is first imported, so this is a process of its own, and
one process does all cases. Its cases:

    plan/...        programs written by hand, against their graphs evaluated in float64
    function/...    runtime/elementary.py against numpy
    optimizer/...   every prebuilt optimizer, three steps, against its torch form
    border/...      how far beyond the borders of its code a value of it lies (`stepping_codes.py`)

The interpreter truncates where it stores a float32 as bfloat16 (a GPU rounds to nearest even), so
no case stores bfloat16; the AOT tests cover those kernels.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from hand_programs import SPAN, Hand, adamw, lamb, per_cell
from running_plans import Tensor, allocate, cell_shape, expected, fact, tasks_of
from stepping_codes import compare, layouts
from stepping_codes import copy as copy_to

import stepc.generated
from stepc.compiler.emit.syntaxes import TRITON_PLACES
from stepc.compiler.emit.triton import kernel_of
from stepc.compiler.emit.triton_frame import KernelText
from stepc.compiler.ir import Program
from stepc.compiler.plan import Plan, Sweep
from stepc.compiler.schedule import schedule
from stepc.dsl.interpret import Interpreter
from stepc.dsl.interpret import Tensor as Given
from stepc.dsl.levels import COLS, GLOBAL, ROWS, TENSOR, Level
from stepc.dsl.load import load
from stepc.dsl.model import Const, Read
from stepc.runtime import CompiledOptimizer, use_target

HEAD = "from __future__ import annotations\n\nfrom stepc.runtime.kernel import kernel\n"
BLOCK = 1024
TASK = 4096  # elements, about


def kernels_of(plan: Plan, prefix: str) -> list[KernelText]:
    """The kernel of every sweep and finish."""
    width = max((len(sweep.partials) for sweep in plan.sweeps), default=0)
    return [
        kernel_of(
            plan, step, f"{prefix}_{step.name}", "A test.",
            values=len(plan.values), partials=width,
        )
        for step in plan.steps
    ]  # fmt: skip


def module_of(kernels: list[KernelText], name: str) -> ModuleType:
    """A module with these kernels, from a file as `triton.jit` wants it."""
    functions = sorted({f for kernel in kernels for f in kernel.functions})
    head = HEAD
    for name in functions:
        place = next(place for place, known in TRITON_PLACES.items() if name in known)
        head += f"from stepc.runtime.{place} import {name}\n"
    folder = Path(tempfile.mkdtemp(prefix="stepc-triton-"))
    path = folder / f"{name}.py"
    path.write_text(head + "\n\n" + "\n\n".join(kernel.text for kernel in kernels))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_triton(plan: Plan, tensors: list[Tensor], hypers: Mapping[str, float]) -> None:
    """Run one step in place, in float32 (float64 where param is)."""
    import triton.language as tl

    real = tensors[0].streams["param"].dtype.type
    real = np.float64 if real is np.float64 else np.float32
    for tensor in tensors:
        allocate(plan, tensor, hypers, real)
    kept = [{k: torch.from_numpy(v) for k, v in t.streams.items()} for t in tensors]
    dtype = tl.float64 if real is np.float64 else tl.float32
    constants = {"PARAM": dtype, "GRAD": dtype, "REAL": dtype, "ALIGNED": False, "BLOCK": BLOCK}
    tables = {
        "pointers": torch.tensor([[k[s.name].data_ptr() for s in plan.streams] for k in kept]),
        "shapes": torch.tensor(
            [
                [t.numel, t.rows, t.cols, *(int(fact(e, t, hypers)) for e in plan.sizes)]
                for t in tensors
            ]
        ),
        "scalars": torch.tensor(
            [[fact(e, t, hypers) for _, e in plan.scalars] for t in tensors], dtype=torch.float64
        ),
        "values": torch.full((len(tensors), max(len(plan.values), 1)), np.nan, dtype=torch.float64),
        "totals": torch.full((max(len(plan.totals), 1),), np.nan, dtype=torch.float64),
    }  # fmt: skip
    kernels = kernels_of(plan, "test")
    module = module_of(kernels, "kernels")
    width = max((len(sweep.partials) for sweep in plan.sweeps), default=0)
    for step, text in zip(plan.steps, kernels, strict=True):
        if isinstance(step, Sweep):
            columns = step.cell is not None and step.cell.kind == "cols"
            tasks, spans = tasks_of(step.cell, tensors, hypers, TASK, 16 if columns else 1)
            tables |= {"tasks": torch.from_numpy(tasks), "spans": torch.from_numpy(spans)}
            if width:
                tables["partials"] = torch.full((len(tasks), width), np.nan, dtype=torch.float64)
            grid = len(tasks)
        else:
            grid = len(tensors) if step.level.kind == "tensor" else 1
        arguments = [len(tensors) if t == "count" else tables[t] for t in text.tables]
        function = getattr(module, text.name)
        function = getattr(function, "compiled", function)
        function[(grid,)](*arguments, **{name: constants[name] for name in text.constants})


# ---------------------------------------------------------------- plans

HYPERS = {
    "grad_scale": 1.0, "beta1": 0.9, "alpha1": 0.1, "beta2": 0.99, "alpha2": 0.01, "eps": 1e-6,
    "correction2": 3.0, "decay": 0.99, "rate": 0.01, "lr": 0.1, "n": 4,
}  # fmt: skip
SHAPES = ((40, 37), (8, 1024), (4, 1), (16, 3000))


def plans() -> Iterator[tuple[str, Program]]:
    four = Read("hyper", "n", level=GLOBAL, host=True, span=SPAN)
    levels = {
        "rows": ROWS,
        "cols": COLS,
        "heads": Level("heads", (four,)),
        "chunks of 256": Level("chunks", (Const(256, level=GLOBAL, host=True, span=SPAN),)),
        "chunks of 300": Level("chunks", (Const(300, level=GLOBAL, host=True, span=SPAN),)),
        "tiles": Level("tiles", (four, Const(300, level=GLOBAL, host=True, span=SPAN))),
    }
    yield "flat", adamw()
    yield "two passes", lamb()
    yield "values per row and column", factored()
    yield "norm over all tensors", clipped()
    yield "maximum per tensor", largest()
    yield from ((name, per_cell(level)) for name, level in levels.items())


def factored() -> Program:
    """A flat sweep that reads one number per row and one per column."""
    h = Hand()
    param, grad, r, c = h.load("param"), h.load("grad"), h.load("r", ROWS), h.load("c", COLS)
    size = h.do("add", h.do("mul", h.do("abs", r), h.do("abs", c)), 0.1)
    h.store("param", h.do("sub", param, h.do("div", grad, size)))
    return h.program("factored")


def clipped() -> Program:
    """The gradient's norm over all tensors."""
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    norm = h.do("sqrt", h.do("sum", h.do("mul", grad, grad), per=GLOBAL), label="norm")
    share = h.do("minimum", h.do("div", 1.0, norm), 1.0, label="share")
    h.store("param", h.do("sub", param, h.do("mul", share, grad)))
    return h.program("clipped")


def largest() -> Program:
    """The largest entry, of which one tensor's is NaN, and the norms' sum over all tensors."""
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    top = h.do("max", grad, per=TENSOR, label="top")
    norm = h.do("sqrt", h.do("sum", h.do("mul", param, param), per=TENSOR), label="norm")
    norms = h.do("sum", norm, per=GLOBAL, label="norms")
    h.store("param", h.do("sub", param, h.do("add", top, h.do("div", norm, norms))))
    return h.program("largest")


def plan_error(program: Program) -> float:
    """The largest relative error over all streams of all tensors, after one step."""
    rng = np.random.default_rng(3)
    tensors = [Tensor(rows, cols, {}) for rows, cols in SHAPES]
    for tensor in tensors:
        for stream in program.streams:
            values = rng.normal(size=cell_shape(stream.level, tensor, HYPERS)[0])
            positive = np.abs(values) if stream.name == "v" else values
            tensor.streams[stream.name] = positive.astype(np.float32)
    if program.name == "largest":
        tensors[1].streams["grad"][5000] = np.nan
    want = expected(program, copy.deepcopy(tensors), HYPERS)
    run_triton(schedule(program), tensors, HYPERS)
    return max(
        _error(tensor.streams[name], values, 1e-3)
        for tensor, streams in zip(tensors, want, strict=True)
        for name, values in streams.items()
    )


# ---------------------------------------------------------------- functions

RANGE = np.concatenate([np.linspace(-20, 20, 1001), [0.0, 1e-6, -1e-6, 3e-5, 0.5, -0.5, 2.5]])
PAIRS: dict[str, Callable[..., np.ndarray]] = {
    "modulo": np.mod, "atan2": np.arctan2, "larger": np.maximum, "smaller": np.minimum,
}  # fmt: skip
SINGLE: dict[str, Callable[..., np.ndarray]] = {
    "sign": np.sign, "round_even": np.round, "cbrt": np.cbrt, "log1p": np.log1p, "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0), "tan": np.tan, "atan": np.arctan,
}  # fmt: skip


def functions() -> Iterator[tuple[str, float]]:
    np.seterr(divide="ignore", invalid="ignore")  # branches not taken
    x = RANGE.astype(np.float32)
    y = np.roll(x, 17)
    for name, truth in SINGLE.items():
        given = np.abs(x) if name == "log1p" else x
        yield name, _error(_call(name, given), truth(given.astype(np.float64)))
    for name, truth in PAIRS.items():
        below = np.where(y == 0, np.float32(1), y) if name == "modulo" else y
        yield name, _error(_call(name, x, below), truth(x.astype(float), below.astype(float)))
    yield (
        "power",
        _error(
            _call("power", np.abs(x), y / 10),
            np.power(np.abs(x).astype(float), (y / 10).astype(float)),
        ),
    )
    nan = np.array([np.nan, 1.0, np.nan], np.float32)
    other = np.array([1.0, np.nan, np.nan], np.float32)
    lost = [~np.isnan(_call(name, nan, other)).all() for name in ("larger", "smaller")] + [
        not np.isnan(_call("sign", nan)[0])
    ]
    yield "nan passes", float(any(lost))
    yield "round_by_chance", float(not stochastic_rounding_is_as_defined())


def stochastic_rounding_is_as_defined() -> bool:
    """Bit for bit, and unbiased: the mean of many roundings is the number itself."""
    size, key = 4096, 0x9ABCDEF1
    x = np.full(size, 1.0 + 3 / 1024, np.float32)
    x[:3] = np.inf, np.nan, -3.14159
    found = _call("rounded", x)
    index = np.arange(size, dtype=np.uint64) + (1 << 33)
    low, high = (index & 0xFFFFFFFF).astype(np.uint32), (index >> 32).astype(np.uint32)
    chance = _mixed(low * np.uint32(0x9E3779B1) + np.uint32(key) + _mixed(high)) & 0xFFFF
    bits = ((x.view(np.uint32) + chance) & np.uint32(0xFFFF0000)).view(np.float32)
    want = np.where(np.isfinite(x), bits, x)
    fair = abs(float(np.mean(found[3:])) - float(x[3])) < 1e-4
    return bool(np.array_equal(found, want, equal_nan=True)) and fair


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def _taken_from_elementary(name: str) -> list[str]:
    """Lines that define `name`; `rounded` is a rounding with a fixed key, far into a tensor."""
    source = "round_by_chance" if name == "rounded" else name
    lines = [
        f"from stepc.runtime.elementary import {source}",
        f"{source} = getattr({source}, 'compiled', {source})",
    ]
    if name == "rounded":
        lines += [
            "@triton.jit", "def rounded(x):",
            "    index = tl.arange(0, x.shape[0]).to(tl.int64) + (1 << 33)",
            "    key = tl.full((), 0x9ABCDEF1, tl.uint32)",
            "    base = index - tl.arange(0, x.shape[0])",
            "    return round_by_chance(x, key, index, base, tl.bfloat16)",
        ]  # fmt: skip
    return lines


def _call(name: str, *args: np.ndarray) -> np.ndarray:
    """A device function on arrays: the interpreter's tensors wrap numpy's."""
    import triton

    module = module_of([], "caller")
    parameters = ", ".join(f"x{k}" for k in range(len(args)))
    text = [
        "import triton", "import triton.language as tl",
        *_taken_from_elementary(name),
        "@triton.jit", f"def call(out, {parameters}, N: tl.constexpr):",
        "    at = tl.arange(0, N)",
        *(f"    x{k} = tl.load(x{k} + at)" for k in range(len(args))),
        f"    tl.store(out + at, {name}({parameters}))",
    ]  # fmt: skip
    path = Path(module.__file__ or "").with_name(f"call_{name}.py")
    path.write_text("\n".join(text))
    spec = importlib.util.spec_from_file_location(f"call_{name}", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    size = triton.next_power_of_2(len(args[0]))
    padded = [torch.from_numpy(np.resize(a, size).astype(np.float32)) for a in args]
    out = torch.empty(size)
    made.call[(1,)](out, *padded, N=size)
    return out.numpy()[: len(args[0])]


def _error(found: np.ndarray, truth: np.ndarray, least: float = 1e-12) -> float:
    """The largest relative error; NaN must be where it should be."""
    with np.errstate(invalid="ignore"):
        error = np.abs(found - truth) / (np.abs(truth) + least)
    same = (found == truth) | (np.isnan(found) & np.isnan(truth))
    error = np.where(same, 0, error)
    return float("inf") if np.isnan(error).any() else float(np.max(error))


# ---------------------------------------------------------------- optimizers

WEIGHTS = {"layers.0.attn.q_proj.weight": (24, 32), "embed.weight": (70, 67), "norm.bias": (45,)}
ARGUMENTS = {"AdamMini": {"num_heads": 4}, "Ranger21": {"total": 20}}
MATRICES_ONLY = {"MuonMatrix"}
STEPS = 3


def optimizers() -> Iterator[type[CompiledOptimizer]]:
    """Every prebuilt optimizer."""
    for found in pkgutil.iter_modules(stepc.generated.__path__):
        module = importlib.import_module(f"stepc.generated.{found.name}")
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


def optimizer_error(kind: type[CompiledOptimizer], dtype: torch.dtype) -> tuple[float, float]:
    """How far three steps in Triton and in torch end apart, in units of the steps taken; and how
    far from the border between two codes those values are of which Triton stores the other one, in
    units of rounding. Every step begins with the codes of the definition, in both."""
    start = weights(kind, dtype)
    runs = {target: begun(kind, dtype) for target in ("triton", "torch")}
    definition = Definition(kind.__name__, start)
    generator, farthest = torch.Generator().manual_seed(6), 0.0
    for step in range(STEPS):
        grads = [torch.randn(w.shape, generator=generator, dtype=dtype) for w in start.values()]
        loss = 2.0 - step / 4  # for the rules that read it
        for target, (params, optimizer) in runs.items():
            for param, grad in zip(params.values(), grads, strict=True):
                param.grad = grad.clone()
            with use_target(target):
                optimizer.step(loss=loss)
        states = [[run[1].state[p] for p in run[0].values()] for run in runs.values()]
        if definition.coded:
            farthest = max(farthest, definition.step(grads, loss, *states))
    one, other = ({n: p.detach() for n, p in run[0].items()} for run in runs.values())
    apart = max(
        float((one[name] - other[name]).abs().max() / (other[name] - start[name]).abs().max())
        for name in start
    )
    return apart, farthest


class Definition:
    """The interpreter beside a target, to say which codes it should store."""

    def __init__(self, name: str, start: dict[str, torch.Tensor]) -> None:
        model = load(name)
        self.coded = layouts(model)
        self.tensors = [Given(n, w.double().numpy(), "float32") for n, w in start.items()]
        self.run = Interpreter(model, self.tensors, [ARGUMENTS.get(name, {})])

    def step(self, grads: list[torch.Tensor], loss: float, *runs: list[dict[str, Any]]) -> float:
        """Take a step, and give its codes to all `runs`; how far beyond the borders of its codes
        any value of the first lies. Raises AssertionError where one is no neighbour."""
        before = [dict(state) for state in self.run.states]
        self.run.step([grad.double().numpy() for grad in grads], loss=loss)
        farthest = 0.0
        for k, tensor in enumerate(self.tensors):
            for name, layout in self.coded.items():
                if name + "_scale" not in runs[0][k]:
                    continue  # a small tensor's state, which is float32
                exact = self.run._own[k].present[name].data
                old = np.asarray(before[k].get(name, np.zeros(tensor.value.shape)))
                wanted = layout.store(exact, tensor.value.shape[-1])
                stored = {suffix: runs[0][k][name + suffix] for suffix in wanted}
                found = compare(layout, exact, old, wanted, stored)
                assert found.wrong == 0, (tensor.name, name, found)
                farthest = max(farthest, found.farthest)
                for run in runs:
                    for suffix, codes in wanted.items():
                        copy_to(run[k][name + suffix], codes)
        return farthest


def weights(kind: type[CompiledOptimizer], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Parameters by name, the same ones every time."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(shape, generator=generator, dtype=dtype)
        for name, shape in WEIGHTS.items()
        if len(shape) == 2 or kind.__name__ not in MATRICES_ONLY
    }


def begun(
    kind: type[CompiledOptimizer], dtype: torch.dtype
) -> tuple[dict[str, torch.nn.Parameter], Any]:
    """Parameters and an optimizer of them."""
    params = {name: torch.nn.Parameter(w) for name, w in weights(kind, dtype).items()}
    make: Any = kind
    return params, make(list(params.items()), **ARGUMENTS.get(kind.__name__, {}))


def main() -> None:
    torch.set_num_threads(1)
    errors = {f"plan/{name}": plan_error(program) for name, program in plans()}
    errors |= {f"function/{name}": error for name, error in functions()}
    for kind in optimizers():
        apart, farthest = optimizer_error(kind, torch.float32)
        errors |= {f"optimizer/{kind.__name__}": apart, f"border/{kind.__name__}": farthest}
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
