"""What the grammar lets through and the language does not: sizes, depth, numbers, closed lists.

    my.opt:3:9: error E116: there is no section `udpate`
      3 |     udpate:
        |     ^^^^^^
      help: did you mean `update`?

Each check adds to a report. What the grammar itself refuses is explained by mistakes.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lark import Token, Tree

from .diagnostics import Report
from .source import Source, Span
from .suggest import nearest
from .syntax import Granule, Name

MAX_CHARACTERS = 64 * 1024
MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 40
MAX_INTEGER = 2**63 - 1

SECTIONS = ("grad", "update", "direction", "decay", "param", "after", "inactive")


def check_size(source: Source, report: Report) -> None:
    size = len(source.text)
    if size > MAX_CHARACTERS:
        start = Span(source, 1, 1, 1, 1)
        report.error("E005", "the text is larger than 64 kB", start, "no spec needs that much")


def check_content(declarations: Sequence[object], source: Source, report: Report) -> None:
    if not declarations:
        advice = "`stepc new my.opt --from AdamW` writes one to start with"
        report.error("E004", "there is nothing here", Span(source, 1, 1, 1, 1), advice)


def check_depth(tree: Tree[Token], source: Source, report: Report) -> None:
    """Later stages may recurse over the tree: this keeps every one of them safe."""
    pending = [(tree, 1)]
    while pending:
        branch, depth = pending.pop()
        if depth > MAX_DEPTH:
            meta = branch.meta
            span = Span(source, meta.line, meta.column, meta.end_line, meta.end_column)
            report.error(
                "E113",
                f"this is nested more than {MAX_DEPTH} deep",
                span,
                "give a part of it a name of its own",
            )
            return
        pending += [(child, depth + 1) for child in branch.children if isinstance(child, Tree)]


def check_number(text: str, span: Span, report: Report) -> int | float:
    """The value of a literal; `inf` has its own word."""
    if text == "inf":
        return math.inf
    if len(text) > MAX_NUMBER_LENGTH:
        report.error(
            "E112",
            f"a number of more than {MAX_NUMBER_LENGTH} characters",
            span,
            "sixteen digits are all that is kept",
        )
        return 0
    if text.isdigit():
        if int(text) > MAX_INTEGER:
            report.error("E112", f"`{text}` is too large", span, "integers end at 2^63 - 1")
        return int(text)
    value = float(text)
    if math.isinf(value):
        report.error("E112", f"`{text}` is too large", span, "write `inf` for infinity")
    elif value == 0 and text.lower().partition("e")[0].strip("0."):
        report.error("E112", f"`{text}` is too small", span, "it would be read as 0")
    return value


def check_section(name: Name, report: Report) -> None:
    if name.id not in SECTIONS:
        words = ", ".join(f"`{word}`" for word in SECTIONS)
        advice = nearest(name.id, SECTIONS) or f"the sections are {words}"
        report.error("E116", f"there is no section `{name.id}`", name.span, advice)


def check_attribute(name: Name, report: Report) -> None:
    if name.id != "T":
        report.error(
            "E115",
            f"there is no attribute `.{name.id}`",
            name.span,
            "`.T` (transposed) is the only one; functions are called: `f(x)`",
        )


def check_call(granules: list[Granule], report: Report) -> None:
    for granule in granules[1:]:
        report.error(
            "E122",
            "a reduction has one `per`",
            granule.span,
            "reduce to the finer level first",
            ("the first is here", granules[0].span),
        )
