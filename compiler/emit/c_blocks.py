"""Sweeps over blocks of a constant size, in C: what is read of a block is kept until it ends.

    for (int64_t block = begin; block < end; block++) {
        uint8_t m_spare[256], *m_here = FULL(m_at + start, m_spare, left, 256);
        REAL m_ratio_kept[256];
        look_up(m_ratio_kept, m_here, 256, &m_ratio_table);                    codes to numbers
        for (i ...) { ... m_kept[i - start] = m; }                             a round
        m_scale = ...                                                          values per block
        for (i ...) m_here[i - start] = ...                                    a store by itself
        if (left < 256) memcpy(m_at + start, m_here, ...);

Codes: `c_kept_codes.py`, `c_encode.py`; whole blocks and partial ones: `c_pieces.py`. Stores that
share nothing get a loop each, whose constants stay in registers.

Short blocks come several at once, so that their scales fill a vector too. What is one value per
block between two loops is then an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import gcd

from ...dsl.levels import ELEMENT, Level
from ..ir import Node, Store, Stream, reached
from .body import Line, Round, leaves_of
from .c_decoding import table_lines
from .c_encode import ENCODED, map_lines, zero_of
from .c_kept_codes import KeptCodes
from .c_loops import c_type
from .c_pieces import name_of
from .c_sums import indented

_LONG = 256  # elements of a block, for all of which one cannot ask at a time
_VECTOR = 4  # numbers of the shortest vector


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of text that several blocks go through together: a round, or values per block."""

    walk: Round | None
    loads: tuple[Node, ...]
    lines: tuple[Line, ...]

    @property
    def made(self) -> list[Node]:
        """The values per block that come from it."""
        lines = self.walk.reductions if self.walk else self.lines
        return [*self.loads, *(line.node for line in lines)]

    @property
    def goals(self) -> list[Node]:
        """What it computes, one step on."""
        lines, left = list(self.lines), list[Node]()
        if self.walk is not None:
            lines += [*self.walk.lines, *self.walk.reductions]
            left = [end.value for end in (*self.walk.stores, *self.walk.partials)]
        return left + [arg for line in lines for arg in line.node.args]


@dataclass(slots=True)
class Blocks(KeptCodes):
    """Writes the lines of one task, a range of blocks (or of elements: a flat sweep)."""

    def _cells(self, cell: Level) -> list[str]:
        if not self.whole:
            return super(Blocks, self)._cells(cell)
        counter, several = ("group", self.several) if self.several > 1 else ("block", 1)
        begin, inside, last = "begin", f"{counter} < end", "numel"
        stop = f"SMALLER(group + {several}, end)" if several > 1 else "block + 1"
        if self.sweep.cell is None:  # begin and end are elements
            begin, inside, last = f"begin / {self.size}", f"{counter} * {self.size} < end", "end"
            stop = f"SMALLER(group + {several}, (end + {self.size - 1}) / {self.size})"
        lines = [
            f"const int64_t start = {counter} * {self.size}, stop = {stop};",
            f"const int64_t all = SMALLER(stop * {self.size}, {last}), left = all - start;",
            *self.piece(),
            *(self._together() if several > 1 else self._alone(counter)),
            *self.put_back(),
        ]
        step = f"{counter} += {several}" if several > 1 else f"{counter}++"
        return [
            f"for (int64_t {counter} = {begin}; {inside}; {step}) {{",
            *indented(lines),
            "}",
        ]

    def _alone(self, counter: str) -> list[str]:
        return ["const int64_t first = start;", *self._cell_lines(counter)]

    def _cell(self, cell: Level, counter: str) -> list[str]:
        return self._cell_lines(counter)

    def _cell_lines(self, counter: str) -> list[str]:
        lines = [*self.kept_arrays(), *self.read_codes()]
        lines += [self.load(node, counter) for node in self.body.cell_loads]
        lines += self.lets(self.body.cell_lines, self.body.cell_loads)
        last = f"first + {self.size}" if self.whole else "last"
        for walk in self.body.rounds:
            lines += self._round(walk, "first", last)
        lines += self.write_codes()
        lines += [self.store(s, counter) for s in self.cell_stores]
        return lines + [s.into(s.name) for s in self.cell_sums]

    def _together(self) -> list[str]:
        """Several blocks: their values first, then a round over all of them, then values again."""
        parts = [_Part(None, self.body.cell_loads, self.body.cell_lines)]
        for walk in self.body.rounds:
            parts += [_Part(walk, (), ()), _Part(None, (), walk.cell_lines)]
        ends = [s.value for s in self.cell_stores]
        ends += [p.value for p in self.sweep.partials if p.value.level == self.cell]
        named = set(self.names)
        wanted = set(leaves_of(ends, named))
        # Values per block end in the first stretch of such that comes after all they are made of.
        last = max(
            (k + (part.walk is not None) for k, part in enumerate(parts) if wanted & {*part.made}),
            default=0,
        )
        made: dict[Node, int] = {}
        read: list[list[Node]] = []
        for k, part in enumerate(parts):
            goals = set(leaves_of([*part.goals, *(ends if k == last else ())], named))
            read.append([n for n in made if n in goals])
            made |= dict.fromkeys(part.made, k)
        crossing = dict.fromkeys(n for nodes in read for n in nodes)
        text = list(dict.fromkeys(f"{c_type(n)} {self.kept(n)}[{self.several}];" for n in crossing))
        text += [*self.kept_arrays(), *self.read_codes()]
        short = self.size < _LONG and not self._encoded(self.sweep.stores)
        for k, part in enumerate(parts):
            if part.walk is not None and self._of_elements(part, read[k]):
                text += self._round(part.walk, "start", f"start + {self.length}")
                continue
            left = [f"{self._of_block(n)} = {self.names[n]};" for n in part.made if n in crossing]
            ahead = self.ahead("first", self.size) if short and part.walk is not None else []
            text += self._part(part, read[k], left, ahead, stores=k == last)
            short = short and not ahead
        return text + self.write_codes()

    def _of_elements(self, part: _Part, read: list[Node]) -> bool:
        """Whether nothing of a round is of a block, so that it goes over a piece at once."""
        left = part.walk is not None and (part.walk.partials or self._encoded(part.walk.stores))
        return not (read or part.made or left)

    def _part(
        self, part: _Part, read: list[Node], left: list[str], ahead: list[str], *, stores: bool
    ) -> list[str]:
        """A loop over the blocks that come together."""
        inner = [f"{c_type(n)} {self.names[n]} = {self._of_block(n)};" for n in read]
        inner += [self.load(n, "block") for n in part.loads]
        inner += self.lets(part.lines, [*read, *part.loads])
        if part.walk is not None:
            inner.append(f"const int64_t first = block * {self.size};")
            inner += ahead
            walk = replace(part.walk, cell_lines=())
            inner += self._round(walk, "first", f"first + {self.size}")
        if stores:
            inner += [self.store(s, "block") for s in self.cell_stores]
        inner += left
        sums = [s.into(s.name) for s in self.cell_sums] if stores else []
        if not (inner or sums):
            return []
        few = self.several < _VECTOR or part.walk or sums
        simd = [] if few else ["#pragma omp simd"]
        last = "stop" if sums else f"group + {self.several}"
        head = f"for (int64_t block = group; block < {last}; block++) {{"
        return [*simd, head, *indented(inner + sums), "}"]

    def prepared(self) -> list[str]:
        """What is made once per kernel: tables of what codes stand for, maps that make codes."""
        lines = [line for table in self.tables.values() for line in table_lines(self.body, table)]
        for store in self._encoded(self.sweep.stores):
            lines += map_lines(store.value, self._map(store))
        return lines

    def _round(self, walk: Round, begin: str, end: str) -> list[str]:
        """A walk, and then the codes that `encode` makes of what it leaves."""
        encoded = self._encoded(walk.stores)
        codes = {store.value for store in encoded}
        lines, calls, numbers = list[str](), list[str](), list[Store]()
        length = gcd(self.size, ENCODED)
        for turn, store in enumerate(encoded):
            (ratio,) = store.value.args
            array, factor = self._kept_times(ratio, walk)
            if not array:
                numbers.append(
                    Store(Stream(f"{store.stream.name}_numbers", ELEMENT, "real"), ratio)
                )
                array = self.array(numbers[-1].stream)
                lines.append(f"REAL {array}[{self.length}];")
            to, map = f"{self.array(store.stream)} + i - start", f"&{self._map(store)}"
            numbers_at, zero = f"{array} + i - start", zero_of(store.value)
            call = f"encode({to}, {numbers_at}, {factor}, {length}, {map}, {zero});"
            next = self.ahead("i", length, slice(turn, None, len(encoded)))
            head = f"for (int64_t i = first; i < first + {self.size}; i += {length}) {{"
            calls += [head, *indented([*next, call]), "}"]
        others = tuple(store for store in walk.stores if store not in encoded)
        left = tuple(line for line in walk.lines if line.node not in codes)
        walk = replace(walk, stores=(*others, *numbers), lines=left)
        return [*lines, *self._plain_round(walk, begin, end), *calls]

    def _encoded(self, stores: Iterable[Store]) -> list[Store]:
        return [store for store in stores if store.value.op == "dynamic_code"]

    def _map(self, store: Store) -> str:
        return f"{name_of(store.stream)}_map"

    def _kept_times(self, ratio: Node, walk: Round) -> tuple[str, str]:
        """If a ratio is a number that an earlier round kept, over a scale: its array, and what it
        is multiplied by."""
        kept = {n for other in self.body.rounds for n in other.kept}
        for x, factor in (ratio.args, ratio.args[::-1]) if ratio.op == "mul" else ():
            if x in kept and factor in self.names and factor.level == self.cell:
                return self.kept(x), self.names[factor]
        return "", "1"

    def _plain_round(self, walk: Round, begin: str, end: str) -> list[str]:
        if walk.reductions or walk.partials or walk.kept:
            if self.whole and self._sums() and (walk.reductions or walk.partials):
                end = f"SMALLER({end}, all)"
            return super(Blocks, self)._round(walk, begin, end)
        lines: list[str] = []
        for stores in self._apart(walk):
            reached = self._reached((s.value for s in stores), walk)
            part = replace(
                walk,
                loads=tuple(n for n in walk.loads if n in reached),
                lines=tuple(line for line in walk.lines if line.node in reached),
                stores=stores,
            )
            lines += super(Blocks, self)._round(part, begin, end)
        return lines

    def _sums(self) -> bool:
        """Whether something is added up, so that no element may come twice."""
        rounds = self.body.rounds
        adds = any(
            li.node.op != "max" and li.node.op != "min" for w in rounds for li in w.reductions
        )
        return adds or any(walk.partials for walk in rounds)

    def _apart(self, walk: Round) -> list[tuple[Store, ...]]:
        """The stores of a round: those together that share a computed value."""
        computed = {line.node for line in walk.lines}
        groups: list[tuple[set[Node], tuple[Store, ...]]] = []
        for store in walk.stores:
            nodes, stores = self._reached([store.value], walk) & computed, (store,)
            for group in [g for g in groups if g[0] & nodes]:
                groups.remove(group)
                nodes, stores = nodes | group[0], (*group[1], *stores)
            groups.append((nodes, stores))
        return [stores for _, stores in groups]

    def _reached(self, values: Iterable[Node], walk: Round) -> set[Node]:
        """What a round computes these values from, up to what earlier ones kept."""
        computed = {line.node for line in walk.lines}
        kept = {n for other in self.body.rounds for n in other.kept} - computed
        return reached(values, kept)

    def _of_block(self, node: Node) -> str:
        return f"{self.kept(node)}[block - group]"
