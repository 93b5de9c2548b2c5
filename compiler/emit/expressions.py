"""One node as one expression of a target language, with the fewest parentheses.

    expression(add(mul(b, c), d), {b: "b", ...}, TRITON)    ->    "b * c + d"

A `Syntax` is a table: how each operation is written, how tightly it binds and how tightly its
arguments must bind. Value rules: sign(0) = 0; NaN passes through sign, maximum, minimum and clamp;
a comparison used as a number is 0 or 1. Names (loads, operands, whatever has its own line) come
from the caller; which nodes deserve a line is `body.py`'s business.

The tables themselves are in `syntaxes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..ir import Node

# How tightly an expression holds together. Python's and C's orders agree as far as they are used;
# Python's `|` and `&` (on booleans) bind more tightly than comparisons. TYPED is as loose as LOOSE,
# for arguments of which Triton would read a plain number as a float32. A LINK is no number of the
# language but a step towards one, which the next link of a chain takes as it is: the forms `link`
# and `unlinked` lead from a number to it and back.
LINK, TYPED, LOOSE, CHOICE, OR, AND, COMPARE, BITOR, BITAND, ADD, MUL, UNARY, ATOM = range(13)

BOOLEAN = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"})
_LOGIC = frozenset({"and", "or", "not"})
_INTEGER = frozenset({"byte", "away", "e4m3_code", "e5m2_code"})


@dataclass(frozen=True, slots=True)
class Form:
    """`text` with {0}, {1}, ... for the arguments; `takes`: how tightly each must bind."""

    text: str
    binds: int
    takes: tuple[int, ...]

    @property
    def repeats(self) -> bool:
        """Whether an argument is written more than once, so that it deserves a name."""
        return any(self.text.count(f"{{{k}}}") > 1 for k in range(len(self.takes)))


_NO_FORM = Form("", ATOM, ())


@dataclass(frozen=True, slots=True)
class Syntax:
    """A target language. `number(value, needed)` writes a constant; `spell` chooses the key in
    `forms` for nodes that are written differently by what their arguments are."""

    name: str
    forms: Mapping[str, Form]
    number: Callable[[float, int], str]
    spell: Callable[[Node], str] = lambda node: node.op

    def form(self, node: Node) -> Form:
        key = self.spell(node)
        if key not in self.forms:
            raise NotImplementedError(f"{self.name} has no way to write `{key}`")
        return self.forms[key]


def expression(node: Node, names: Mapping[Node, str], syntax: Syntax) -> str:
    """The value of `node`: its name if it has one."""
    return _at(node, names, syntax, LOOSE)


def definition(node: Node, names: Mapping[Node, str], syntax: Syntax) -> str:
    """What the line that names `node` says: its operation, on named or inlined arguments."""
    return _bound(*_written(node, names, syntax, LOOSE), syntax, LOOSE)


def links(node: Node, syntax: Syntax) -> list[Node]:
    """The arguments of `node` with which a chain goes on in it."""

    def form(of: Node) -> Form:
        return syntax.forms.get(syntax.spell(of), _NO_FORM)

    takes = zip(node.args, form(node).takes, strict=False)
    return [arg for arg, needed in takes if needed == LINK == form(arg).binds]


def is_boolean(node: Node) -> bool:
    return node.op in BOOLEAN


def is_integer(node: Node) -> bool:
    """Whether C keeps a value in an int: a code to be stored, a truth value."""
    return is_boolean(node) or node.op in _INTEGER


def _at(node: Node, names: Mapping[Node, str], syntax: Syntax, needed: int) -> str:
    """`node` where something that binds like `needed` stands around it."""
    name = names.get(node)
    text, binds = (name, ATOM) if name is not None else _written(node, names, syntax, needed)
    return _bound(text, binds, syntax, needed)


def _bound(text: str, binds: int, syntax: Syntax, needed: int) -> str:
    if (binds == LINK) != (needed == LINK):
        return syntax.forms["link" if needed == LINK else "unlinked"].text.format(text)
    return text if binds >= needed else f"({text})"


def _written(node: Node, names: Mapping[Node, str], syntax: Syntax, needed: int) -> tuple[str, int]:
    if node.op == "const":
        assert isinstance(node.attr, float)
        text = syntax.number(node.attr, needed)
        return text, UNARY if text.startswith("-") else ATOM
    if node.op == "spread":
        inner = node.args[0]
        text = _at(inner, names, syntax, needed)
        return text, max(needed, LOOSE)
    form = syntax.form(node)
    args = [_argument(node, k, names, syntax, form.takes[k]) for k in range(len(node.args))]
    return form.text.format(*args), form.binds


def _argument(node: Node, k: int, names: Mapping[Node, str], syntax: Syntax, needed: int) -> str:
    """Argument `k` as what the operation expects: a truth value, or a number."""
    arg = node.args[k]
    wants_truth = node.op in _LOGIC or (node.op == "where" and k == 0)
    if wants_truth == is_boolean(arg) or node.op == "cast":
        return _at(arg, names, syntax, needed)
    convert = syntax.forms["truth" if wants_truth else "number"]
    text = convert.text.format(_at(arg, names, syntax, convert.takes[0]))
    return text if convert.binds >= needed else f"({text})"
