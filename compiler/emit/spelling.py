"""Lines of Python that fit their column: what is too long for one line gets a line more.

spell("u", node, names)   ->   u_term = one_over_one_minus_beta1_pow_t * m
                               u = u_term / (tl.sqrt(v) + eps) + weight_decay * param
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..ir import Node
from .expressions import Syntax, definition, expression
from .layout import WIDTH, call, lines


def spell(
    name: str, node: Node, names: Mapping[Node, str], syntax: Syntax, indent: int = 4
) -> list[str]:
    """`name = <what node computes>`, in as many lines as it takes; `indent` is where they will
    stand, the lines themselves begin in column 0."""
    known = {n: other for n, other in names.items() if n is not node}
    return _spell(name, node, known, {*names.values(), name}, syntax, indent)


def kept(
    name: str, node: Node, names: Mapping[Node, str], syntax: Syntax, width: int
) -> tuple[list[str], str]:
    """A value for a place so wide; if it is too long for that, the lines that give it a name from
    that of what keeps it."""
    value = expression(node, names, syntax)
    if len(value) <= width:
        return [], value
    name = f"{name.rpartition('.')[2]}_kept"
    return spell(name, node, names, syntax), name


def _spell(
    name: str,
    node: Node,
    known: dict[Node, str],
    taken: set[str],
    syntax: Syntax,
    indent: int,
) -> list[str]:
    before: list[str] = []
    while True:
        text = f"{name} = {definition(node, known, syntax)}"
        part = _longest_part(node, known, syntax)
        if indent + len(text) <= WIDTH or part is None:
            return before + fitted(text, indent)
        term = _fresh(name, taken)
        before += _spell(term, part, known, taken, syntax, indent)
        known[part] = term


def commented(code: list[str], where: str, indent: int = 4) -> list[str]:
    """Statements with the place in the spec behind the last one, or above where it does not fit."""
    if not where:
        return code
    if indent + len(code[-1]) + len(where) + 4 <= WIDTH:
        return [*code[:-1], f"{code[-1]}  # {where}"]
    return [f"# {where}", *code]


def fitted(text: str, indent: int = 4) -> list[str]:
    """A statement; a call that is too long has its arguments on lines of their own."""
    opening = _last_bracket(text)
    if indent + len(text) <= WIDTH or opening < 0:
        return [text]
    whole = lines(call(text[:opening], _arguments(text[opening + 1 : -1])), indent)
    return [line[indent:] for line in whole]


def _last_bracket(text: str) -> int:
    """Where the bracket opens that closes at the end of `text`; -1 if none does."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            return place if text.endswith(")") else -1
    return -1


def _arguments(text: str) -> list[str]:
    """The arguments of a call."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _longest_part(node: Node, names: Mapping[Node, str], syntax: Syntax) -> Node | None:
    """The argument that takes most room and has no name."""
    parts = [arg for arg in node.args if arg not in names and arg.args]
    while len(parts) == 1 and parts[0].op in ("neg", "spread"):
        parts = [arg for arg in parts[0].args if arg not in names and arg.args]
    return max(parts, key=lambda arg: len(expression(arg, names, syntax)), default=None)


def _fresh(name: str, taken: set[str]) -> str:
    base = re.sub(r"_term(_\d+)?$", "", name) + "_term"
    fresh, number = base, 1
    while fresh in taken:
        number += 1
        fresh = f"{base}_{number}"
    taken.add(fresh)
    return fresh
