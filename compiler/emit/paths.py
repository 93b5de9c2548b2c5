"""A plan as the literal that the runtime reads: streams, then the steps with their kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...dsl.levels import ELEMENT, Level
from ...dsl.model import Const
from ..ir import Stream
from ..plan import Finish, MatrixStep, Plan, PlanStep, Slot, Sweep
from .emitted import Emitted
from .kernels import Kernels
from .layout import Group, call, tuple_of


def path_literal(plan: Plan, place: int, kernels: Kernels, made: Mapping[str, Emitted]) -> Group:
    """`Path(streams=..., steps=...)`"""
    steps: list[Group | str] = []
    for number, step in enumerate(plan.steps):
        name = kernels.of(place, number).name
        steps.append(_step(plan, step, name, made[name]))
    parts: list[Group | str] = [
        tuple_of("streams", [stream_literal(plan, stream) for stream in plan.streams]),
        tuple_of("steps", steps),
    ]
    if not plan.program.counts:
        parts.append("counts=False")
    return call("Path", parts)


def level_literal(plan: Plan, level: Level) -> str:
    """`"rows"`, `("chunks", 256)`, `("heads", "size 0")`"""
    if not level.args:
        return f'"{level.kind}"'
    sizes = [
        str(arg.value) if isinstance(arg, Const) else f'"size {plan.sizes.index(arg)}"'
        for arg in level.args
    ]
    return f'("{level.kind}", {", ".join(sizes)})'


def stream_literal(plan: Plan, stream: Stream) -> Group:
    parts: list[Group | str] = [f'"{stream.name}"']
    dtype, start = stream.dtype, stream.initial
    if stream.dtype == "uint4":
        parts.append(f'("packed", {stream.block}, {stream.plane})')
        dtype, start = "uint8", 17.0 * float(start)
    if stream.level != ELEMENT:
        parts.append(level_literal(plan, stream.level))
    if dtype != "real":
        parts.append(f'dtype="{dtype}"')
    if start != 0.0:
        parts.append(f'initial="{start}"' if isinstance(start, str) else f"initial={start!r}")
    if stream.name in ("param", "grad"):
        parts.append(f'kind="{stream.name}"')
    elif any(stream == band.stream for sweep in plan.sweeps for band in sweep.begins):
        parts.append('kind="bands"')
    elif stream not in plan.program.streams:
        parts.append('kind="temporary"')
    return call("Stream", parts)


def words(name: str, words: Sequence[str]) -> Group:
    return tuple_of(name, [f'"{word}"' for word in words])


def _numbers(name: str, numbers: Sequence[int]) -> list[Group | str]:
    return [tuple_of(name, [str(n) for n in numbers])] if numbers else []


def _step(plan: Plan, step: PlanStep, name: str, emitted: Emitted) -> Group:
    torch = emitted.torch
    parts: list[Group | str] = [f'"{name}"']
    loads = words("loads", [s.name for s in step.loads])
    stores = words("stores", [s.stream.name for s in step.stores])
    match step:
        case Sweep():
            parts += [loads, stores]
            if step.cell is not None:
                parts.append(f"cell={level_literal(plan, step.cell)}")
            if step.partials:
                parts.append(words("partials", [p.kind for p in step.partials]))
        case Finish():
            parts += _finish(plan, step)
            parts += [loads] if step.loads else []
            parts += [stores] if step.stores else []
        case MatrixStep():
            parts += [loads, stores]
    for label, numbers in (
        ("scalars", torch.scalars), ("values", torch.values), ("totals", torch.totals),
    ):  # fmt: skip
        parts += _numbers(label, numbers)
    if not isinstance(step, Finish):
        parts += _numbers("sizes", torch.sizes)
    if emitted.c is not None:
        parts.append(words("tables", emitted.c.tables))
        parts += [f"multiple={emitted.c.multiple}"] if emitted.c.multiple > 1 else []
        parts += _numbers("tile", emitted.c.tile)
    if emitted.triton is not None:
        parts.append(f"triton={emitted.triton.name}")
        parts.append(words("triton_tables", emitted.triton.tables))
        if isinstance(step, Sweep):
            block, alive = emitted.triton.block, emitted.triton.alive
            parts.append(f"triton_block={block}" if block else f"triton_alive={alive}")
    parts.append(f"torch={torch.name}")
    return call({Sweep: "Sweep", Finish: "Finish", MatrixStep: "Matrix"}[type(step)], parts)


def _finish(plan: Plan, step: Finish) -> list[Group | str]:
    def column(slot: Slot) -> int:
        return (plan.values if slot.level.kind == "tensor" else plan.totals).index(slot)

    before = [s for s in plan.steps[: plan.steps.index(step)] if isinstance(s, Sweep)]
    begun = [partial.slot for partial in before[-1].partials] if before else []
    parts: list[Group | str] = [f'"{step.level.kind}"']
    if step.completes:
        entries = [
            f'({column(slot)}, "{kind}", {begun.index(slot)})' for slot, kind in step.completes
        ]
        parts.append(tuple_of("completes", entries))
    if step.gathers:
        entries = [f'({column(s)}, "{kind}", {column(of)})' for s, kind, of in step.gathers]
        parts.append(tuple_of("gathers", entries))
    parts += _numbers("results", [column(slot) for slot, _ in step.values])
    return parts
