"""What a sweep writes, line by line, the same for every target.

    once per tensor      ratio, lr                                  names, then `prologue`
    per cell             v = load v (rows)                          `cell_loads`, `cell_lines`
      round 1            m = ...  sum of u*u                        lines, then the reductions
                         norm = sqrt(sum)                           lines per cell
      round 2            param = ... norm ...                       lines; then what it leaves

A flat sweep has one round and no cells. In a sweep over cells, each round goes over the cell's
elements once: for reductions that later ones wait for, for stores, for partials (`rounds.py`).
Values are computed again in each round, or kept (`keep`, for cells that fit in registers or in a
small array). A value has its own line if the spec names it, if it is used twice, if it lives
outside the loop that uses it, or if the expression would grow too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...dsl.levels import Level
from ..ir import CODES, ORDER, REDUCTIONS, Node, Store, Stream, ordered
from ..plan import Partial, Plan, PlanStep, Slot, Sweep
from ..tables import step_roots
from .expressions import Syntax, links
from .names import Event, Naming, identifier
from .rounds import CELL, ELEMENT, ONCE, End, depths, keeps, rounds_of

_LEAVES = frozenset({"load", "fresh", "operand", "value"})
_UNNAMED = frozenset({"const", "spread"})
_ALONE = REDUCTIONS | ORDER  # always on a line of their own
_LONGEST_EXPRESSION = 10  # operations


@dataclass(frozen=True, slots=True)
class Line:
    """`name = <definition of node>`. `rebinds`: the name was another value's until here."""

    name: str
    node: Node
    rebinds: bool

    @property
    def where(self) -> str:
        """The place in the spec, `adamw.opt:14`; empty if no statement says it."""
        span = self.node.span
        if span is None or not self.node.label:
            return ""
        return f"{span.source.name.rpartition('/')[2]}:{span.line}"


@dataclass(frozen=True, slots=True)
class Round:
    """One walk over the elements (of a cell). `stores` and `partials`: what it leaves per element.
    `kept`: values of it that later rounds read."""

    loads: tuple[Node, ...]
    lines: tuple[Line, ...]
    reductions: tuple[Line, ...]
    cell_lines: tuple[Line, ...]
    stores: tuple[Store, ...]
    partials: tuple[Partial, ...]
    kept: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """All lines of a step. `names`: what to call every named value, for printing expressions.
    `operands`, `values` and `loads` are the leaves that live once per tensor."""

    names: dict[Node, str]
    zone: dict[Node, int]
    operands: tuple[Node, ...]
    values: tuple[Node, ...]
    loads: tuple[Node, ...]
    prologue: tuple[Line, ...]
    cell_loads: tuple[Node, ...]
    cell_lines: tuple[Line, ...]
    rounds: tuple[Round, ...]

    @property
    def keys(self) -> frozenset[Node]:
        """Operands that are 32-bit integers, not numbers: the keys of stochastic rounding."""
        return frozenset(n.args[1] for n in self.zone if n.op == "round_stochastic")

    @property
    def needs_index(self) -> bool:
        """Whether some value depends on the element's place in its tensor."""
        return any(n.op == "round_stochastic" for n in self.zone)


def sweep_body(
    plan: Plan,
    sweep: Sweep,
    syntax: Syntax,
    *,
    cell: Level | None = None,
    keep: bool | None = None,
    early: bool = False,
) -> Body:
    """The lines of a sweep. `cell`: walk over these cells although the sweep is flat (C walks over
    rows where a value per row is read). `keep`: see above; by default for constant small cells.
    `early`: store before the last round what can be, where values are kept."""
    level = sweep.cell or cell
    if keep is None:
        keep = sweep.cell is not None and keeps(sweep.cell)

    def zone(of: Level) -> int:
        return ONCE if of.is_coarse else CELL if of == level else ELEMENT

    return _Arranger(plan, sweep, syntax, zone, keep, early).body()


def straight_body(plan: Plan, step: PlanStep, syntax: Syntax) -> Body:
    """The lines of a step without loops: a finish, or any step on whole tensors (torch)."""
    return _Arranger(plan, step, syntax, lambda level: ONCE, keep=False, early=False).body()


@dataclass(slots=True)
class _Arranger:
    plan: Plan
    step: PlanStep
    syntax: Syntax
    place: Callable[[Level], int]
    keep: bool
    early: bool

    def body(self) -> Body:
        roots = step_roots(self.step)
        order = list(ordered(roots))
        zone = {node: self.place(node.level) for node in order}
        depth = depths(order, zone)
        left = self._left()
        walked = rounds_of([_end(x) for x in left], zone, depth, keep=self.keep, early=self.early)
        named = self._named(order, roots, zone, {n for ns in walked.kept for n in ns})
        walks = [[n for n in order if n in nodes] for nodes in walked.needed]
        placed = list(zip(left, walked.places, strict=True))
        leaving = [[x for x, place in placed if place == k] for k in range(len(walks))]
        events = self._events(order, roots, zone, depth, walks, leaving, named)
        partials = self.step.partials if isinstance(self.step, Sweep) else ()
        sums = frozenset(identifier(p.slot.name) for p in partials)
        naming = Naming(events, zone, frozenset(s.name for s in self.plan.streams), sums)
        self._fix_leaves(naming, order)
        rebinds = {n: naming.name(n) for n in order if n in named and n not in naming.names}

        def lines(nodes: Iterable[Node]) -> tuple[Line, ...]:
            return tuple(
                Line(naming.names[n], n, rebinds[n])
                for n in nodes
                if n in named and n.op not in _LEAVES
            )

        def at(where: int, after: int | None = None) -> list[Node]:
            return [n for n in order if zone[n] == where and after in (None, depth[n])]

        rounds = [
            Round(
                tuple(n for n in walk if n.op in _LEAVES),
                lines(walk),
                lines(n for n in at(CELL, k + 1) if n.op in REDUCTIONS),
                lines(n for n in at(CELL, k + 1) if n.op not in REDUCTIONS),
                tuple(x for x in leaving[k] if isinstance(x, Store)),
                tuple(x for x in leaving[k] if isinstance(x, Partial)),
                tuple(walked.kept[k]),
            )
            for k, walk in enumerate(walks)
        ]
        return Body(
            naming.names,
            zone,
            tuple(n for n in order if n.op == "operand"),
            tuple(n for n in at(ONCE) if n.op == "value"),
            tuple(n for n in at(ONCE) if n.op in ("load", "fresh")),
            lines(at(ONCE)),
            tuple(n for n in at(CELL) if n.op in _LEAVES and n.op != "operand"),
            lines(at(CELL, 0)),
            tuple(rounds),
        )

    def _left(self) -> list[Store | Partial]:
        """What a sweep leaves per element."""
        if not isinstance(self.step, Sweep):
            return []
        stores = [s for s in self.step.stores if self.place(s.stream.level) == ELEMENT]
        return stores + [p for p in self.step.partials if self.place(p.value.level) == ELEMENT]

    # ------------------------------------------------------------ who has a name

    def _named(
        self, order: list[Node], roots: list[Node], zone: dict[Node, int], kept: set[Node]
    ) -> set[Node]:
        uses = dict.fromkeys(order, 0)
        finest = dict.fromkeys(order, -1)
        special: set[Node] = set()  # written twice, or used at another level
        for root in roots:
            uses[root] += 1
        for node in order:
            for arg in node.args:
                uses[arg] += 1
                finest[arg] = max(finest[arg], zone[node])
                if arg.level.is_cells and arg.level != node.level:
                    special.add(arg)
            if node.op not in _ALONE | _LEAVES | _UNNAMED and self.syntax.form(node).repeats:
                special.update(node.args)
        chained = {arg for node in order for arg in links(node, self.syntax)}
        named: set[Node] = set()
        length: dict[Node, int] = {}
        for node in order:
            length[node] = 1 + sum(length[arg] for arg in node.args if arg not in named)
            if node.op in _UNNAMED:
                continue
            if (
                node.op in _LEAVES
                or node.op in _ALONE
                or (node.label and node not in chained)
                or uses[node] > 1
                or finest[node] > zone[node]
                or node in special
                or node in kept
                or length[node] > _LONGEST_EXPRESSION
            ):
                named.add(node)
        return named

    def _fix_leaves(self, naming: Naming, order: list[Node]) -> None:
        scalars = {expr: name for name, expr in self.plan.scalars}
        for node in order:
            if node.op == "operand":
                naming.fix(node, scalars[node.attr])  # type: ignore[index]
        for node in order:
            if node.op in ("load", "fresh"):
                stream = stream_of(self.plan, node)
                code = stream.dtype in CODES
                naming.fix(node, f"{identifier_of(stream)}_code" if code else stream.name)
        for node in order:
            if node.op == "value":
                assert isinstance(node.attr, Slot)
                naming.fix(node, node.attr.name)

    # ------------------------------------------------------------ the order of the text

    def _events(
        self,
        order: list[Node],
        roots: list[Node],
        zone: dict[Node, int],
        depth: dict[Node, int],
        walks: Sequence[list[Node]],
        leaving: Sequence[Sequence[Store | Partial]],
        named: set[Node],
    ) -> list[Event]:
        """Every line in the order of the text. Without `keep`, what a round computes per element
        dies with it, so each round is a stretch of its own."""

        def reads(node: Node) -> frozenset[Node]:
            return frozenset(leaves_of(node.args, named))

        def make(nodes: Iterable[Node], stretch: int) -> list[Event]:
            return [Event(n, reads(n), stretch) for n in nodes if n in named]

        leaves_first = sorted(order, key=lambda n: n.op not in _LEAVES)
        outer = [n for n in leaves_first if zone[n] == ONCE]
        outer += [n for n in leaves_first if zone[n] == CELL and depth[n] == 0]
        events = make(outer, 0)
        for k, walk in enumerate(walks):
            stretch = 0 if self.keep else k + 1
            inside = make(sorted(walk, key=lambda n: n.op not in _LEAVES), stretch)
            cell = [n for n in order if zone[n] == CELL and depth[n] == k + 1]
            inside += [Event(None, reads(n), stretch) for n in cell if n.op in REDUCTIONS]
            ends = [left.value for left in leaving[k]]
            inside.append(Event(None, frozenset(leaves_of(ends, named)), stretch))
            if stretch:  # what is read in a round of its own, is read from outside too
                events += [Event(None, event.reads, 0) for event in inside]
            events += inside
            events += make(cell, 0)
        events.append(Event(None, frozenset(leaves_of(roots, named)), 0))
        return events


def _end(left: Store | Partial) -> End:
    return left.value, left.stream.name if isinstance(left, Store) else None


def leaves_of(nodes: Iterable[Node], named: set[Node]) -> Iterable[Node]:
    """The named values that expressions for `nodes` read."""
    for node in nodes:
        if node in named:
            yield node
        else:
            yield from leaves_of(node.args, named)


def stream_of(plan: Plan, node: Node) -> Stream:
    """The stream that a `load` or `fresh` node reads."""
    return next(stream for stream in plan.streams if stream.name == node.attr)


def identifier_of(stream: Stream) -> str:
    return stream.name.rpartition(".")[2]
