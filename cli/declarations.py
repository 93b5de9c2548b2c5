"""The text of shipped declarations, as their files have it.

text_of(find("Cautious"))   ->   'modifier Cautious(floor = 1e-3):\\n    direction: ...'
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..dsl.files import read_source
from ..dsl.library import Entry, catalogue
from ..dsl.suggest import nearest
from .failure import Failure


def find(name: str, among: Iterable[str] = ("optimizer", "modifier")) -> Entry:
    """The shipped declaration called `name`."""
    kinds = tuple(among)
    entries = {entry.name: entry for entry in catalogue() if entry.kind in kinds}
    if name not in entries:
        advice = nearest(name, entries) or "`stepc list` has the names"
        raise Failure(f"there is no {' or '.join(kinds)} `{name}`", advice)
    return entries[name]


def text_of(entry: Entry) -> str:
    """The declaration alone, from its first line to its last."""
    lines = read_source(entry.path).text.splitlines()
    start = next(
        k for k, line in enumerate(lines) if re.match(rf"{entry.kind} {entry.name}\b", line)
    )
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #)"):
        end += 1
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    return "\n".join(lines[start:end]) + "\n"


def imports_of(entry: Entry) -> list[str]:
    """The import lines of the file that it stands in."""
    text = read_source(entry.path).text
    return [line for line in text.splitlines() if line.startswith("import ")]
