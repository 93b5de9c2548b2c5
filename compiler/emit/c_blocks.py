"""Sweeps over blocks of a constant size, in C: what is read of a block is kept until it ends.

    for (int64_t block = begin; block < end; block++) {
        REAL m_ratio_kept[256];
        look_up(m_ratio_kept, m_at + start, last - first, &m_ratio_table);     codes to numbers
        for (i ...) { ... m_kept[i - start] = m; }                             a round
        m_scale = ...                                                          values per block
        for (i ...) m_at[i] = ...                                              a store by itself

Codes: `c_kept_codes.py`. Stores that share nothing get a loop each, whose constants stay in
registers.

Blocks of fewer than 256 elements come several at once, so that their scales fill a vector too. What
is one value per block between two loops is then an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...dsl.levels import Level
from ..ir import Node, Store
from .body import Line, Round, leaves_of
from .c_kept_codes import KeptCodes
from .c_loops import c_type
from .c_sums import indented


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
        if self.several == 1:
            return super(Blocks, self)._cells(cell)
        lines = [
            "const int64_t start = group * length;",
            f"const int64_t stop = SMALLER(group + {self.several}, end);",
            "const int64_t all = SMALLER(stop * length, numel);",
            *self._together(),
        ]
        head = f"for (int64_t group = begin; group < end; group += {self.several}) {{"
        return [f"const int64_t length = {self.size};", head, *indented(lines), "}"]

    def _cell(self, cell: Level, counter: str) -> list[str]:
        lines = [*self.kept_arrays(), *self.read_codes("first", "last", str(self.size))]
        lines += [self.load(node, counter) for node in self.body.cell_loads]
        lines += self.lets(self.body.cell_lines, self.body.cell_loads)
        for walk in self.body.rounds:
            lines += self._round(walk, "first", "last")
        lines += self.write_codes("first", "last", str(self.size))
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
        count = f"(int)(stop - group) * {self.size}"
        text = list(dict.fromkeys(f"{c_type(n)} {self.kept(n)}[{self.several}];" for n in crossing))
        text += [*self.kept_arrays(), *self.read_codes("start", "all", count)]
        for k, part in enumerate(parts):
            left = [f"{self._of_block(n)} = {self.names[n]};" for n in part.made if n in crossing]
            text += self._part(part, read[k], left, stores=k == last)
        return text + self.write_codes("start", "all", count)

    def _part(self, part: _Part, read: list[Node], left: list[str], *, stores: bool) -> list[str]:
        """A loop over the blocks that come together."""
        inner = [f"{c_type(n)} {self.names[n]} = {self._of_block(n)};" for n in read]
        inner += [self.load(n, "block") for n in part.loads]
        inner += self.lets(part.lines, [*read, *part.loads])
        if part.walk is not None:
            bounds = "first = block * length, last = SMALLER(first + length, numel)"
            inner.append(f"const int64_t {bounds};")
            inner += self._round(replace(part.walk, cell_lines=()), "first", "last")
        if stores:
            inner += [self.store(s, "block") for s in self.cell_stores]
        inner += left
        sums = [s.into(s.name) for s in self.cell_sums] if stores else []
        if not (inner or sums):
            return []
        simd = [] if part.walk or sums else ["#pragma omp simd"]
        head = "for (int64_t block = group; block < stop; block++) {"
        return [*simd, head, *indented(inner + sums), "}"]

    def _round(self, walk: Round, begin: str, end: str) -> list[str]:
        if walk.reductions or walk.partials:
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
            inside = not part.loads and all(self.in_array(s.stream) for s in stores)
            stop = "first + length" if inside and self.several > 1 else end  # constant: no rest
            lines += super(Blocks, self)._round(part, begin, stop)
        return lines

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
        found: set[Node] = set()
        stack = list(values)
        while stack:
            node = stack.pop()
            if node not in found and node not in kept:
                found.add(node)
                stack.extend(node.args)
        return found

    def _of_block(self, node: Node) -> str:
        return f"{self.kept(node)}[block - group]"
