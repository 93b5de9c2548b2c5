"""Laying out generated Python so that the formatter has nothing to say.

    call("return Choice", ["0", "scalars=(a, b)"])  ->  return Choice(0, scalars=(a, b))

or, when that is too wide, the arguments on a line of their own, or one argument a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Group:
    """Bracketed, comma-separated parts, `head(part, part)`; a tuple of one gets its comma."""

    head: str
    parts: tuple[Group | str, ...]
    opening: str = "("
    closing: str = ")"

    @property
    def is_tuple(self) -> bool:
        """A tuple, list or dict: laid out one item a line where a call may share a line."""
        return self.opening != "(" or not self.head or self.head.endswith(("=", "= "))

    def flat(self) -> str:
        """The group on one line."""
        parts = [p if isinstance(p, str) else p.flat() for p in self.parts]
        lonely = self.is_tuple and self.opening == "(" and len(parts) == 1
        comma = "," if lonely else ""
        return f"{self.head}{self.opening}{', '.join(parts)}{comma}{self.closing}"


def tuple_of(name: str, parts: Sequence[Group | str]) -> Group:
    """`name=(a, b)`, or `(a, b)` without a name."""
    return Group(f"{name}=" if name else "", tuple(parts))


def call(head: str, parts: Sequence[Group | str], closing: str = ")") -> Group:
    """`head(a, b)`"""
    return Group(head, tuple(parts), "(", closing)


def lines(group: Group | str, indent: int = 0, tail: str = "") -> list[str]:
    """The group laid out from column `indent` on; `tail` follows the closing bracket."""
    pad = " " * indent
    if isinstance(group, str):
        *pieces, last = pieces_of(group, WIDTH - indent - len(tail))
        return [*(pad + piece for piece in pieces), pad + last + tail]
    flat = group.flat()
    if indent + len(flat) + len(tail) <= WIDTH:
        return [pad + flat + tail]
    opening = pad + group.head + group.opening
    closing = pad + group.closing + tail
    parts = [p if isinstance(p, str) else p.flat() for p in group.parts]
    together = " " * (indent + 4) + ", ".join(parts)
    if not group.is_tuple and len(together) <= WIDTH:
        return [opening, together, closing]
    body = [line for part in group.parts for line in lines(part, indent + 4, ",")]
    return [opening, *body, closing]


def assignment(name: str, value: str, indent: int = 0) -> list[str]:
    """`name = value`; too wide, it is broken inside its call, or put in brackets."""
    pad = " " * indent
    if indent + len(name) + 3 + len(value) <= WIDTH:
        return [f"{pad}{name} = {value}"]
    head = _whole_call(value)
    if head:
        return [f"{pad}{name} = {head}(", f"{pad}    {value[len(head) + 1 : -1]}", f"{pad})"]
    pieces = pieces_of(value, WIDTH - indent - 4)
    return [f"{pad}{name} = (", *(f"{pad}    {piece}" for piece in pieces), f"{pad})"]


def pieces_of(text: str, width: int) -> list[str]:
    """An expression that is too wide, broken before `if` and `else`, or before its operators."""
    if len(text) <= width:
        return [text]
    for words in ((" if ", " else "), (" + ", " - "), (" * ", " / ")):
        cuts = [
            place
            for place in range(len(text))
            if text.startswith(words, place)
            and text.count("(", 0, place) == text.count(")", 0, place)
            and text.count('"', 0, place) % 2 == 0
        ]
        if cuts:
            ends = [*cuts[1:], len(text)]
            later = (text[a:b].strip() for a, b in zip(cuts, ends, strict=True))
            parts = [text[: cuts[0]], *later]
            return [piece for part in parts for piece in pieces_of(part, width)]
    return [text]


def _whole_call(text: str) -> str:
    """`f` if all of the text is one call `f(...)`, else nothing."""
    head = re.match(r"[\w.]+(?=\()", text)
    if head is None:
        return ""
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == ")" and depth == 0:
            return head[0] if place == len(text) - 1 else ""
    return ""


def condition(test: str, indent: int) -> list[str]:
    """`if test:`, broken inside its call where it is too wide."""
    pad = " " * indent
    head = _whole_call(test)
    if indent + len(test) + 4 <= WIDTH or not head:
        return [f"{pad}if {test}:"]
    inner = test[len(head) + 1 : -1]
    if indent + 4 + len(inner) <= WIDTH:
        return [f"{pad}if {head}(", f"{pad}    {inner}", f"{pad}):"]
    first, _, second = inner.rpartition(", ")
    return [f"{pad}if {head}(", f"{pad}    {first},", f"{pad}    {second},", f"{pad}):"]
