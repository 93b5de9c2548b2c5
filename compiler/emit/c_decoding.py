"""Tables of what codes stand for, in C: 256 numbers, from the arithmetic that decodes.

    Table m_ratio_table;                                        once per kernel
    for (int m_code = 0; m_code < 256; m_code++) {
        const REAL term = R(m_code) - R(127);
        m_ratio_table.value[m_code] = COPYSIGN(...);
    }
    look_up(m_ratio_kept, m_at + start, last - start, &m_ratio_table);     once per block

The numbers are those the same lines would give in the loop, to the bit. Worth it where they are
more work than a look-up is, about six operations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..ir import Node
from ..plan import Plan
from .body import Body, Line, stream_of
from .c_streams import declared
from .expressions import definition
from .names import identifier
from .syntaxes import C

_WORTH = 6  # operations
_LONG = {"div": 6, "e4m3_value": 6, "e5m2_value": 6}  # operations that count for more than one
_BYTES = ("uint8", "uint4")


@dataclass(frozen=True, slots=True)
class Decoding:
    """`value` and the nodes `inside` of it depend on nothing but `code`, and only `value` is used
    elsewhere. `lines` are those of the nodes inside that have one."""

    code: Node
    value: Node
    inside: frozenset[Node]
    lines: tuple[Line, ...]
    name: str

    @property
    def table(self) -> str:
        return f"{self.name}_table"


def decodings(plan: Plan, body: Body, codes: Iterable[Node]) -> dict[Node, Decoding]:
    """For each of these loads the table that serves it, where one is worth it. Gives the value of
    each a name of its own."""
    users: dict[Node, list[Node]] = {}
    for node in body.zone:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    ends = {left.value for walk in body.rounds for left in (*walk.stores, *walk.partials)}
    lines = {line.node: line for walk in body.rounds for line in walk.lines}
    found: dict[Node, Decoding] = {}
    for code in codes:
        stream = stream_of(plan, code)
        pure = depending_only([code], body)
        outer = [n for n in (code, *pure) if n in ends or any(u not in pure for u in users[n])]
        work = sum(_LONG.get(n.op, 1) for n in pure)
        if stream.dtype in _BYTES and code not in outer and len(outer) == 1 and work >= _WORTH:
            (value,) = outer
            name = _unused(f"{identifier(stream.name)}_ratio", body)
            body.names[value] = name
            inside = tuple(lines[n] for n in pure if n in lines and n is not value)
            found[code] = Decoding(code, value, frozenset(pure), inside, name)
    return found


def depending_only(codes: Iterable[Node], body: Body) -> dict[Node, None]:
    """The values computed from codes and constants, each after those it is computed from."""
    codes = set(codes)
    found: dict[Node, None] = {}
    for node in body.zone:
        others = [arg for arg in node.args if arg.op != "const"]
        if others and all(arg in codes or arg in found for arg in others):
            found[node] = None
    return found


def _unused(name: str, body: Body) -> str:
    taken = set(body.names.values())
    return next(n for n in (name, *(f"{name}_{k}" for k in range(1, 99))) if n not in taken)


def table_lines(body: Body, decoding: Decoding) -> list[str]:
    """The lines that fill a table."""
    names = body.names
    code, table = names[decoding.code], decoding.table
    inner = declared(decoding.lines, names, C, "REAL", [code])
    return [
        f"Table {table};",
        "#pragma omp simd",
        f"for (int {code} = 0; {code} < 256; {code}++) {{",
        *(f"    {line}" for line in inner),
        f"    {table}.value[{code}] = {definition(decoding.value, names, C)};",
        "}",
        f"finish_table(&{table});",
    ]
