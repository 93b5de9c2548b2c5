"""Cells: how many values a level has on a tensor, and how long a cell is.

    rows          rows cells of cols elements         chunks(n)    ceil(numel / n) cells of n
    heads(n)      n cells of numel / n elements       cols         cols cells, strided by cols
    tensor        one                                 tiles(h, w)  one per h x w block
    packed(n, k)  n / 2 bytes for every n elements, each with the codes of two that lie k apart

A state of a cell level is stored compactly: one number per cell, in a one-dimensional tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from .facts import Facts
from .path import Level

COARSE = frozenset({"tensor", "layers", "group", "global"})


def kind(level: Level) -> str:
    """The level's word."""
    return level if isinstance(level, str) else str(level[0])


def arguments(level: Level, sizes: Sequence[int]) -> tuple[int, ...]:
    """A level's sizes as numbers: `("heads", "size 0")` takes the host's first size."""
    if isinstance(level, str):
        return ()
    return tuple(
        arg if isinstance(arg, int) else int(sizes[int(arg.removeprefix("size "))])
        for arg in level[1:]
    )


def count(level: Level, fact: Facts, sizes: Sequence[int] = ()) -> int:
    """How many values a level has on a tensor."""
    match kind(level), arguments(level, sizes):
        case "element", _:
            return fact.numel
        case "rows", _:
            return fact.rows
        case "cols", _:
            return fact.cols
        case "heads", (heads,):
            if heads < 1 or fact.rows % heads:
                raise ValueError(f"{fact}: {heads} heads do not divide its {fact.rows} rows")
            return heads
        case "chunks" | "tiles" as word, found if min(found) < 1:
            raise ValueError(f"{fact}: {word} of {' x '.join(map(str, found))} elements")
        case "chunks", (length,):
            return -(-fact.numel // length)
        case "packed", (block, _):
            return packed_bytes(fact.numel, block)
        case "tiles", (height, width):
            return -(-fact.rows // height) * -(-fact.cols // width)
        case word, _ if word in COARSE:
            return 1
        case _:
            raise ValueError(f"no such level: {level}")


def length(level: Level, fact: Facts, sizes: Sequence[int] = ()) -> int:
    """How many elements a cell has (the last chunk, and tiles at the edges, may have fewer)."""
    match kind(level), arguments(level, sizes):
        case "chunks", (length_,):
            return length_
        case "cols", _:
            return fact.rows
        case "tiles", (height, width):
            return min(height, fact.rows) * min(width, fact.cols)
        case _:
            return fact.numel // max(count(level, fact, sizes), 1)


def shape(level: Level, fact: Facts, sizes: Sequence[int] = ()) -> tuple[int, ...]:
    """The shape in which a state of a level is stored."""
    if kind(level) == "element":
        return fact.shape
    if kind(level) in COARSE:
        return ()
    if kind(level) == "matrix":
        return arguments(level, sizes)
    return (count(level, fact, sizes),)


def packed_bytes(numel: int, block: int) -> int:
    """The bytes of 4-bit codes; a last block that is not full takes those of a whole one."""
    return -(-numel // block) * block // 2
