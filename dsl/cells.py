"""Levels on one tensor: which cell each element is in, and values taken from level to level.

A tensor is seen as a matrix: rows are its first axis, cols all the others together; a vector is one
row. Elements are counted in row-major order, and so are cells:

    heads(2) of a 4 x 3 tensor      chunks(5) of it      tiles(2, 2) of it
        0 0 0                           0 0 0                0 0 1
        0 0 0                           0 0 1                0 0 1
        1 1 1                           1 1 1                2 2 3
        1 1 1                           1 2 2                2 2 3

A value is one number per cell, in an array of one axis; one number alone if its level is no finer
than the tensor; or an array of its own, for `matrix(a, b)`, `vector(n)` and their like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .levels import Level
from .model import Expr, Read

Array = npt.NDArray[Any]

_COARSE = ("global", "group", "layers", "tensor")


@dataclass(frozen=True, slots=True)
class Cells:
    """A level on one tensor: its partition chosen, its sizes worked out. `written` are the sizes
    as the spec has them: they tell which axis of a matrix a vector belongs to."""

    kind: str
    sizes: tuple[int, ...] = ()
    written: tuple[Expr, ...] = field(default=(), compare=False)

    @property
    def axes(self) -> tuple[Expr | str, ...]:
        """What the axes of a matrix or vector are called: a fact by its name."""
        match self.kind:
            case "element":
                return "rows", "cols"
            case "rows" | "cols":
                return (self.kind,)
            case _:
                return tuple(size.name if isinstance(size, Read) else size for size in self.written)

    @property
    def is_coarse(self) -> bool:
        """At most one value per tensor."""
        return self.kind in _COARSE

    @property
    def is_shaped(self) -> bool:
        """Has a shape of its own."""
        return Level(self.kind).is_shaped


@dataclass(frozen=True, slots=True)
class Value:
    cells: Cells
    data: Array


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a parameter."""

    axes: tuple[int, ...]

    @property
    def rows(self) -> int:
        return self.axes[0] if len(self.axes) > 1 else 1

    @property
    def cols(self) -> int:
        return self.numel // self.rows if self.rows else 0

    @property
    def numel(self) -> int:
        return math.prod(self.axes)


ELEMENT = Cells("element")
TENSOR = Cells("tensor")
GLOBAL = Cells("global")


def cell_of(cells: Cells, shape: Shape) -> Array:
    """The number of the cell that each element is in."""
    element = np.arange(shape.numel)
    row, col = element // shape.cols, element % shape.cols
    match cells.kind:
        case "element":
            return element
        case "rows":
            return row
        case "cols":
            return col
        case "heads":
            (heads,) = cells.sizes
            if heads < 1 or shape.rows % heads:
                raise ValueError(f"{shape.rows} rows are not {heads} equal heads")
            return row // (shape.rows // heads)
        case "chunks":
            (length,) = cells.sizes
            return element // length
        case "tiles":
            height, width = cells.sizes
            across = -(-shape.cols // width)  # rounded up: the last tile may be narrower
            return row // height * across + col // width
        case "axis":
            (axis,) = cells.sizes
            return np.indices(shape.axes)[axis].reshape(-1)
        case _:
            return np.zeros(shape.numel, dtype=int)


def first_element(cells: Cells, shape: Shape) -> Array:
    """The first element of each cell, in the order of cells."""
    return np.unique(cell_of(cells, shape), return_index=True)[1]


def cells_inside(per: Cells, fine: Cells, shape: Shape) -> list[Array]:
    """For each cell of `per` the numbers of the cells of `fine` inside it, in order."""
    around = cell_of(per, shape)[first_element(fine, shape)]
    ends = np.cumsum(np.bincount(around))[:-1]
    return np.split(np.argsort(around, kind="stable"), ends)


def join(left: Cells, right: Cells) -> Cells:
    """The level of a value made of one from each."""
    if left == right or right.is_coarse:
        return left
    if left.is_coarse or right.is_shaped:
        return right
    return left if left.is_shaped else ELEMENT


def carry(value: Value, to: Cells, shape: Shape) -> Value:
    """The same value at a finer level: every cell gets what the cell around it has."""
    have = value.cells
    if have == to or to.kind == "tuple" or value.data.dtype.kind == "U":
        return value
    if have.is_shaped or to.is_shaped:
        return _reshaped(value, to, shape)
    if to.is_coarse:
        return Value(to, value.data)
    first = first_element(to, shape)
    if have.is_coarse:
        return Value(to, np.full(len(first), value.data))
    return Value(to, value.data[cell_of(have, shape)[first]])


def as_array(value: Value, shape: Shape) -> Array:
    """A value as numpy has it: a matrix, a vector or a number."""
    match value.cells.kind:
        case "element":
            return value.data.reshape(shape.rows, shape.cols)
        case "diagonal":
            return np.diag(value.data)
        case _:
            return value.data


def shape_of(cells: Cells, shape: Shape) -> tuple[int, ...]:
    """The shape of `as_array` for a value of that level."""
    match cells.kind:
        case "element":
            return shape.rows, shape.cols
        case "diagonal" | "triangular" | "identity":
            return cells.sizes * 2
        case "matrix" | "vector":
            return cells.sizes
        case _:
            return (len(first_element(cells, shape)),)


def identity(cells: Cells, shape: Shape) -> Value:
    """The identity matrix, as a level keeps it."""
    rows, cols = shape_of(cells, shape)
    return from_array(np.eye(rows, cols), cells)


def from_array(array: Array, cells: Cells) -> Value:
    """What a level keeps of an array of its shape."""
    match cells.kind:
        case "element":
            return Value(cells, array.reshape(-1))
        case "diagonal":
            return Value(cells, np.diag(array).copy())
        case "triangular":
            return Value(cells, np.triu(array))
        case _:
            return Value(cells, array)


def _reshaped(value: Value, to: Cells, shape: Shape) -> Value:
    if value.cells.is_coarse and to.kind == "diagonal":
        return Value(to, np.full(to.sizes, value.data))
    array, wanted = as_array(value, shape), shape_of(to, shape)
    if array.ndim == 1 and len(wanted) == 2 and _axis(value.cells, to, array, wanted) == 0:
        array = array[:, None]
    return from_array(np.broadcast_to(array, wanted), to)


def _axis(have: Cells, to: Cells, vector: Array, wanted: tuple[int, ...]) -> int:
    """The axis of a matrix that a vector runs along: by the names of the sizes, then by the sizes;
    the last one if both fit."""
    same = [axis for axis, size in enumerate(to.axes) if (size,) == have.axes]
    if len(same) == 1:
        return same[0]
    return 1 if wanted[1] == len(vector) else 0
