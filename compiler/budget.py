"""What a kernel may cost on a GPU, and what it costs too much of.

    excess(figures, plan, step, "float32", "sm_90", each=8)
                                                      {"registers": "72 registers, at most 64"}

`figures` are those of `Report.figures`; `each` is how many values of a stream a thread takes at
once. Bytes are not the only limit: while an H200 moves one, it can issue 7.2 instructions and 0.9
of the special-function or conversion units (a B200 5 instructions); a kernel may use 80 % of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .assembly import family
from .emit.body import stream_of, sweep_body
from .emit.syntaxes import TRITON
from .emit.triton_cells import tile_length
from .ir import Stream
from .plan import Finish, Plan, Sweep, width
from .schedule import traffic

Figures = Mapping[str, Any]

_SHARE = 0.8
_INSTRUCTIONS_PER_BYTE = {"sm_100": 5.0, "sm_120": 5.0}
_OF_HOPPER = 7.2
_SPECIAL_PER_BYTE = 0.9
_MOST_REGISTERS = {"sm": 64, "gfx": 128}
"""With so many, 1,024 threads fit on a multiprocessor or compute unit."""
_LEAST_FLIGHT = {"sm": 25_000, "gfx": 12_500}
"""Bytes asked for in 0.7 us: 4.8 TB/s among 132 multiprocessors, 5.3 TB/s among 304 units."""
_VECTOR = 16


def excess(
    figures: Figures, plan: Plan, step: Sweep | Finish, dtype: str, target: str, each: float
) -> dict[str, str]:
    """Every figure that is too much (or, of bytes in flight, too little), and why in words; empty
    if the kernel is inside its budget."""
    found = dict(_faults(figures, dtype, target, step))
    if isinstance(step, Sweep):
        found |= _traffic(figures, plan, step, dtype, target, each)
        found |= _arithmetic(figures, traffic(step, dtype), target)
    return found


def _faults(
    figures: Figures, dtype: str, target: str, step: Sweep | Finish
) -> Iterator[tuple[str, str]]:
    forbidden = ["spills", "stack", "atomics"]
    if isinstance(step, Sweep) and not step.partials and (not step.cell or tile_length(step.cell)):
        forbidden += ["shared", "barriers"]
    if isinstance(step, Sweep) and dtype != "float64":
        forbidden.append("doubles")
    yield from ((x, f"{figures[x]} {x}, none expected") for x in forbidden if figures[x])
    most = _MOST_REGISTERS[family(target)]
    if figures["registers"] > most:
        yield "registers", f"{figures['registers']} registers, at most {most}"


def _arithmetic(figures: Figures, moved: float, target: str) -> Iterator[tuple[str, str]]:
    rate = _INSTRUCTIONS_PER_BYTE.get(target, _OF_HOPPER)
    for name, limit in (("instructions", rate), ("special", _SPECIAL_PER_BYTE)):
        most = _SHARE * limit * moved
        if figures[name] > most:
            yield name, f"{figures[name]:g} {name} per element, at most {most:.1f}"


def _traffic(
    figures: Figures, plan: Plan, sweep: Sweep, dtype: str, target: str, each: float
) -> Iterator[tuple[str, str]]:
    moved = accesses(plan, sweep)
    expected = sum(_lane_bytes(s, sweep, dtype, each) for s in moved)
    if figures["bytes"] != round(expected, 3):
        yield "bytes", f"{figures['bytes']:g} bytes per element, expected {expected:g}"
    vectors = _vectors(moved, sweep, dtype, each)
    for kind in ("loads", "stores"):
        scattered = sorted(set(map(int, figures[kind])) - vectors)
        if scattered:
            widths = ", ".join(map(str, scattered))
            yield kind, f"{kind} of {widths} bytes, expected {sorted(vectors)}"
    least = _LEAST_FLIGHT[family(target)]
    if figures["flight"] < least and any(s.level.kind == "element" for s in sweep.loads):
        yield "flight", f"{figures['flight']} bytes in flight, at least {least}"


def accesses(plan: Plan, sweep: Sweep) -> list[Stream]:
    """Every stream that the loops over elements read or write, once for each time they do. A cell
    that is not one tile is read again in each round, from the cache."""
    lone = sweep.cell is not None and tile_length(sweep.cell) > 0
    body = sweep_body(plan, sweep, TRITON, keep=lone)
    nodes = [node for walk in body.rounds for node in walk.loads]
    nodes = list(dict.fromkeys([*nodes, *body.cell_loads])) if lone else nodes
    stored = [s.stream for s in sweep.stores if lone or s.stream.level != sweep.cell]
    return [*(stream_of(plan, node) for node in nodes), *stored]


def _lane_bytes(stream: Stream, sweep: Sweep, dtype: str, each: float) -> float:
    """Bytes per element that threads ask for; a value per cell is asked for by each of them."""
    return width(stream, dtype) / (each if stream.level == sweep.cell else 1)


def _vectors(moved: list[Stream], sweep: Sweep, dtype: str, each: float) -> set[int]:
    """The widths that accesses may have: as many neighbours as fill 16 bytes of the widest stream,
    or twice as many where a thread has them; a value per cell, row or column by itself."""
    sizes = [width(s, dtype) for s in moved if s.level.kind == "element"]
    lanes = min(each, _VECTOR / max(sizes, default=4))
    found: set[int] = {int(times * lanes * size) for size in sizes for times in (1, 2)}
    found |= {int(width(s, dtype)) for s in moved if s.level.kind != "element"}
    return {size for size in found if size <= _VECTOR}
