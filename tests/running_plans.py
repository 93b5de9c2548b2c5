"""Running plans without the runtime: C functions on numpy arrays, and what they should compute.

run_c(plan, tensors, hypers)    compiles the plan's functions with the system's compiler
expected(program, ...)          the program's own graph, evaluated in float64
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stepc.compiler.emit.c import CFunction, c_function, c_module
from stepc.compiler.ir import Node, Program, Stream, ordered
from stepc.compiler.plan import Finish, Plan, Sweep
from stepc.compiler.text import show_host
from stepc.dsl.levels import Level
from stepc.dsl.model import Const, Expr, Read, constant
from stepc.dsl.source import NOWHERE

FLAGS = ("-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math")
FACTS = ("numel", "rows", "cols")
DTYPES = {"f32": np.float32, "f64": np.float64, "bf16": np.uint16, "f16": np.float16}


@dataclass
class Tensor:
    """A parameter's shape and the arrays of its streams, as they lie in memory."""

    rows: int
    cols: int
    streams: dict[str, np.ndarray]

    @property
    def numel(self) -> int:
        return self.rows * self.cols


def fact(expr: Expr, tensor: Tensor, hypers: Mapping[str, float]) -> float:
    match expr:
        case Const(value=value):
            return float(value)
        case Read(kind="fact", name=name):
            return float(getattr(tensor, name))
        case Read(name=name):
            return hypers[name]
        case _:
            raise AssertionError(expr)


def operand(expr: Expr, tensor: Tensor, hypers: Mapping[str, float]) -> float:
    """The value of a host operand: of a plain name what `hypers` says, else any number that
    depends on the expression alone."""
    if isinstance(expr, Read) and (
        expr.name in hypers or (expr.kind == "fact" and expr.name in FACTS)
    ):
        return fact(expr, tensor, hypers)
    digest = hashlib.sha256(show_host(expr).encode()).digest()
    return 0.1 + 0.8 * digest[0] / 256


def cell_shape(level: Level, tensor: Tensor, hypers: Mapping[str, float]) -> tuple[int, int]:
    """(how many cells, how long each is)"""
    n, *others = [int(fact(arg, tensor, hypers)) for arg in level.args] or [0]
    match level.kind:
        case "element":
            return tensor.numel, 1
        case "rows":
            return tensor.rows, tensor.cols
        case "cols":
            return tensor.cols, tensor.rows
        case "heads":
            return n, tensor.numel // n
        case "chunks":
            return -(-tensor.numel // n), n
        case "tiles":
            (width,) = others
            return -(-tensor.rows // n) * -(-tensor.cols // width), n * width
        case _:
            return 1, tensor.numel


# ---------------------------------------------------------------- the definition


def cell_of(level: Level, tensor: Tensor, hypers: Mapping[str, float]) -> np.ndarray:
    """For each element the number of its cell."""
    index = np.arange(tensor.numel)
    if level.kind == "cols":
        return index % tensor.cols
    if level.kind == "tiles":
        height, width = (int(fact(arg, tensor, hypers)) for arg in level.args)
        across = -(-tensor.cols // width)
        return index // tensor.cols // height * across + index % tensor.cols // width
    return index // cell_shape(level, tensor, hypers)[1]


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "abs": np.abs, "sign": np.sign,
    "maximum": np.maximum, "minimum": np.minimum, "floor": np.floor, "ceil": np.ceil,
    "tanh": np.tanh, "atan2": np.arctan2, "pow": np.power, "mod": np.mod, "round": np.round,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sign_bit": lambda x: np.where(x < 0, -1.0, 1.0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.logaddexp(x, 0),
    "clamp": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
    "where": np.where, "sin": np.sin, "cos": np.cos, "exp2": np.exp2, "log2": np.log2,
    "tan": np.tan, "atan": np.arctan, "cbrt": np.cbrt,
}  # fmt: skip


def expected(
    program: Program, tensors: list[Tensor], hypers: Mapping[str, float]
) -> list[dict[str, np.ndarray]]:
    """What each stream holds after the step, in float64, one value per cell of its level."""
    values: dict[Node, list[np.ndarray]] = {}
    for node in ordered(s.value for s in program.stores):
        args = [values[arg] for arg in node.args]
        if node.op in ("sum", "max", "min"):
            values[node] = reduce(node, args[0], tensors, hypers)
            continue
        values[node] = [
            evaluate(node, [arg[k] for arg in args], tensor, hypers)
            for k, tensor in enumerate(tensors)
        ]
    return [
        {
            s.stream.name: compact(values[s.value][k], s.stream, tensor, hypers)
            for s in program.stores
        }
        for k, tensor in enumerate(tensors)
    ]


def evaluate(
    node: Node, args: list[np.ndarray], tensor: Tensor, hypers: Mapping[str, float]
) -> np.ndarray:
    match node.op:
        case "const":
            return np.full(tensor.numel, node.attr)
        case "operand":
            return np.full(tensor.numel, operand(node.attr, tensor, hypers))
        case "load":
            stored = tensor.streams[str(node.attr)].astype(np.float64)
            return stored[cell_of(node.level, tensor, hypers)]
        case "spread":
            return args[0]
        case op:
            numbers = [
                np.asarray(a, float) if op not in ("and", "or", "not", "where") else a for a in args
            ]
            return OPERATIONS[op](*numbers)


def reduce(
    node: Node, args: list[np.ndarray], tensors: list[Tensor], hypers: Mapping[str, float]
) -> list[np.ndarray]:
    """One value per cell, repeated for each element; a cell of the argument counts once."""
    combine = {"sum": np.sum, "max": np.max, "min": np.min}[node.op]
    source = node.args[0].level
    compacts = [
        compact(a, Stream("", source), t, hypers) for a, t in zip(args, tensors, strict=True)
    ]
    if node.level.kind == "global":
        whole = combine(np.concatenate(compacts))
        return [np.full(t.numel, whole) for t in tensors]
    results = []
    for x, tensor in zip(compacts, tensors, strict=True):
        if source.kind == "element":
            cells = cell_of(node.level, tensor, hypers)
        else:
            cells = np.zeros(len(x), int)
        per_cell = np.array([combine(x[cells == c]) for c in range(cells.max() + 1)])
        results.append(per_cell[cell_of(node.level, tensor, hypers)])
    return results


def compact(
    x: np.ndarray, stream: Stream, tensor: Tensor, hypers: Mapping[str, float]
) -> np.ndarray:
    """One value per cell of the stream's level."""
    if stream.level.kind == "element":
        return x
    if stream.level.is_coarse:
        return x[:1]
    _, first = np.unique(cell_of(stream.level, tensor, hypers), return_index=True)
    return x[first]


# ---------------------------------------------------------------- C


def c_text(plan: Plan) -> tuple[list[CFunction], str]:
    functions = [c_function(plan, step, step.name) for step in plan.steps]  # type: ignore[arg-type]
    width = max([len(s.partials) for s in plan.sweeps], default=0)
    return functions, c_module(functions, "A test", values=len(plan.values), partials=width)


def compile_c(text: str, param: str, grad: str) -> ctypes.CDLL:
    folder = Path(tempfile.gettempdir()) / "stepc-test-emit"
    folder.mkdir(exist_ok=True)
    key = hashlib.sha256(f"{text}{param}{grad}{FLAGS}".encode()).hexdigest()[:20]
    source, made = folder / f"{key}.c", folder / f"{key}.so"
    if not made.exists():
        source.write_text(text)
        command = [
            "gcc",
            *FLAGS,
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-DPARAM={param}",
            f"-DGRAD={grad}",
        ]
        command += ["-shared", "-fPIC", str(source), "-o", str(made), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + text
    return ctypes.CDLL(str(made))


def allocate(plan: Plan, tensor: Tensor, hypers: Mapping[str, float], real: type) -> None:
    """Make the streams that a plan adds: temporaries and per-cell buffers."""
    for stream in plan.streams:
        count, _ = cell_shape(stream.level, tensor, hypers)
        tensor.streams.setdefault(stream.name, np.zeros(count, real))


def run_c(
    plan: Plan, tensors: list[Tensor], hypers: Mapping[str, float], *, param: str = "f32",
    grad: str = "f32", task_size: int = 4096,
) -> None:  # fmt: skip
    """Run one step in place."""
    functions, text = c_text(plan)
    library = compile_c(text, param, grad)
    real = np.float64 if param == "f64" else np.float32
    for tensor in tensors:
        allocate(plan, tensor, hypers, real)
    tables = _tables(plan, tensors, hypers)
    for step, function in zip(plan.steps, functions, strict=True):
        if isinstance(step, Sweep):
            tile = Level("tiles", tuple(constant(size, NOWHERE) for size in function.tile))
            cut = (tile, 1) if function.tile else (step.cell, task_size)
            multiple = function.multiple
            tables["tasks"], tables["spans"] = tasks_of(cut[0], tensors, hypers, cut[1], multiple)
            width = max(len(s.partials) for s in plan.sweeps)
            if step.partials:
                tables["partials"] = np.full((len(tables["tasks"]), width), np.nan)
        count = len(tables["tasks"]) if isinstance(step, Sweep) else len(tensors)
        pointers = [tables[t].ctypes.data_as(ctypes.c_void_p) for t in function.tables]
        library[function.name](ctypes.c_int64(count), *pointers)
        assert isinstance(step, Sweep | Finish)


def _tables(
    plan: Plan, tensors: list[Tensor], hypers: Mapping[str, float]
) -> dict[str, np.ndarray]:
    def sizes(tensor: Tensor) -> list[int]:
        return [int(fact(expr, tensor, hypers)) for expr in plan.sizes]

    def scalars(tensor: Tensor) -> list[float]:
        return [operand(expr, tensor, hypers) for _, expr in plan.scalars]

    def addresses(tensor: Tensor) -> list[int]:
        return [tensor.streams[stream.name].ctypes.data for stream in plan.streams]

    return {
        "pointers": np.array([addresses(t) for t in tensors]),
        "shapes": np.array([[t.numel, t.rows, t.cols, *sizes(t)] for t in tensors]),
        "scalars": np.array([scalars(t) for t in tensors], float),
        "values": np.full((len(tensors), max(len(plan.values), 1)), np.nan),
        "totals": np.full(max(len(plan.totals), 1), np.nan),
        "partials": np.zeros((1, 1)),
    }


def tasks_of(
    cell: Level | None,
    tensors: list[Tensor],
    hypers: Mapping[str, float],
    size: int,
    multiple: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of about `size` elements, of whole cells and a `multiple` of them: (tensor, from, to)
    each; and for each tensor the first of its pieces and how many there are."""
    tasks: list[tuple[int, int, int]] = []
    spans: list[tuple[int, int]] = []
    for row, tensor in enumerate(tensors):
        count, length = tensor.numel, 1
        if cell is not None:
            count, length = cell_shape(cell, tensor, hypers)
        each = -(-max(1, size // length) // multiple) * multiple
        first = len(tasks)
        tasks += [(row, b, min(b + each, count)) for b in range(0, count, each)]
        spans.append((first, len(tasks) - first))
    return np.array(tasks), np.array(spans)
