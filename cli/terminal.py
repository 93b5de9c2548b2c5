"""What a terminal shows: colours where they are wanted, tables, a progress bar.

    print(table(("name", "bytes"), [("AdamW", "28"), ("Lion", "20")]))

Colours only on a terminal, and never with NO_COLOR; what goes into a file or a pipe is plain text.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeVar

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
          "magenta": "35", "cyan": "36"}  # fmt: skip

Item = TypeVar("Item")


def coloured(stream: TextIO) -> bool:
    """Whether colours belong on this stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style of `STYLES`, if `stream` (standard output) takes colours."""
    if not coloured(stream or sys.stdout):
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; those whose cells are all numbers lean to the right.

    >>> print(table(("name", "bytes"), [("AdamW", "28"), ("Lion", "8.5")]))
    name   bytes
    AdamW     28
    Lion     8.5
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    right = [bool(rows) and all(is_number(row[k]) for row in rows) for k in range(len(head))]

    def layout(line: Sequence[str]) -> str:
        cells = zip(line, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip()

    return "\n".join(layout(line) for line in lines)


def is_number(cell: str) -> bool:
    """Whether a cell reads as a quantity (`28`, `8.5 ms`, `3e-7`, or nothing at all)."""
    return not cell or cell == "-" or cell.lstrip("-+").lstrip(".")[:1].isdigit()


def progress(items: Sequence[Item], title: str) -> Iterator[Item]:
    """Goes through `items` and says on standard error how far it is.

    On a terminal a bar that redraws itself; elsewhere one line when all is done.
    """
    stream, start, drawn = sys.stderr, time.perf_counter(), 0.0
    total = max(1, len(items))
    for done, item in enumerate(items):
        now = time.perf_counter()
        if stream.isatty() and now - drawn > 0.1:
            drawn = now
            bar = ("=" * (done * 24 // total)).ljust(24)
            stream.write(f"\r\x1b[K{title} [{bar}] {done}/{total}  {now - start:.0f} s")
            stream.flush()
        yield item
    seconds = time.perf_counter() - start
    stream.write(f"{chr(13) + chr(27) + '[K' if stream.isatty() else ''}{title}: {seconds:.1f} s\n")
    stream.flush()
