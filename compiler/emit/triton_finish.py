"""Between two sweeps: partial results combined in the order of their tasks, then arithmetic on a
few numbers, for one tensor (grid (T,)) or for all of them (grid (1,), `count` tensors).

    for start in range(0, pieces, 256):
        square_all += tl.load(partials + ..., mask=inside, other=0.0)
    square = tl.sum(square_all, 0)
    tl.store(values + 3 * tensor, square)

Sums are carried in float64, what follows is in REAL.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..plan import Finish, Plan, Slot
from .body import straight_body
from .layout import WIDTH
from .spelling import kept
from .syntaxes import TRITON
from .triton_frame import Frame, KernelText, address, barrier, kernel_text, slot_of, word
from .triton_partials import COMBINE, NEUTRAL, TAKE, slot_name

_LENGTH = 256


def finish_kernel(
    plan: Plan, finish: Finish, name: str, doc: str, values: int, partials: int
) -> KernelText:
    """The kernel of a finish."""
    frame = Frame(plan, straight_body(plan, finish, TRITON), values)
    alone = finish.level.kind != "tensor"
    lines = [] if alone else ["tensor = tl.program_id(0)"]
    length = 4 * _LENGTH if alone else _LENGTH
    combined: list[Slot] = []
    if finish.completes:
        place = "spans + 2 * (count - 1)" if alone else "spans + 2 * tensor"
        lines.append(f"span = {place}")
        if alone:
            lines += ["first = 0", "pieces = tl.load(span) + tl.load(span + 1)"]
        else:
            lines += ["first = tl.load(span)", "pieces = tl.load(span + 1)"]
        columns = _columns(plan)
        sources = [
            _Source(slot, kind, "partials", partials, columns[slot])
            for slot, kind in finish.completes
        ]
        lines += _combine(sources, "pieces", "first + ", length)
        combined += [source.slot for source in sources]
    if finish.gathers:
        sources = [
            _Source(result, kind, "values", values, plan.values.index(term))
            for result, kind, term in finish.gathers
        ]
        lines += _combine(sources, "count", "", length)
        combined += [source.slot for source in sources]
    frame.open_streams([*finish.loads, *(store.stream for store in finish.stores)])
    for slot in combined:
        frame.lines.append(f"tl.store({frame.slot_at(slot)}, {slot_name(slot)}_all)")
    for node in frame.body.values:
        if slot_of(node) in combined:
            known = f"{slot_name(slot_of(node))}_all.to(REAL)"
            frame.define(frame.body.names[node], known)
    frame.open_numbers(known=combined)
    names = frame.body.names
    frame.lines += barrier(finish.loads, [store.stream for store in finish.stores])
    made = [(slot.name, frame.slot_at(slot), node) for slot, node in finish.values]
    made += [(s.stream.name, address(s.stream), s.value) for s in finish.stores]
    for kept_as, at, node in made:
        before, value = kept(kept_as, node, names, TRITON, WIDTH - 20 - len(at))
        frame.lines += [*before, f"tl.store({at}, {value})"]
    body = [*lines, *frame.lines]
    if alone and any(word(line, "tensor") for line in body):
        body.insert(0, "tensor = 0")
    return kernel_text(name, doc, body)


@dataclass(frozen=True, slots=True)
class _Source:
    """A column of a table whose rows are combined into `slot`."""

    slot: Slot
    kind: str
    table: str
    width: int
    column: int

    @property
    def all(self) -> str:
        return f"{slot_name(self.slot)}_all"


def _columns(plan: Plan) -> dict[Slot, int]:
    """In which column of its sweep's partial results each slot is begun."""
    return {p.slot: k for sweep in plan.sweeps for k, p in enumerate(sweep.partials)}


def _combine(sources: list[_Source], count: str, first: str, length: int) -> list[str]:
    """A loop over `count` rows from `first` on, then the reductions over lanes."""
    lines = [f"lanes = tl.arange(0, {length})"]
    for source in sources:
        lines.append(f"{source.all} = tl.full([{length}], {NEUTRAL[source.kind]}, tl.float64)")
    lines.append(f"for start in range(0, {count}, {length}):")
    inner = ["index = start + lanes", f"inside = index < {count}"]
    table, width = sources[0].table, sources[0].width
    row = f"({first}index)" if first else "index"
    inner.append(f"piece = {table} + {f'{width} * ' if width > 1 else ''}{row}")
    for source in sources:
        at = f"piece + {source.column}" if source.column else "piece"
        part = f"tl.load({at}, mask=inside, other={NEUTRAL[source.kind]})"
        inner.append(TAKE[source.kind].format(source.all, part))
    lines += [f"    {line}" for line in inner]
    for source in sources:
        lines.append(f"{source.all} = {COMBINE[source.kind].format(source.all)}")
    return lines
