"""The syntax tree as an outline: a line for each node, with its place in the text.

Assign                                  7:9
  target: Name id='m'                   7:9
  value: Call function='lerp'           7:13
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ..dsl.source import Span
from ..dsl.syntax import Node


def outline(node: Node) -> str:
    """`node` and everything below it."""
    return "\n".join(lines(node, "", 0)) + "\n"


def lines(node: Node, label: str, depth: int) -> Iterator[str]:
    """One line for the node with what is plain in it, then its parts, indented."""
    plain: list[str] = []
    parts: list[tuple[str, Node]] = []
    for field in fields(node):
        value: object = getattr(node, field.name)
        inside = list(nodes(value, field.name))
        if inside:
            parts += inside
        elif not isinstance(value, Span) and value not in ("", None, ()):
            plain.append(f"{field.name}={value!r}")
    title = f"{'  ' * depth}{label}{' '.join([type(node).__name__, *plain])}"
    yield f"{title:<64}  {node.span.line}:{node.span.column}"
    for name, part in parts:
        yield from lines(part, f"{name}: ", depth + 1)


def nodes(value: object, label: str) -> Iterator[tuple[str, Node]]:
    """The nodes in a field: itself, or those of a tuple; `("beta1", node)` has its own name."""
    match value:
        case Node():
            yield label, value
        case (str(name), Node() as node):
            yield name, node
        case tuple():
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                yield from nodes(item, label)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            pass
