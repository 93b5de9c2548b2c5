"""The place in a text where the parser cannot go on, with what mistakes.py asks about it.

x = f(a, b         the token is the line's end, `line` is what stands before it,
                   `open_brackets()` is the `(`, `accepts` has RPAR, COMMA, PLUS, ...
"""

from __future__ import annotations

from dataclasses import dataclass

from lark import Token

from .diagnostics import Diagnostic
from .indent import CLOSING, LINE_ENDS, OPENING
from .source import Source, Span


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parser stopped: at `tokens[at]`, where it would have taken one of `accepts`."""

    source: Source
    tokens: list[Token]
    at: int
    accepts: set[str]

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def line(self) -> list[Token]:
        """The tokens of this logical line before the one that is wrong."""
        start = self.at
        while start > 0 and self.tokens[start - 1].type not in LINE_ENDS:
            start -= 1
        return self.tokens[start : self.at]

    @property
    def before(self) -> Token | None:
        """The token before on the same line."""
        return self.line[-1] if self.line else None

    @property
    def is_adjoining(self) -> bool:
        """Nothing, not even a space, stands between this token and the one before."""
        before = self.before
        return before is not None and before.end_pos == self.token.start_pos

    def open_brackets(self) -> list[Token]:
        brackets: list[Token] = []
        for token in self.line:
            if token.type in OPENING:
                brackets.append(token)
            elif token.type in CLOSING and brackets:
                brackets.pop()
        return brackets

    def span(self, first: Token | None = None, last: Token | None = None) -> Span:
        first, last = first or self.token, last or first or self.token
        line, column = first.line or 1, first.column or 1
        end_line, end_column = last.end_line or line, last.end_column or column
        return Span(self.source, line, column, end_line, end_column)

    def error(
        self, code: str, message: str, help: str = "", span: Span | None = None
    ) -> Diagnostic:
        return Diagnostic(code, message, span or self.span(), help)
