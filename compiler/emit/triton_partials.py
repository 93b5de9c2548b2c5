"""Partial sums in a Triton kernel: begun with a neutral element, collected over tiles, and written
to the task's own slot of the partials table.

    square_all = tl.zeros([BLOCK], REAL)
    ...
    square_part = lamb_tile(start, None, ...)
    square_all += square_part
    ...
    tl.store(partials + tl.program_id(0), tl.sum(square_all, 0).to(tl.float64))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import Node
from ..plan import Partial, Slot
from .triton_frame import Frame, Tile

COMBINE = {
    "sum": "tl.sum({0}, 0)",
    "max": "tl.reduce({0}, 0, larger)",
    "min": "tl.reduce({0}, 0, smaller)",
}
ACROSS = {  # the same over the rows of a tile with two axes, as a column
    "sum": "tl.sum({0}, 1, keep_dims=True)",
    "max": "tl.reduce({0}, 1, larger, keep_dims=True)",
    "min": "tl.reduce({0}, 1, smaller, keep_dims=True)",
}
ALONG = {  # the same over the second and third of three axes
    "sum": "tl.sum(tl.sum({0}, 2, keep_dims=True), 1, keep_dims=True)",
    "max": "largest_along({0})",
    "min": "least_along({0})",
}
NEUTRAL = {"sum": "0.0", "max": 'float("-inf")', "min": 'float("inf")'}
TAKE = {
    "sum": "{0} += {1}",
    "max": "{0} = larger({0}, {1})",
    "min": "{0} = smaller({0}, {1})",
}


@dataclass(frozen=True, slots=True)
class Total:
    """A reduction collected over tiles: its name, kind, the value reduced, and the accumulator's
    shape (`()` for a number)."""

    name: str
    kind: str
    value: Node
    shape: str

    @property
    def part(self) -> str:
        """What one tile contributes."""
        return f"{self.name}_part"

    @property
    def all(self) -> str:
        """What all tiles until now contribute."""
        return f"{self.name}_all"

    def begin(self) -> str:
        """The accumulator with nothing in it."""
        return f"{self.all} = tl.full({self.shape}, {NEUTRAL[self.kind]}, REAL)"

    def take(self, part: str) -> str:
        """One tile's contribution added."""
        return TAKE[self.kind].format(self.all, part)

    def result(self) -> str:
        """The reduction over all lanes; of lanes in two axes, over the first."""
        return self.all if self.shape == "()" else COMBINE[self.kind].format(self.all)

    def whole(self) -> str:
        """The reduction over all lanes, to one number."""
        whole = self.result()
        for _ in range(self.shape.count(",")):
            whole = COMBINE[self.kind].format(whole)
        return whole


def slot_name(slot: Slot) -> str:
    """A slot's name without its modifier's prefix."""
    return slot.name.rpartition(".")[2]


def totals_of(partials: Sequence[Partial], shape: str) -> list[Total]:
    """A sweep's partials as totals over lanes of `shape`."""
    return [Total(slot_name(p.slot), p.kind, p.value, shape) for p in partials]


def collect(
    tile: Tile, totals: Sequence[Total], first: Sequence[str], indent: int, outer: int = 4
) -> list[str]:
    """The call of a tile, and its contributions taken. `indent` is that of the lines made, `outer`
    what will be put before them."""
    pad = " " * indent
    parts = [total.part for total in totals]
    call = [line[outer:] for line in tile.invoke(first, outer + indent, parts)]
    return call + [pad + total.take(total.part) for total in totals]


def open_task(frame: Frame, totals: Sequence[Total], multiple: str = "") -> list[str]:
    """A program's first lines: its task, what the tables say of the task's tensor, and totals with
    nothing in them. Tasks begin at a `multiple` of this."""
    begin = "tl.load(task + 1)"
    return [
        "task = tasks + 3 * tl.program_id(0)",
        "tensor = tl.load(task)",
        f"begin = tl.multiple_of({begin}, {multiple})" if multiple else f"begin = {begin}",
        "end = tl.load(task + 2)",
        *frame.lines,
        *(total.begin() for total in totals),
    ]


def write(totals: Sequence[Total], width: int) -> list[str]:
    """Every partial result to its column (in the order of `totals`) of the task's row."""
    if not totals:
        return []
    row = "tl.program_id(0)" if width == 1 else f"{width} * tl.program_id(0)"
    lines = [f"results = partials + {row}"]
    for k, total in enumerate(totals):
        place = f"results + {k}" if k else "results"
        lines.append(f"tl.store({place}, {total.whole()}.to(tl.float64))")
    return lines
