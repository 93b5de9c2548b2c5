"""A parameter and the remainder beside it, in C: one number from the first loop to the last.

    for (i ...) param_kept[i - start] = param + R(1 / 127) * R(remainder_code) * HALF_ULP(param);
    ... rounds that read param_kept[i - start], and leave the new one there ...
    for (i ...) { param_here[i - start] = CUT(PARAM, rounded); remainder_here[i - start] = ...; }

Both ends are long chains of arithmetic over bytes and numbers. In loops of their own, which need
nothing of blocks, a processor works on many elements at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..ir import GUARD, Node, reached
from .body import Body, Round
from .c_decoding import depending_only

STREAMS = {"param", "remainder"}


def param_apart(body: Body) -> Body:
    """The body with a round before all others that joins, and one that splits what is new."""
    loads = [n for n in body.zone if n.op == "load" and n.attr in STREAMS]
    inside = depending_only(loads, body)
    used = {arg for node in body.zone if node not in inside for arg in node.args}
    exact = [n for n in inside if n in used]
    last = next((w for w in body.rounds if {s.stream.name for s in w.stores} >= STREAMS), None)
    new = _before_split(last) if last is not None else None
    if last is None or new is None or len(exact) != 1 or not {*exact, new} <= body.names.keys():
        return body
    lines = (line for walk in body.rounds for line in walk.lines if line.node in inside)
    rounds = [Round(tuple(loads), tuple(lines), (), (), (), (), tuple(exact))]
    for walk in body.rounds:
        split = tuple(s for s in walk.stores if walk is last and s.stream.name in STREAMS)
        stores = tuple(s for s in walk.stores if s not in split)
        kept = dict.fromkeys((*walk.kept, new) if split else walk.kept)
        kept.pop(exact[0], None)
        ends = [*kept, *(x.value for x in (*stores, *walk.partials))]
        ends += [arg for line in walk.reductions for arg in line.node.args]
        before = {n for other in body.rounds if other is not walk for n in other.kept}
        part = _part(walk, ends, {*exact, *before})
        rounds.append(replace(part, stores=stores, kept=tuple(kept)))
        if split:
            part = _part(walk, [s.value for s in split], {new})
            rounds.append(Round(part.loads, part.lines, (), (), split, (), ()))
    return replace(body, rounds=tuple(rounds))


def _before_split(walk: Round) -> Node | None:
    """The number that a parameter's new value and its remainder are made of."""
    node = next(s.value for s in walk.stores if s.stream.name == "param")
    while node.attr == GUARD:
        node = node.args[1]
    return node.args[0] if node.op == "cast" else None


def _part(walk: Round, ends: Iterable[Node], stop: set[Node]) -> Round:
    """The loads and lines of a round that some values need, which are computed from `stop`."""
    found = reached(ends, stop)
    return replace(
        walk,
        loads=tuple(n for n in walk.loads if n in found),
        lines=tuple(line for line in walk.lines if line.node in found),
    )
