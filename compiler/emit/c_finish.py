"""A finish in C: sums completed in a fixed order, then a few numbers per tensor, in double.

double norm = 0;
for (int64_t task = ...; ...) norm += partials[PARTIALS * task + 0];
const double ratio = sqrt(norm) / rate;
values[VALUES * tensor + 0] = ratio;
"""

from __future__ import annotations

from ...dsl.levels import TENSOR
from ..plan import Finish, Plan, Slot
from .body import Body, straight_body, stream_of
from .c_streams import address_lines, constant, declare_pointer, declared, load, slot_at, store
from .expressions import expression
from .names import identifier
from .syntaxes import C_DOUBLE

_START = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}


def finish_lines(plan: Plan, finish: Finish) -> list[str]:
    """The function's body."""
    body = straight_body(plan, finish, C_DOUBLE)
    known = {n.attr: name for n, name in body.names.items() if n.op == "value"}
    sums: list[str] = []
    done: dict[Slot, str] = {}
    for slot, kind in finish.completes:
        done[slot] = known.get(slot, f"{identifier(slot.name)}_{kind}")
        sums += _complete(plan, finish, slot, kind, done[slot])
    for slot, kind, source in finish.gathers:
        done[slot] = known.get(slot, f"{identifier(slot.name)}_{kind}")
        sums += _gather(plan, source, kind, done[slot])
    lines = _leaves(plan, body, done)
    scope = [body.names[n] for n in (*body.operands, *body.values, *body.loads)]
    lines += [f"{slot_at(plan, slot)} = {name};" for slot, name in done.items()]
    lines += declared(body.prologue, body.names, C_DOUBLE, "double", scope)
    lines += [
        f"{slot_at(plan, slot)} = {expression(node, body.names, C_DOUBLE)};"
        for slot, node in finish.values
    ]
    lines += [
        store(s.stream, "0", expression(s.value, body.names, C_DOUBLE)) for s in finish.stores
    ]
    written = {s.stream for s in finish.stores}
    moved = dict.fromkeys([*finish.loads, *written])
    lines = [*(declare_pointer(plan, stream, stream in written) for stream in moved), *lines]
    if finish.level != TENSOR:
        first = (
            ["const int64_t tensor = 0;"] if "tensor" in "".join(address_lines(plan, lines)) else []
        )
        return [*sums, *first, *address_lines(plan, lines), *lines]
    inner = [*address_lines(plan, [*sums, *lines]), *sums, *lines]
    return [
        "for (int64_t tensor = 0; tensor < count; tensor++) {",
        *(f"    {line}" for line in inner),
        "}",
    ]


def _complete(plan: Plan, finish: Finish, slot: Slot, kind: str, name: str) -> list[str]:
    """Add up the partial results of the sweep before, of one tensor or of several."""
    column = _column(plan, slot)
    add = _adding(kind, name, f"partials[PARTIALS * task + {column}]")
    loop = [
        "const int64_t first = spans[2 * tensor], last = first + spans[2 * tensor + 1];",
        f"for (int64_t task = first; task < last; task++) {add}",
    ]
    if finish.level != TENSOR:
        head = "for (int64_t tensor = 0; tensor < count; tensor++) {"
        return [f"double {name} = {_START[kind]};", head, *(f"    {line}" for line in loop), "}"]
    return [f"double {name} = {_START[kind]};", "{", *(f"    {line}" for line in loop), "}"]


def _gather(plan: Plan, source: Slot, kind: str, name: str) -> list[str]:
    add = _adding(kind, name, slot_at(plan, source))
    return [
        f"double {name} = {_START[kind]};",
        f"for (int64_t tensor = 0; tensor < count; tensor++) {add}",
    ]


def _adding(kind: str, name: str, value: str) -> str:
    if kind == "sum":
        return f"{name} += {value};"
    return f"{name} = {'maximum' if kind == 'max' else 'minimum'}({name}, {value});"


def _column(plan: Plan, slot: Slot) -> int:
    """In which column of its sweep's partial results a slot is begun."""
    return next(
        k for sweep in plan.sweeps for k, part in enumerate(sweep.partials) if part.slot == slot
    )


def _leaves(plan: Plan, body: Body, done: dict[Slot, str]) -> list[str]:
    names = body.names
    columns = {expr: column for column, (_, expr) in enumerate(plan.scalars)}
    lines = [
        f"{constant(names[n], names)}double {names[n]} = numbers[{columns[n.attr]}];"  # type: ignore[index]
        for n in body.operands
    ]
    lines += [
        f"{constant(names[n], names)}double {names[n]} = {slot_at(plan, n.attr)};"
        for n in body.values
        if isinstance(n.attr, Slot) and n.attr not in done
    ]
    lines += [
        f"{constant(names[n], names)}double {names[n]} = {load(stream_of(plan, n), '0')};"
        for n in body.loads
    ]
    return lines
