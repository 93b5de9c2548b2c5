"""Newlines and indentation as tokens, between Lark's lexer and its parser.

    when c:                 WHEN NAME COLON _NL _INDENT
        x = f(a,            NAME EQUAL NAME LPAR NAME COMMA
              b)            NAME RPAR _NL
    y = 1                   _DEDENT NAME EQUAL NUMBER _NL

Inside brackets a line goes on. The first line sets the outermost indentation, so an indented
text in a Python string is fine. What is wrong becomes a token that no rule takes:
WRONG_INDENT, and WRONG_BRACKET for a bracket that is still open where a line begins with a word
that only a new line can begin with. What to say about them is mistakes.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token

OPENING = ("LPAR", "LSQB")
CLOSING = ("RPAR", "RSQB")
LINE_ENDS = ("_NL", "_INDENT", "_DEDENT", "WRONG_INDENT")

# Keywords that begin a line and never stand inside brackets.
LINE_WORDS = frozenset(
    "IMPORT OPTIMIZER MODIFIER DEF SCHEDULE ROLES PARTITION GROUPING LAYOUT PAPER HYPER STATE"
    " QUANTIZE ROUND REQUIRES GRADIENTS INPUT NEEDS LET REPLACE ACTIVE ON VIEW ROUTE"
    " WHEN OTHERWISE FIRST REPEAT SKIP RESET GUARD RETURN".split()
)


class Indentation:
    """Lark's `postlex`: gets the lexer's tokens and gives the parser's."""

    always_accept = ("_NL", "WRONG_STRING", "WRONG_CHARACTER", "WRONG_INDENT", "WRONG_BRACKET")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        levels: list[int] = []
        brackets: list[Token] = []
        last: Token | None = None
        begins_line = True
        for token in stream:
            if token.type == "_NL":
                begins_line = True
                continue
            if begins_line and brackets and token.type in LINE_WORDS:
                yield Token.new_borrow_pos("WRONG_BRACKET", brackets[-1].value, brackets[-1])
                brackets.clear()
            if begins_line and not brackets:
                if last is not None:
                    yield _after(last)
                yield from _change_level(levels, token)
            begins_line = False
            if token.type in OPENING:
                brackets.append(token)
            elif token.type in CLOSING and brackets:
                brackets.pop()
            yield token
            last = token
        if last is None:
            return
        if brackets:
            yield Token.new_borrow_pos("WRONG_BRACKET", brackets[-1].value, brackets[-1])
        yield _after(last)
        for _ in levels[1:]:
            yield Token.new_borrow_pos("_DEDENT", "", _after(last))


def _after(last: Token) -> Token:
    """The end of the line whose last token is `last`."""
    assert last.end_line is not None and last.end_column is not None
    return Token(
        "_NL",
        "",
        line=last.end_line,
        column=last.end_column,
        end_line=last.end_line,
        end_column=last.end_column + 1,
    )


def _change_level(levels: list[int], token: Token) -> Iterator[Token]:
    """The tokens between a line and the next one, which begins with `token`."""
    assert token.column is not None
    width = token.column - 1
    if not levels:
        levels.append(width)
    elif width > levels[-1]:
        levels.append(width)
        yield Token.new_borrow_pos("_INDENT", "", token)
    elif width in levels:
        while width < levels[-1]:
            levels.pop()
            yield Token.new_borrow_pos("_DEDENT", "", token)
    else:
        yield Token.new_borrow_pos("WRONG_INDENT", token.value, token)
