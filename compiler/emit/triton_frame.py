"""What Triton kernels have in common: their signatures, and the lines that read the tables.

    streams = pointers + 4 * tensor
    param_at = tl.load(streams).to(tl.pointer_type(PARAM))
    numbers = scalars + 7 * tensor
    beta1 = tl.load(numbers + 1).to(REAL)

Arithmetic on values of which a tensor has one stands here too, before any tile is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...dsl.levels import Level
from ...dsl.model import Const, Expr
from ..ir import Node, Stream
from ..plan import Plan, Slot
from .body import Body, Line, stream_of
from .layout import WIDTH, call, lines
from .names import identifier
from .render import render
from .spelling import commented, fitted, spell
from .syntaxes import TRITON, TRITON_PLACES
from .words import wrapped

TABLES = (
    "count", "tasks", "pointers", "shapes", "scalars", "values", "totals", "partials", "spans",
)  # fmt: skip
CONSTANTS = ("PARAM", "GRAD", "REAL", "ALIGNED", "BLOCK")
_DTYPES = {"param": "PARAM", "grad": "GRAD", "real": "REAL"}


@dataclass(frozen=True, slots=True)
class KernelText:
    """A kernel as text. `tables` are its run-time arguments in order, `constants` the others;
    `functions` is what it takes from the runtime; `block` the tile's length where the
    kernel fixes it (one warp for every 256 then); where not, `alive` is how many values of an
    element it holds at once."""

    name: str
    text: str
    tables: tuple[str, ...]
    constants: tuple[str, ...]
    functions: tuple[str, ...]
    block: int = 0
    alive: int = 0


@dataclass(frozen=True, slots=True)
class Tile:
    """A device function: its text, and what to pass it by name after its first two arguments."""

    name: str
    text: str
    arguments: tuple[str, ...]

    def invoke(self, first: Sequence[str], indent: int, results: Sequence[str] = ()) -> list[str]:
        """The statement that calls it."""
        invoked = call(self.name, [*first, *self.arguments])
        if not results:
            return lines(invoked, indent)
        named = ", ".join(results)
        if indent + len(named) + len(f" = {self.name}(") <= WIDTH:
            return lines(call(f"{named} = {self.name}", invoked.parts), indent)
        pad = " " * indent
        return [f"{pad}{named} = (", *lines(invoked, indent + 4), f"{pad})"]


def word(text: str, name: str) -> bool:
    """Whether `name` occurs in `text` as a word."""
    return re.search(rf"\b{name}\b", text) is not None


def used(text: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Those of `candidates` that occur in `text`."""
    return tuple(name for name in dict.fromkeys(candidates) if word(text, name))


def function(name: str, arguments: Sequence[str], doc: str, body: Sequence[str]) -> str:
    """A function of a generated module, decorated as a kernel."""
    typed = [f"{a}: tl.constexpr" if a in CONSTANTS else a for a in arguments]
    signature = lines(call(f"def {name}", typed), tail=":")
    return render("triton_kernel", signature=signature, doc=_docstring(doc), lines=body)


def _docstring(doc: str) -> list[str]:
    text = wrapped(f'"""{doc}', WIDTH - 8)
    return [f'{text[0]}"""'] if len(text) == 1 else [*text, '"""']


def kernel_text(
    name: str, doc: str, body: Sequence[str], tiles: Sequence[Tile] = (), block: int = 0
) -> KernelText:
    """A whole kernel, its device functions before it."""
    text = "\n".join(body)
    tables, constants = used(text, TABLES), used(text, CONSTANTS)
    own = function(name, [*tables, *constants], doc, body)
    whole = "\n\n".join([*(tile.text for tile in tiles), own])
    known = sorted(frozenset[str]().union(*TRITON_PLACES.values()))
    return KernelText(name, whole, tables, constants, used(whole, known), block)


@dataclass(slots=True)
class Frame:
    """The opening lines of one kernel, and the names they define. `values` is the row length of
    the values table, the same for all kernels of a module."""

    plan: Plan
    body: Body
    values: int
    lines: list[str] = field(default_factory=list[str])
    names: list[str] = field(default_factory=list[str])

    def define(self, name: str, value: str) -> None:
        self.lines += fitted(f"{name} = {value}")
        self.names.append(name)

    def statement(self, line: Line, indent: int = 4) -> list[str]:
        """One value's own line."""
        code = spell(line.name, line.node, self.body.names, TRITON, indent)
        return commented(code, line.where, indent)

    # ------------------------------------------------------------ addresses

    def open_streams(self, streams: Iterable[Stream]) -> None:
        """A typed pointer for every stream. ALIGNED promises that they lie at multiples of 16
        bytes; the hint stands after the cast, before it it would be lost."""
        wanted = list(dict.fromkeys(streams))
        if not wanted:
            return
        self.lines.append(f"streams = {_row('pointers', len(self.plan.streams))}")
        for stream in wanted:
            column = self.plan.streams.index(stream)
            dtype = _DTYPES.get(stream.dtype) or f"tl.{stream.dtype.replace('uint4', 'uint8')}"
            place = _plus("streams", column)
            self.define(address(stream), f"tl.load({place}).to(tl.pointer_type({dtype}))")
        swept = [address(s) for s in wanted if s.level.kind == "element"]
        if swept:
            self.lines.append("if ALIGNED:")
            self.lines += [f"    {name} = tl.multiple_of({name}, 16)" for name in swept]

    def open_shape(self, names: Iterable[str]) -> None:
        """Reads numel, rows, cols and the sizes that levels need."""
        columns = ["numel", "rows", "cols", *(f"size_{k}" for k in range(len(self.plan.sizes)))]
        wanted = [name for name in columns if name in set(names)]
        if wanted:
            self.lines.append(f"shape = {_row('shapes', len(columns))}")
        for name in wanted:
            self.define(name, f"tl.load({_plus('shape', columns.index(name))})")

    def size(self, level: Level) -> str:
        """The argument of heads(n) or chunks(n): a number, or a column of the shape table."""
        return size_name(self.plan, level)

    # ------------------------------------------------------------ numbers

    def open_numbers(self, known: Iterable[Slot] = ()) -> None:
        """Reads operands, slots (but those `known` already) and coarse states; then come the
        values computed once per tensor."""
        columns = {expr: k for k, (_, expr) in enumerate(self.plan.scalars)}
        operands = sorted(self.body.operands, key=lambda n: columns[_expr(n)])
        if operands:
            self.lines.append(f"numbers = {_row('scalars', len(columns))}")
        for node in operands:
            kind = "tl.int64).to(tl.uint32" if node in self.body.keys else "REAL"
            place = _plus("numbers", columns[_expr(node)])
            self.define(self.body.names[node], f"tl.load({place}).to({kind})")
        for node in self.body.values:
            slot = slot_of(node)
            if slot not in set(known):
                self.define(self.body.names[node], f"tl.load({self.slot_at(slot)}).to(REAL)")
        for node in self.body.loads:
            at = address(stream_of(self.plan, node))
            self.define(self.body.names[node], f"tl.load({at}).to(REAL)")
        for line in self.body.prologue:
            self.lines += self.statement(line)
            self.names.append(line.name)

    def slot_at(self, slot: Slot) -> str:
        """The address of a slot of level tensor or global."""
        if slot in self.plan.totals:
            return _plus("totals", self.plan.totals.index(slot))
        return _plus(_row("values", self.values), self.plan.values.index(slot))


def barrier(loads: Iterable[Stream], stores: Iterable[Stream]) -> list[str]:
    """A number is read by every warp and written by one: none may write before all have read."""
    return ["tl.debug_barrier()"] if set(loads) & set(stores) else []


def address(stream: Stream) -> str:
    """The variable that holds a stream's address."""
    return f"{identifier(stream.name.replace('.', '_'))}_at"


def slot_of(node: Node) -> Slot:
    assert isinstance(node.attr, Slot)
    return node.attr


def size_name(plan: Plan, level: Level) -> str:
    """The argument of heads(n) or chunks(n)."""
    (size,) = size_names(plan, level)
    return size


def size_names(plan: Plan, level: Level) -> tuple[str, ...]:
    """A level's arguments: numbers, or columns of the shape table."""
    return tuple(
        str(arg.value) if isinstance(arg, Const) else f"size_{plan.sizes.index(arg)}"
        for arg in level.args
    )


def _expr(node: Node) -> Expr:
    assert isinstance(node.attr, Expr)
    return node.attr


def _row(table: str, width: int) -> str:
    """A tensor's row of a table."""
    return f"{table} + {width} * tensor" if width > 1 else f"{table} + tensor"


def _plus(base: str, offset: int) -> str:
    return f"{base} + {offset}" if offset else base
