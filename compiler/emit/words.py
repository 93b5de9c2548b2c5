"""The words of a generated module's docstrings: the step in the language, and wrapped prose."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ...dsl.describe import expression, statements
from ...dsl.model import Model


def wrapped(text: str, width: int, hanging: str = "") -> list[str]:
    """Prose broken at spaces; names and formulas are kept whole."""
    return textwrap.wrap(
        text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    ) or [""]


def step_lines(model: Model) -> Iterator[str]:
    """What a step does, in order, as the spec says it."""
    if model.route:
        for branch in model.route:
            test = "else" if branch.condition is None else expression(branch.condition)
            yield f"{test} -> {branch.model.name}:"
            yield from (f"    {line}" for line in step_lines(branch.model))
        return
    for section in model.sections:
        for line in statements(section.body):
            code = line.split("  #")[0].rstrip()
            yield from (part for part in wrapped(code, 92, " " * (_indent(code) + 4)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
