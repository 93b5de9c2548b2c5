"""The plan: in how many passes over memory a program runs, and what each one moves.

    sweep 1   load param grad m v   store m v   reduce sum(param^2), sum(u^2) per tensor
    finish    ratio = ... per tensor
    sweep 2   load param m v        store param

A `Sweep` is one pass over all elements of all tensors that follow this path. A `Finish` is
arithmetic on a few numbers per tensor (or for a group, or all of them) between two sweeps. A
`MatrixStep` runs matrix products on whole tensors through torch. Each has its own small graph whose
leaves are loads, operands and what earlier steps left behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from ..dsl import model
from ..dsl.levels import Level
from .ir import Node, Program, Store, Stream


@dataclass(frozen=True, slots=True)
class Slot:
    """A small number kept between steps: one per tensor, one per group, or one in all. `key` tells
    it from others: a reduction over several tensors has the same one on every path."""

    name: str = field(compare=False)
    level: Level
    key: str = ""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.name)


@dataclass(frozen=True, slots=True)
class Partial:
    """A reduction that a sweep begins (one partial result per task, in a fixed slot) and the next
    `Finish` of `slot.level` completes. kind: sum, max, min."""

    slot: Slot
    kind: str
    value: Node


@dataclass(frozen=True, slots=True)
class Band:
    """A sum per column in two steps (`bands.py`): of each band of rows one number per column in
    `stream`, by a sweep over rows; then `total`, by a sweep over columns."""

    stream: Stream
    total: Node


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass over memory. With `cell` (rows, heads(n), chunks(n), ...) each task runs over whole
    cells, so reductions per cell are finished inside the pass; their nodes are in the graph as
    they are. `loads` and `stores` name every stream moved, `spills` are temporaries it writes,
    `cells` are per-cell results it leaves for a later step. `begins` and `resumes`: what C sums by
    bands of rows, here and in another sweep."""

    name: str
    cell: Level | None
    loads: tuple[Stream, ...]
    stores: tuple[Store, ...]
    partials: tuple[Partial, ...] = ()
    begins: tuple[Band, ...] = ()
    resumes: tuple[Band, ...] = ()

    def roots(self) -> list[Node]:
        return [s.value for s in self.stores] + [p.value for p in self.partials]


@dataclass(frozen=True, slots=True)
class Finish:
    """Completes the partials of the sweep before it and computes values per tensor, group or all.

    `completes`: slots whose partial results (slot.name, kind) are combined first; `gathers`:
    reductions over one value per tensor (result slot, kind, slot reduced). `values`: (slot, node);
    `stores`: states of this level.
    """

    name: str
    level: Level
    completes: tuple[tuple[Slot, str], ...]
    gathers: tuple[tuple[Slot, str, Slot], ...]
    values: tuple[tuple[Slot, Node], ...]
    stores: tuple[Store, ...] = ()
    loads: tuple[Stream, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixStep:
    """Matrix arithmetic through torch, on stacks of tensors of one shape. `loads` are whole
    tensors read (states or temporaries), `stores` whole tensors written."""

    name: str
    loads: tuple[Stream, ...]
    stores: tuple[Store, ...]


PlanStep = Sweep | Finish | MatrixStep


@dataclass(frozen=True, slots=True)
class Plan:
    """How one path runs. `streams`: everything with an address (param, grad, states, temporaries,
    per-cell buffers), in the order of the pointer table; `scalars`: host operands in the order of
    the scalar table, with names; `sizes`: host integers that levels need (heads(n)), in the order
    of the shape table after numel, rows, cols; `values`: the slots per tensor; `totals`: those of
    groups and of all, of every path of the module."""

    program: Program
    steps: tuple[PlanStep, ...]
    streams: tuple[Stream, ...]
    temporaries: tuple[Stream, ...]
    scalars: tuple[tuple[str, model.Expr], ...]
    sizes: tuple[model.Expr, ...]
    values: tuple[Slot, ...]
    totals: tuple[Slot, ...]

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        return tuple(step for step in self.steps if isinstance(step, Sweep))


_WIDTH = {
    "float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "uint8": 1, "int32": 4, "int8": 1,
    "int16": 2, "uint4": 0.5,
}  # fmt: skip


def width(stream: Stream, param: str = "float32") -> float:
    """Bytes of one value of `stream` when parameters (and gradients) are of dtype `param`."""
    real = "float64" if param == "float64" else "float32"
    return _WIDTH[{"param": param, "grad": param, "real": real}.get(stream.dtype, stream.dtype)]


def bytes_per_element(stream: Stream, param: str = "float32") -> float:
    """Bytes that one pass over `stream` moves per parameter; 0 for one value per tensor or row
    (their share depends on the shape and is negligible)."""
    if stream.level.kind == "element":
        return float(width(stream, param))
    sizes = [float(size.value) for size in stream.level.args if isinstance(size, model.Const)]
    if stream.level.kind in ("chunks", "tiles") and len(sizes) == len(stream.level.args):
        return width(stream, param) / prod(sizes)
    return 0.0
