"""The lattice of levels: how many of a value there are.

    global < group < layers < tensor < rows | cols | heads(n) | chunks(n) | tiles(h, w) < element

A level is a set of cells over a tensor's elements. Two levels join to the finer one if one
refines the other, otherwise to `element`: a shape never changes a program's type. `matrix(a, b)`,
`vector(n)` and their like live beside the parameter's shape: they join with themselves and with
anything of at most one value per tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Expr

_COARSE = ("global", "group", "layers", "tensor")
_CELLS = ("rows", "cols", "heads", "chunks", "tiles", "axis", "partition")
_SHAPED = ("matrix", "vector", "diagonal", "triangular", "identity", "slots", "top", "none")


@dataclass(frozen=True, slots=True)
class Level:
    """One level. `args` are its host parameters (`heads(n)`), `name` that of a partition or
    grouping, `of` what a container (`slots(k) of ...`) holds."""

    kind: str
    args: tuple[Expr, ...] = ()
    name: str = ""
    of: Level | None = field(default=None)

    @property
    def is_coarse(self) -> bool:
        """At most one value per tensor."""
        return self.kind in _COARSE

    @property
    def is_cells(self) -> bool:
        """Between tensor and element: one value per row, head, chunk, ..."""
        return self.kind in _CELLS

    @property
    def is_shaped(self) -> bool:
        """Has a shape of its own, unrelated to the parameter's elements."""
        return self.kind in _SHAPED


GLOBAL = Level("global")
GROUP = Level("group")
TENSOR = Level("tensor")
ROWS = Level("rows")
COLS = Level("cols")
ELEMENT = Level("element")


def refines(fine: Level, coarse: Level) -> bool:
    """Whether every cell of `fine` lies inside one cell of `coarse` (equal levels refine)."""
    if fine == coarse:
        return True
    if coarse.is_coarse:
        if fine.is_coarse:
            return _COARSE.index(fine.kind) >= _COARSE.index(coarse.kind)
        return True
    return fine.kind == "element" and coarse.is_cells


def join(left: Level, right: Level) -> Level | None:
    """The level of a value computed from one of each; None where there is none (two shapes)."""
    if refines(left, right):
        return left
    if refines(right, left):
        return right
    if left.is_shaped or right.is_shaped:
        return None
    return ELEMENT
