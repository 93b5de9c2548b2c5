"""Programs and plans run naively in float64, for testing passes: same meaning before and after.

One tensor, viewed as (rows, cols). A value of any level is kept spread over all elements, so
broadcasting needs no thought; a reduction takes each cell of its argument once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepc.compiler.ir import Node, Program, ordered
from stepc.compiler.plan import Finish, MatrixStep, Plan, Sweep
from stepc.dsl.levels import Level
from stepc.dsl.model import Apply, Const, Expr, Read

Array = np.ndarray


@dataclass(frozen=True)
class World:
    """What a step can read: streams by name (spread to (rows, cols)), hypers and facts."""

    streams: dict[str, Array]
    names: dict[tuple[str, str], float | bool | str]
    shape: tuple[int, int]


def host(expr: Expr, world: World, lets: dict[str, Expr]) -> float:
    """A host expression, evaluated with Python's own arithmetic."""
    match expr:
        case Const(value=value):
            return value  # type: ignore[return-value]
        case Read(kind="local", name=name):
            return host(lets[name], world, lets)
        case Read(kind=kind, name=name):
            return world.names[kind, name]  # type: ignore[return-value]
        case Apply(op="select", args=(c, a, b)):
            return host(a if host(c, world, lets) else b, world, lets)
        case Apply(op=op, args=args):
            values = [np.float64(host(arg, world, lets)) for arg in args]
            return _ELEMENTWISE[op](*values)  # type: ignore[no-any-return]
    raise AssertionError(expr)


def cells(level: Level, shape: tuple[int, int], sizes: Sequence[float] = ()) -> Array:
    """The cell number of every element."""
    rows, cols = shape
    flat = np.arange(rows * cols).reshape(shape)
    match level.kind:
        case "element":
            return flat
        case "rows":
            return flat // cols
        case "cols":
            return flat % cols
        case "heads":
            return flat // (rows * cols // int(sizes[0]))
        case "chunks":
            return flat // int(sizes[0])
        case "tiles":
            height, width = map(int, sizes)
            return flat // cols // height * -(-cols // width) + flat % cols // width
        case _:
            return np.zeros(shape, dtype=int)


_ELEMENTWISE = {
    "neg": lambda a: -a,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "mod": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": np.where,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "floor": np.floor,
    "ceil": np.ceil,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softplus": lambda a: np.log1p(np.exp(a)),
    "atan2": np.arctan2,
    "sin": np.sin,
    "cos": np.cos,
    "lerp": lambda a, b, w: a + w * (b - a),
    "square": lambda a: a * a,
    "spread": lambda a: a,
    "cast": lambda a: a,
    "matmul": lambda a, b: a @ b,
    "transpose": lambda a: a.T,
}
_REDUCE = {"sum": np.sum, "max": np.max, "min": np.min}


def values(
    roots: list[Node], world: World, lets: dict[str, Expr], left: dict[object, Array]
) -> dict[Node, Array]:
    """Every value below `roots`; `left` is what earlier steps left: streams and slots."""
    found: dict[Node, Array] = {}
    for node in ordered(roots):
        args = [found[arg] for arg in node.args]
        match node.op:
            case "load":
                value = world.streams[str(node.attr)]
            case "fresh" | "value":
                value = left[node.attr]
            case "const":
                value = np.asarray(node.attr, dtype=float)
            case "operand":
                value = np.asarray(host(node.attr, world, lets), dtype=float)  # type: ignore[arg-type]
            case "sum" | "max" | "min":
                value = _reduction(node, args[0], world, lets)
            case op:
                value = np.asarray(_ELEMENTWISE[op](*args))
        found[node] = value
    return found


def _sizes(level: Level, world: World, lets: dict[str, Expr]) -> list[float]:
    return [host(arg, world, lets) for arg in level.args]


def _reduction(node: Node, x: Array, world: World, lets: dict[str, Expr]) -> Array:
    if x.ndim == 2 and x.shape != world.shape:
        return np.asarray(_REDUCE[node.op](x))  # a matrix of a shape of its own, to one value
    x = np.broadcast_to(np.asarray(x, dtype=float), world.shape)
    fine = cells(node.args[0].level, world.shape, _sizes(node.args[0].level, world, lets))
    coarse = cells(node.level, world.shape, _sizes(node.level, world, lets))
    _, first = np.unique(fine, return_index=True)
    keys, taken = coarse.ravel()[first], x.ravel()[first]
    result = np.empty(world.shape)
    for cell in np.unique(coarse):
        result[coarse == cell] = _REDUCE[node.op](taken[keys == cell])
    return result


def run_program(program: Program, world: World) -> dict[str, Array]:
    """What the program stores, by stream."""
    found = values([s.value for s in program.stores], world, dict(program.lets), {})
    return {s.stream.name: found[s.value] for s in program.stores}


def run_plan(plan: Plan, world: World) -> dict[str, Array]:
    """What the plan stores, step by step; temporaries included."""
    lets = dict(plan.program.lets)
    left: dict[object, Array] = {}
    stored: dict[str, Array] = {}
    sums: dict[object, Array] = {}
    for step in plan.steps:
        written: dict[str, Array] = {}
        match step:
            case Sweep():
                found = values(step.roots(), world, lets, left)
                for partial in step.partials:
                    total = Node(partial.kind, (partial.value,), partial.slot.level)
                    sums[partial.slot] = _reduction(total, found[partial.value], world, lets)
            case Finish():
                for slot, _ in step.completes:
                    left[slot] = sums[slot]
                for slot, _, of in step.gathers:
                    left[slot] = left[of]
                roots = [n for _, n in step.values] + [s.value for s in step.stores]
                found = values(roots, world, lets, left)
                for slot, node in step.values:
                    left[slot] = found[node]
            case MatrixStep():
                found = values([s.value for s in step.stores], world, lets, left)
        for store in step.stores:
            written[store.stream.name] = found[store.value]
        stored |= written
        left |= written
    return stored


def close(a: Array, b: Array) -> bool:
    """Equal up to reassociation in float64, at the scale of the larger of the two."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    scale = max(
        float(np.nanmax(np.abs(a), initial=0)), float(np.nanmax(np.abs(b), initial=0)), 1e-300
    )
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)) and math.isfinite(
        scale
    )
