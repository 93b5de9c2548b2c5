"""Streams and tables in C: pointers, conversions at loads and stores, sizes.

const GRAD *restrict grad_at = (const GRAD *)address[1];
const REAL grad = LOAD(GRAD, grad_at[i]);
param_at[i] = STORE(PARAM, param);
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...dsl.levels import Level
from ...dsl.model import Const, Expr
from ..ir import CODES, Node, Stream
from ..plan import Plan
from .body import Line
from .expressions import Syntax, definition, is_integer
from .names import identifier

_TYPES = {
    "param": "PARAM", "grad": "GRAD", "real": "REAL", "float32": "f32", "float64": "f64",
    "bfloat16": "bf16", "float16": "f16", "uint8": "uint8_t", "int32": "int32_t",
    "int8": "int8_t", "int16": "int16_t", "uint4": "uint8_t",
}  # fmt: skip
_CONVERTED = frozenset({"param", "grad", "bfloat16", "float16"})


def ctype(stream: Stream) -> str:
    return _TYPES[stream.dtype]


def pointer(stream: Stream) -> str:
    """The variable that holds a stream's address."""
    return f"{identifier(stream.name.replace('.', '_'))}_at"


def declare_pointer(plan: Plan, stream: Stream, written: bool) -> str:
    """The line that takes a stream's address from the table."""
    kind = f"{'' if written else 'const '}{ctype(stream)} *"
    column = plan.streams.index(stream)
    return f"{kind}restrict {pointer(stream)} = ({kind})address[{column}];"


def load(stream: Stream, index: str, array: str = "") -> str:
    """One value as a number of type REAL; `array`: where the stream is, if not at its pointer."""
    element = f"{array or pointer(stream)}[{index}]"
    return f"LOAD({ctype(stream)}, {element})" if stream.dtype in _CONVERTED else element


def store(stream: Stream, index: str, value: str, array: str = "", *, rounded: bool = False) -> str:
    """The statement that writes one value; `rounded`: which a stream's dtype has a number for."""
    match stream.dtype:
        case dtype if dtype in _CONVERTED:
            value = f"{'CUT' if rounded else 'STORE'}({ctype(stream)}, {value})"
        case dtype if dtype in CODES or dtype == "int32":
            value = f"({ctype(stream)})(int32_t)({value})"
        case _:
            pass
    return f"{array or pointer(stream)}[{index}] = {value};"


def is_rounded(value: Node, stream: Stream) -> bool:
    """Whether a stream's dtype has a number for a value: it was rounded to it, or read from it."""
    if value.op == "where":
        return all(is_rounded(arg, stream) for arg in value.args[1:])
    if value.op == "cast":
        return value.attr == stream.dtype
    return value.op == "load" and value.attr == stream.name


def size(plan: Plan, expr: Expr) -> str:
    """A level's host integer: a constant, or a column of the shape table."""
    if isinstance(expr, Const):
        return str(int(expr.value))
    return f"shape[{3 + plan.sizes.index(expr)}]"


def address_lines(plan: Plan, lines: Iterable[str]) -> list[str]:
    """The rows of this tensor in the tables, and the facts of its shape, where used."""
    words = set(re.findall(r"\w+", "\n".join(lines)))
    found: list[str] = []
    if "address" in words:
        found.append(f"const int64_t *address = pointers + {len(plan.streams)} * tensor;")
    facts = [f for f in ("numel", "rows", "cols") if f in words]
    if facts or "shape" in words:
        found.append(f"const int64_t *shape = shapes + {3 + len(plan.sizes)} * tensor;")
    columns = {"numel": 0, "rows": 1, "cols": 2}
    found += [f"const int64_t {fact} = shape[{columns[fact]}];" for fact in facts]
    if "numbers" in words:
        found.append(f"const double *numbers = scalars + {len(plan.scalars)} * tensor;")
    return found


def slot_at(plan: Plan, slot: object) -> str:
    """Where a value between steps lies: in `values` (per tensor) or `totals` (one in all)."""
    if slot in plan.totals:
        return f"totals[{plan.totals.index(slot)}]"  # type: ignore[arg-type]
    return f"values[VALUES * tensor + {plan.values.index(slot)}]"  # type: ignore[arg-type]


def declared(
    lines: Iterable[Line],
    names: Mapping[Node, str],
    syntax: Syntax,
    real: str,
    scope: Iterable[str],
) -> list[str]:
    """`const REAL name = ...;` for each line: without const where another value may take the name
    over, and an assignment where `scope` (or a line before) has declared the name."""
    known = set(scope)
    texts: list[str] = []
    for line in lines:
        where = f"  // {line.where}" if line.where else ""
        kind = "int" if is_integer(line.node) else real
        declare = "" if line.name in known else f"{constant(line.name, names)}{kind} "
        known.add(line.name)
        texts.append(f"{declare}{line.name} = {definition(line.node, names, syntax)};{where}")
    return texts


def constant(name: str, names: Mapping[Node, str]) -> str:
    """`const ` for a name that stands for one value only."""
    return "const " if sum(other == name for other in names.values()) == 1 else ""


def across(plan: Plan, tiles: Level) -> str:
    """How many tiles lie side by side."""
    width = size(plan, tiles.args[1])
    return f"(cols + {width} - 1) / {width}"


def tile_at(plan: Plan, tiles: Level, row: str, col: str) -> str:
    """The number of the tile that holds an element."""
    height, width = (size(plan, arg) for arg in tiles.args)
    return f"{row} / {height} * ({across(plan, tiles)}) + {col} / {width}"


def length_of(plan: Plan, cell: Level) -> str:
    """The number of elements of one cell (of the last block perhaps fewer)."""
    if cell.kind == "rows":
        return "cols"
    if cell.kind == "heads":
        return f"numel / {size(plan, cell.args[0])}"
    return size(plan, cell.args[0])
