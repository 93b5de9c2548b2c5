"""Model to decision tree: every path that host conditions can choose becomes a program.

    when t % k == 0: ...        Decide(t % k == 0, <program with the body>, <program without>)

A model is traced from top to bottom under the decisions taken so far; where a host condition is
met that is not decided yet, tracing starts again with it true and with it false. So control flow
costs nothing inside a kernel, and a condition written twice is decided once. Host values stay
expressions (computed once per step, in float64); `def`s, `extends` and modifiers are gone already.

Does not know how states are stored (`passes/store.py`), nor how many passes a program needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.model import Branch, Expr, Model, Rounding, Unsupported
from ..dsl.source import Span
from .decisions import Decisions, Refused, Undecided
from .ir import REDUCTIONS, Decide, Node, Program, Refuse, Tree, leaves, map_leaves, ordered
from .rounding import NARROW
from .trace import Trace
from .uncompiled import refuse_levels

_MOST_LEAVES = 512

Taken = tuple[tuple[Expr, bool], ...]


def lower(model: Model) -> Tree:
    """The decision tree of `model`.

    Raises SpecError (E5xx) for what is understood but not compiled yet.
    """
    refuse_unsupported(model)
    tree = _Grower(model).grow(())
    wanted = {node.attr for program in leaves(tree) for node in _sums(_stored(program))}
    return map_leaves(tree, lambda program: _adding(program, wanted))


def _adding(program: Program, wanted: set[object]) -> Program:
    """A path adds to the reductions that it meets even where it has no use for them itself, if
    another path does: each is over all tensors that come by."""
    own = set(_stored(program))
    adds = tuple(node for node in program.adds if node.attr in wanted and node not in own)
    return replace(program, adds=adds)


def _stored(program: Program) -> Iterator[Node]:
    return ordered(store.value for store in program.stores)


def _sums(nodes: Iterable[Node]) -> Iterator[Node]:
    """The reductions over several tensors among them."""
    return (node for node in nodes if node.op in REDUCTIONS and node.attr is not None)


@dataclass(slots=True)
class _Grower:
    model: Model
    leaves: int = 0

    def grow(self, taken: Taken) -> Tree:
        decisions = Decisions(dict(taken))
        trace = Trace.of(self.model, decisions)
        try:
            trace.run()
            program = _program(self.model.name, trace, taken)
        except Undecided as undecided:
            return Decide(
                undecided.condition,
                undecided.lets,
                self.grow((*taken, (undecided.condition, True))),
                self.grow((*taken, (undecided.condition, False))),
            )
        except Refused as refused:
            return Refuse(refused.message)
        self.leaves += 1
        if self.leaves > _MOST_LEAVES:
            raise SpecError(
                Diagnostic(
                    "E510",
                    f"`{self.model.name}` branches into more than {_MOST_LEAVES} paths",
                    trace.last_span,
                    "use `where` for choices inside arithmetic, or fewer `when`s",
                )
            )
        refuse_levels(program, trace.model)
        return program


def _program(name: str, trace: Trace, taken: Taken) -> Program:
    """What a path computes; its stores too may depend on what is not decided yet (`first`)."""
    names = trace.names
    return Program(
        name, trace.graph, taken, trace.streams(), trace.stores(),
        tuple(names.decisions.lets), tuple(names.host_stores.items()), trace.counts,
        _rounding(trace), trace.joint(),
    )  # fmt: skip


def _rounding(trace: Trace) -> Rounding:
    """How the parameter is written. One of float32 or float64 has nothing for `master` to keep."""
    rounding = trace.model.rounding
    if rounding.how == "master" and trace.writes_param and not trace.names.decide(NARROW):
        return Rounding()
    return rounding


def refuse_unsupported(model: Model) -> None:
    """Raise one SpecError with everything in the model (and its routes) that is not compiled."""
    found: list[Unsupported] = list(model.unsupported)
    stack: list[Branch] = list(model.route)
    while stack:
        branch = stack.pop()
        found += branch.model.unsupported
        stack += branch.model.route
    if found:
        raise SpecError(*(_not_compiled(u.code, u.what, u.span) for u in dict.fromkeys(found)))


def _not_compiled(code: str, what: str, span: Span) -> Diagnostic:
    return Diagnostic(
        code,
        f"{what}: understood, not compiled yet",
        span,
        "the naive interpreter may still run it",
    )
