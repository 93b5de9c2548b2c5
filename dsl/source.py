"""Spec text and places in it.

A `Source` is a text with a name; a `Span` is a stretch of it that can draw itself:

    my.opt:4:9
      4 |     m = lerp(m, grda, 1 - beta1)
        |                 ^^^^

What a message says about a span is `diagnostics`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name by which messages call it (a path, or `<text>`)."""

    name: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its end; empty beyond the last line."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """From (line, column) up to, not including, (end_line, end_column); all count from 1."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    @property
    def text(self) -> str:
        """The first line of the text covered."""
        line = self.source.line(self.line)
        end = self.end_column if self.end_line == self.line else len(line) + 1
        return line[self.column - 1 : end - 1]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.line, self.column, other.end_line, other.end_column)

    def draw(self) -> str:
        """The first covered line with carets under the covered part."""
        line = self.source.line(self.line)
        visible = line.replace("\t", " ")
        end = self.end_column if self.end_line == self.line else len(line) + 1
        width = max(1, end - self.column)
        number = str(self.line)
        return (
            f"  {number} | {visible}\n"
            f"  {' ' * len(number)} | {' ' * (self.column - 1)}{'^' * width}"
        )


NOWHERE = Span(Source("<stepc>", ""), 1, 1, 1, 1)
"""The place of what no spec says: facts and constants that the compiler adds itself."""
