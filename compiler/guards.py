"""Guards around what is stored: `where(guard, new, old)`, with the old value as it is in memory.

A guard keeps bits, not values: a code stays the code it was.
"""

from __future__ import annotations

from .ir import GUARD, Graph, Node, Store


def unguarded(value: Node, old: Node) -> tuple[list[Node], Node]:
    """The guards around what is stored, and that itself, if they keep `old`, the stored value. (In
    a state's first call they keep its initial value, which is not stored yet.)"""
    guards: list[Node] = []
    while value.attr == GUARD and value.args[2] is old:
        guards.append(value.args[0])
        value = value.args[1]
    return guards, value


def guarded(graph: Graph, new: Store, guards: list[Node]) -> Store:
    """A store that leaves what is there, bit by bit, where a guard does not hold."""
    stream, value = new.stream, new.value
    old = graph.node("load", attr=stream.name, level=stream.level)
    for guard in guards:
        value = graph.node("where", guard, value, old, level=stream.level, attr=GUARD)
    return Store(stream, value)
