"""Pieces of tensors that are all of one length, in C: a compiler that knows how often loops run
makes nothing but vectors of them.

    PARAM param_spare[512], *restrict param_here = FULL(param_at + start, param_spare, left, 512);
    ... loops over param_here[i - start], always 512 of them ...
    if (left < 512)
        memcpy(param_at + start, param_here, left * sizeof *param_here);

A piece is a block, or several short ones. Where fewer elements are left, a copy is worked on that
repeats the last one: the largest and the least number stay what they are. Sums go over what there
is. Other values than those of elements and blocks (of rows, columns, ...) are read into arrays
first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Node, Stream
from .body import stream_of
from .c_loops import Loops
from .c_streams import ctype, load, pointer
from .c_sums import indented
from .names import identifier
from .rounds import cell_size, keeps

_PIECE = 512  # elements, or those of one block that has more
_ALL = slice(None)


@dataclass(slots=True)
class Pieces(Loops):
    """What a piece is, and where its elements are."""

    @property
    def size(self) -> int:
        """Elements of a block."""
        size = cell_size(self.cell) if self.cell is not None else None
        assert size is not None
        return size

    @property
    def whole(self) -> bool:
        """Whether loops go over whole pieces: not of long blocks. Tasks begin where blocks do."""
        return self.cell is not None and keeps(self.cell)

    @property
    def several(self) -> int:
        """Blocks of a piece."""
        return max(_PIECE // self.size, 1) if self.whole else 1

    @property
    def length(self) -> int:
        """Elements of a piece."""
        return self.size * self.several

    # ------------------------------------------------------------ where its values are

    def array(self, stream: Stream) -> str:
        return f"{name_of(stream)}_here" if self._is_here(stream) else pointer(stream)

    def index(self, stream: Stream, at: str) -> str:
        if not self._is_here(stream):
            return super(Pieces, self).index(stream, at)
        return f"{at} - start" if stream.level.kind == "element" else f"{at} - group"

    def _is_here(self, stream: Stream) -> bool:
        of_block = stream.level == self.cell and self.several > 1
        return self.whole and (stream.level.kind == "element" or of_block)

    def _here(self) -> list[Stream]:
        moved = dict.fromkeys([*self.sweep.loads, *(s.stream for s in self.sweep.stores)])
        return [stream for stream in moved if self._is_here(stream)]

    def piece(self) -> list[str]:
        """Where a piece lies: its arrays, those of values it shares with others included."""
        lines = [self._place(stream) for stream in self._here()]
        return lines + self._shared_lines()

    def _place(self, stream: Stream) -> str:
        kind, at, (first, count, all) = ctype(stream), self.array(stream), self._range(stream)
        place, spare = f"{pointer(stream)} + {first}", f"{name_of(stream)}_spare"
        if str(all) == count:
            return f"{kind} *restrict {at} = ({kind} *){place};"
        return f"{kind} {spare}[{all}], *restrict {at} = FULL({place}, {spare}, {count}, {all});"

    def _range(self, stream: Stream) -> tuple[str, str, int]:
        """Where a piece begins in a stream, how many items are left of it, and how many it has."""
        if stream.dtype == "uint4":  # two to a byte, of whole blocks
            half = self.size // 2
            count = f"(stop - group) * {half}" if self.several > 1 else str(half)
            return "start / 2", count, self.length // 2
        if stream.level.kind == "element":
            return "start", "left", self.length
        return "group", "stop - group", self.several

    def put_back(self) -> list[str]:
        """What was written to copies, to where it belongs."""
        lines: list[str] = []
        for stream in (s.stream for s in self.sweep.stores if self._is_here(s.stream)):
            first, count, all = self._range(stream)
            if str(all) != count:
                at = self.array(stream)
                place = f"{pointer(stream)} + {first}"
                lines.append(f"memcpy({place}, {at}, ({count}) * sizeof *{at});")
        return [f"if (left < {self.length}) {{", *indented(lines), "}"] if lines else []

    def ahead(self, first: str, size: int, which: slice = _ALL) -> list[str]:
        """So many elements of the next piece, of these of its streams, are asked for, so that they
        are there in time."""
        lines: list[str] = []
        loads = [s for s in self._here() if s in self.sweep.loads and s.level.kind == "element"]
        for stream in loads[which]:
            at, next, width = pointer(stream), f"{first} + {self.length}", size
            if stream.dtype == "uint4":
                next, width = f"({next}) / 2", size // 2
            lines.append(f"ahead({at} + {next}, {width} * sizeof *{at});")
        return lines

    # ------------------------------------------------------------ values of other levels

    def shared(self) -> list[Node]:
        """Loads of values that are neither of elements nor of blocks."""
        loads = dict.fromkeys(n for walk in self.body.rounds for n in walk.loads)
        own = [n for n in loads if self.whole and n.op in ("load", "fresh")]
        return [n for n in own if not self._is_here(stream_of(self.plan, n))]

    def _shared_lines(self) -> list[str]:
        nodes = self.shared()
        lines = [f"REAL {self.kept(node)}[{self.length}];" for node in nodes]
        rows = [n for n in nodes if stream_of(self.plan, n).level.kind in ("rows", "cols")]
        others = [n for n in nodes if n not in rows]
        if rows:
            inner = [self._read(n, "row", "i - row * cols") for n in rows]
            lines += [
                "for (int64_t row = start / cols, from = start; from < all; row++) {",
                "    const int64_t to = SMALLER((row + 1) * cols, all);",
                *indented(_over("from", "to", inner)),
                "    from = to;",
                "}",
            ]
        if others:
            inner = [self._read(n, "", "") for n in others]
            lines += _over("start", "all", inner)
        if nodes:
            size = f"{self.length}, sizeof(REAL)"
            again = [f"repeat_last({self.kept(n)}, left, {size});" for n in nodes]
            lines += [f"if (left < {self.length}) {{", *indented(again), "}"]
        return lines

    def _read(self, node: Node, row: str, col: str) -> str:
        stream = stream_of(self.plan, node)
        place = {"rows": row, "cols": col}.get(stream.level.kind, "")
        value = load(stream, place or super(Pieces, self).index(stream, "i"))
        return f"{self.kept(node)}[i - start] = {value};"

    def kept(self, node: Node) -> str:
        """The array in which a value of each element is kept."""
        return f"{self.names[node]}_kept"

    def load(self, node: Node, at: str) -> str:
        if node in self.shared():
            return f"REAL {self.names[node]} = {self.kept(node)}[{at} - start];"
        return super(Pieces, self).load(node, at)


def name_of(stream: Stream) -> str:
    return identifier(stream.name.replace(".", "_"))


def _over(first: str, last: str, statements: list[str]) -> list[str]:
    head = f"for (int64_t i = {first}; i < {last}; i++) {{"
    return ["#pragma omp simd", head, *indented(statements), "}"]
