"""What a generated module says about itself: hypers, streams, and the steps of each path.

A generated class is data and kernels; `optimizer.py` and `execute.py` run them. A level is a word
(`"element"`, `"rows"`, `"tensor"`, `"global"`) or a word with sizes: `("chunks", 256)`. A size that
the host computes is a string naming its place in `Choice.sizes`: `("heads", "size 0")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Level = str | tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Hyper:
    """A constructor argument: its bounds, closed or open, or the words it may be.

    `items` names the parts of a tuple. `agree`: it reaches a value that all groups share, so groups
    may not differ. `derived`: computed from other hypers where it is not given.
    """

    name: str
    default: Any
    low: float = float("-inf")
    high: float = float("inf")
    low_closed: bool = True
    high_closed: bool = True
    type: str = "real"  # real, int, bool, choice, list, tuple
    items: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    required: bool = False
    agree: bool = False
    derived: Callable[[Mapping[str, Any]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A tensor in memory: `param`, `grad`, a state (part), or a temporary of one step.

    dtype: `param`, `grad` (that tensor's own), `real` (float32, or float64 beside a float64
    parameter), or a plain name (`uint8`). `initial`: what a new state holds, a number or `"param"`.
    `kind`: param, grad, state (kept in `optimizer.state` or `param_groups`), temporary, or bands
    (a temporary that the C target alone needs).
    """

    name: str
    level: Level = "element"
    dtype: str = "real"
    initial: float | str = 0.0
    kind: str = "state"


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass over memory. Each target has its kernel; `tables` are the arguments they take.

    `scalars`, `values` and `totals` are the columns that the torch form is called with, after its
    loads; it returns the stores, then `partials` numbers, whose kinds (sum, max, min) these are.
    A C task has a `multiple` of so many cells (or elements), or is a `tile` of rows and columns.
    """

    name: str
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    cell: Level | None = None
    partials: tuple[str, ...] = ()
    multiple: int = 1
    tile: tuple[int, ...] = ()
    scalars: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    totals: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    tables: tuple[str, ...] = ()
    triton: Any = None
    triton_tables: tuple[str, ...] = ()
    triton_block: int = 0  # the tile's length where the kernel fixes it
    triton_alive: int = 0  # values of an element that it holds at once
    torch: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """Combines the partial results of the sweep before it, per tensor, group or over all, and
    computes a few numbers. `completes` and `gathers`: the columns of `values` or `totals` that are
    filled from partial results and from a column of values; `results`: those that the torch form
    returns."""

    name: str
    level: str  # tensor, group, global
    completes: tuple[tuple[int, str, int], ...] = ()  # (slot column, kind, partial column)
    gathers: tuple[tuple[int, str, int], ...] = ()  # (total column, kind, value column)
    results: tuple[int, ...] = ()  # slot columns that the torch form returns
    loads: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    scalars: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    totals: tuple[int, ...] = ()
    tables: tuple[str, ...] = ()
    triton: Any = None
    triton_tables: tuple[str, ...] = ()
    torch: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Matrix arithmetic on stacks of tensors of one shape, through torch on every device."""

    name: str
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    scalars: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    totals: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    torch: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """What one call does to a tensor: the columns of the pointer table, and the steps."""

    streams: tuple[Stream, ...]
    steps: tuple[Sweep | Finish | Matrix, ...]
    counts: bool = True  # False: the call does not count as a step


@dataclass(frozen=True, slots=True)
class Coded:
    """A state that is kept as codes, in these streams: torch functions from their contents to the
    numbers they stand for, and back."""

    state: str
    streams: tuple[Stream, ...]
    decode: Callable[..., Any]
    encode: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `host` answers for a tensor: its path, and the numbers that the host computed."""

    path: int
    scalars: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()
    hosts: dict[str, float] = field(default_factory=dict[str, float])
