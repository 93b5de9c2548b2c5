"""Codes in C, as loops over numbers want them: looked up, or as ints, in arrays for a block.

    int m_code_kept[256];
    for (i ...) m_code_kept[i - start] = m_here[i - start];
    ... loops over elements read m_code_kept[i - start], write m_written_kept[i - start] ...
    for (i ...) m_here[i - start] = (uint8_t)m_written_kept[i - start];

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
from .c_loops import c_type
from .c_pieces import Pieces, name_of
from .c_split import param_apart
from .c_streams import constant, ctype, pointer
from .expressions import expression
from .syntaxes import C


@dataclass(slots=True)
class KeptCodes(Pieces):
    """Loops over blocks of a constant size, and what is kept while they last."""

    tables: dict[Node, Decoding] = field(init=False)
    apart: bool = field(init=False)

    def __post_init__(self) -> None:
        body = param_apart(self.body) if self.whole else self.body
        self.apart, self.body = body is not self.body, body
        self.tables = decodings(self.plan, self.body, self._codes())

    # ------------------------------------------------------------ values kept in arrays

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
        alone = stream.name == "remainder" and self.apart
        return stream.dtype in CODES and stream.level.kind == "element" and not (closed or alone)

    def _direct(self, stream: Stream) -> bool:
        """Whether codes are stored from a loop of their own, long enough for vectors of bytes."""
        mixed = [w.stores for w in self.body.rounds if w.reductions or w.partials]
        stored = any(s.stream == stream for stores in mixed for s in stores)
        return stream.dtype != "uint4" and not stored

    def read_codes(self) -> list[str]:
        """All codes, looked up or as ints."""
        lines: list[str] = []
        count = str(self.length) if self.whole else "last - start"
        for node in self._codes():
            stream = stream_of(self.plan, node)
            at = f"{self.array(stream)}[{self.index(stream, 'i')}]"
            codes = self.array(stream) if self.whole else f"{pointer(stream)} + start"
            if stream.dtype == "uint4":
                codes = f"{name_of(stream)}_codes_kept"
                at = f"{codes}[i - start]"
                lines.append(f"uint8_t {codes}[{self.length}];")
                lines += self._unpacked(stream, codes)
            if node in self.tables:
                table = self.tables[node]
                lines.append(f"REAL {table.name}_kept[{self.length}];")
                lines.append(f"look_up({table.name}_kept, {codes}, {count}, &{table.table});")
            else:
                lines.append(f"int {self.kept(node)}[{self.length}];")
                lines += self._over(f"{self.kept(node)}[i - start] = {at};")
        for stream in self._written():
            lines.append(f"int {name_of(stream)}_written_kept[{self.length}];")
        return lines

    def _unpacked(self, stream: Stream, codes: str) -> list[str]:
        """A last block's empty places get what is before them, as in other streams."""
        at = self.array(stream) if self.whole else f"{pointer(stream)} + start / 2"
        lines = [c_packed.unpacked(stream, at, codes, self.length)]
        if self.whole:
            head = f"if (left < {self.length})"
            lines += [head, f"    repeat_last({codes}, left, {self.length}, 1);"]
        return lines

    def _written(self) -> list[Stream]:
        """The codes that loops leave in arrays."""
        stored = [s.stream for walk in self.body.rounds for s in walk.stores]
        encoded = [s.stream for s in self.sweep.stores if s.value.op == "dynamic_code"]
        return [s for s in stored if self._held(s) and not self._direct(s) and s not in encoded]

    def write_codes(self) -> list[str]:
        """What loops over numbers have left of new codes; 0 in a last block's empty places."""
        lines: list[str] = []
        for stream in self._written():
            array, at = f"{name_of(stream)}_written_kept", self.array(stream)
            if stream.dtype == "uint4":
                rest = f"({self.length} - left) * sizeof *{array}"
                lines += [f"if (left < {self.length})", f"    memset({array} + left, 0, {rest});"]
                lines.append(c_packed.packed(stream, at, array, self.length))
            else:
                value = f"({ctype(stream)}){array}[i - start]"
                lines += self._over(f"{at}[{self.index(stream, 'i')}] = {value};")
        return lines

    def _over(self, statement: str) -> list[str]:
        first, last = ("start", f"start + {self.length}") if self.whole else ("first", "last")
        head = f"for (int64_t i = {first}; i < {last}; i++)"
        return ["#pragma omp simd", head, f"    {statement}"]

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
        return f"{name_of(written.stream)}_written_kept[{at} - start] = {value};"
