"""Codes in C, as loops over numbers want them: looked up, or as ints, in arrays for a block.

    int m_code_kept[256];
    for (i ...) m_code_kept[i - start] = m_at[i];
    ... loops over elements read m_code_kept[i - start], write m_written_kept[i - start] ...
    for (i ...) m_at[i] = (uint8_t)m_written_kept[i - start];

A vector of bytes has four times as many elements as one of numbers, and a loop over both would take
so many at a time, more than there are registers for. So codes are widened, looked up
(`c_decoding.py`), unpacked (`c_packed.py`) and narrowed in loops of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..ir import CODES, Node, Store, Stream
from . import c_packed
from .body import Line, stream_of
from .c_decoding import Decoding, decodings
from .c_loops import Loops, c_type
from .c_streams import constant, ctype, pointer
from .expressions import expression
from .names import identifier
from .rounds import cell_size
from .syntaxes import C

_LONG = 256  # elements of a block that is walked by itself
_TOGETHER = 512  # elements of the blocks that come at once


@dataclass(slots=True)
class KeptCodes(Loops):
    """Loops over blocks of a constant size, and what is kept while they last."""

    tables: dict[Node, Decoding] = field(init=False)

    def __post_init__(self) -> None:
        self.tables = decodings(self.plan, self.body, self._codes())

    @property
    def size(self) -> int:
        size = cell_size(self.cell) if self.cell is not None else None
        assert size is not None
        return size

    @property
    def several(self) -> int:
        """How many blocks come at once."""
        short = self.sweep.cell is not None and self.size < _LONG
        return _TOGETHER // self.size if short else 1

    # ------------------------------------------------------------ values kept in arrays

    def kept(self, node: Node) -> str:
        return f"{self.names[node]}_kept"

    @property
    def length(self) -> int:
        return self.size * self.several

    def kept_arrays(self) -> list[str]:
        tabled = {decoding.value for decoding in self.tables.values()}
        nodes = [n for walk in self.body.rounds for n in walk.kept if n not in tabled]
        return list(dict.fromkeys(f"{c_type(n)} {self.kept(n)}[{self.length}];" for n in nodes))

    # ------------------------------------------------------------ codes

    def _codes(self) -> list[Node]:
        """The loads of codes, one for each element, that arrays can be made of."""
        loads = dict.fromkeys(n for walk in self.body.rounds for n in walk.loads)
        return [n for n in loads if n.op == "load" and self._held(stream_of(self.plan, n))]

    def _held(self, stream: Stream) -> bool:
        closed = stream.dtype == "uint4" and not c_packed.is_open(stream, self.cell)
        return stream.dtype in CODES and stream.level.kind == "element" and not closed

    def _direct(self, stream: Stream) -> bool:
        """Whether codes are stored from a loop of their own, long enough for vectors of bytes."""
        mixed = [w.stores for w in self.body.rounds if w.reductions or w.partials]
        stored = any(s.stream == stream for stores in mixed for s in stores)
        return self.several == 1 and stream.dtype != "uint4" and not stored

    def in_array(self, stream: Stream) -> bool:
        """Whether new codes go to an array first, and more of them than there are do no harm."""
        return self._held(stream) and not self._direct(stream) and stream.dtype != "uint4"

    def read_codes(self, first: str, last: str, count: str) -> list[str]:
        """All codes, looked up or as ints."""
        lines: list[str] = []
        for node in self._codes():
            stream = stream_of(self.plan, node)
            at, codes = f"{pointer(stream)}[i]", f"{pointer(stream)} + start"
            if stream.dtype == "uint4":
                codes = f"{_name(stream)}_codes_kept"
                at = f"{codes}[i - start]"
                lines.append(f"uint8_t {codes}[{self.length}];")
                lines.append(c_packed.unpacked(stream, codes, count))
            if node in self.tables:
                table = self.tables[node]
                lines.append(f"REAL {table.name}_kept[{self.length}];")
                looked = f"{table.name}_kept, {codes}, {last} - start, &{table.table}"
                lines.append(f"look_up({looked});")
            else:
                lines.append(f"int {self.kept(node)}[{self.length}];")
                lines += _over(first, last, f"{self.kept(node)}[i - start] = {at};")
        stored = [s.stream for walk in self.body.rounds for s in walk.stores]
        for stream in stored:
            if self._held(stream) and not self._direct(stream):
                zero = (
                    " = {0}" if stream.dtype == "uint4" else ""
                )  # for a last block's empty places
                lines.append(f"int {_name(stream)}_written_kept[{self.length}]{zero};")
        return lines

    def write_codes(self, first: str, last: str, count: str) -> list[str]:
        """What loops over numbers have left of new codes."""
        lines: list[str] = []
        for stream in (s.stream for walk in self.body.rounds for s in walk.stores):
            array = f"{_name(stream)}_written_kept"
            if not self._held(stream) or self._direct(stream):
                continue
            if stream.dtype == "uint4":
                lines.append(c_packed.packed(stream, array, count))
            else:
                value = f"({ctype(stream)}){array}[i - start]"
                lines += _over(first, last, f"{pointer(stream)}[i] = {value};")
        return lines

    # ------------------------------------------------------------ single statements

    def lets(self, lines: Iterable[Line], before: Iterable[Node]) -> list[str]:
        inside = {n for decoding in self.tables.values() for n in decoding.inside}
        return super(KeptCodes, self).lets(
            (line for line in lines if line.node not in inside), before
        )

    def load(self, node: Node, at: str) -> str:
        if node in self.tables:
            name = self.tables[node].name
            return f"const REAL {name} = {name}_kept[{at} - start];"
        if self._held(stream_of(self.plan, node)):
            name = self.names[node]
            return f"{constant(name, self.names)}int {name} = {name}_kept[{at} - start];"
        return super(KeptCodes, self).load(node, at)

    def store(self, written: Store, at: str) -> str:
        if not self._held(written.stream) or self._direct(written.stream):
            return super(KeptCodes, self).store(written, at)
        value = f"(int)({expression(written.value, self.names, C)})"
        return f"{_name(written.stream)}_written_kept[{at} - start] = {value};"


def _name(stream: Stream) -> str:
    return identifier(stream.name.replace(".", "_"))


def _over(first: str, last: str, statement: str) -> list[str]:
    head = f"for (int64_t i = {first}; i < {last}; i++)"
    return ["#pragma omp simd", head, f"    {statement}"]
