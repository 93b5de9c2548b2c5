"""Tokens in words, for messages: what one is called, and what could have stood in its place.

describe(Token("NAME", "x"))         == "`x`"
expectation({"NAME", "NUMBER", ...}) == "a value"
expectation({"COLON", "COMMA"})      == "`,` or `:`"
"""

from __future__ import annotations

from collections.abc import Collection

from lark import Token

DECLARATIONS: tuple[str, ...] = tuple(
    "import optimizer modifier def schedule roles partition grouping".split()
)
MEMBERS: tuple[str, ...] = tuple(
    "paper family arithmetic hyper state quantize round roles partition grouping layout requires"
    " gradients input needs let replace active on view route".split()
)
STATEMENTS: tuple[str, ...] = tuple(
    "when otherwise first every repeat skip reset guard return".split()
)

VALUES = frozenset("NAME NUMBER INF STRING LPAR".split())
"""Tokens that begin a value and nothing else."""

_VALUE = VALUES | {"MINUS"}
_OPERATORS = frozenset(
    "OR AND IN PLUS MINUS TIMES POWER MATCHES COMPARE IF NOT DOT LSQB LPAR".split()
)
_SIGNS = {
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "AUGMENTED": "`+=`",
    "ARROW": "`->`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "LPAR": "`(`",
    "LSQB": "`[`",
    "PLUS": "`+`",
}
_PHRASES = {
    "NAME": "a name",
    "STRING": 'a string in `"`',
    "_NL": "the end of the line",
    "_DEDENT": "the end of the block",
    "$END": "the end of the text",
}

FOREIGN_CHARACTERS = {
    "'": 'strings are written with `"`',
    "\u201c": 'strings are written with `"`',
    "\u201d": 'strings are written with `"`',
    "\u2018": 'strings are written with `"`',
    "\u2019": 'strings are written with `"`',
    "\u2212": "minus is written `-`",
    "\u2013": "minus is written `-`",
    "\u00d7": "a product is written `*`",
    "\u00b7": "a product is written `*`",
    "\u00f7": "a quotient is written `/`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2192": "write `->`",
    "\u00b2": "a power is written `^2`",
    "\u221e": "infinity is written `inf`",
    "\u221a": "a root is written `sqrt(x)`",
    "\u00a0": "this is a no-break space: write a plain one",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    ";": "one statement a line",
    "\\": "a line goes on only inside brackets",
    "\r": "lines end with a line feed",
    "{": "blocks are indented, lists are written `list(a, b)`",
}

FOREIGN_OPERATORS = {
    "**": "a power is written `^`",
    "//": "write `floor(a / b)`",
    "++": "write `x += 1`",
    "=>": "a rule is written `condition -> value`",
    ":=": "a value is given with `=`",
}

FOREIGN_WORDS = {
    "if": "write `when`",
    "elif": "write `otherwise when`",
    "else": "write `otherwise`",
    "for": "write `repeat n as k`",
    "while": "write `repeat n`: the count must be known before",
    "pass": "leave the block out, or write `skip` to end the call",
    "class": "write `optimizer`",
    "fn": "write `def`",
    "function": "write `def`",
    "lambda": "write `def`",
    "from": 'write `import a, b from "path"`',
}


def describe(token: Token) -> str:
    """What a message calls the token that was found."""
    if token.type in ("_NL", "_DEDENT", "$END"):
        return _PHRASES[token.type]
    return f"`{token}`" if len(token) <= 40 and "\n" not in token else "a string"


def expectation(kinds: Collection[str]) -> str:
    """What could have stood there, in a few words, the most useful first."""
    left = set(kinds)
    words: list[str] = []
    if left >= _VALUE:
        words.append("a value")
        left -= _VALUE | {"NOT", "ONE_OF", "REQUIRED", "PER"}
    if "TIMES" in left:
        words.append("an operator")
        left -= _OPERATORS | {"EQUAL"}
    for names in (_SIGNS, _PHRASES):
        words += [phrase for kind, phrase in names.items() if kind in left]
        left -= names.keys()
    words += sorted(f"`{kind.lower()}`" for kind in left if kind.replace("_", "").isalpha())
    if len(words) > 6:
        words = [*words[:5], "the like"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
