r"""`name ~ "pattern"`: a small regular language, searched in a dotted name.

    regex(r"ln|\bwq\b|attn\.proj")  ->  a Python regular expression

A pattern is alternatives between `|` of literal characters, `\.` (a dot), `.` (any character) and
`\b` (a border). `.`, `_`, digits and the ends of the name are borders, and every alternative that
begins or ends with a letter begins or ends at one: `ln` finds `ln_1` and `h.ln.weight`, not `mln`.
No repetition, so no search takes long.
"""

from __future__ import annotations

import re

_BEFORE = r"(?<![A-Za-z])"
_AFTER = r"(?![A-Za-z])"
_BORDER = r"(?:(?<![A-Za-z])(?=[A-Za-z])|(?<=[A-Za-z])(?![A-Za-z]))"


class PatternError(ValueError):
    """What is wrong with a pattern, in words."""


def regex(pattern: str) -> str:
    """The Python regular expression to `re.search` in a name; raises PatternError."""
    parts = [_alternative(part) for part in pattern.split("|")]
    whole = [p[len(_BEFORE) : -len(_AFTER)] for p in parts if _is_word(p)]
    if len(whole) < 2:
        return "|".join(parts)
    rest = [part for part in parts if not _is_word(part)]
    return "|".join([f"{_BEFORE}(?:{'|'.join(whole)}){_AFTER}", *rest])


def _is_word(regex: str) -> bool:
    """Whether the alternative begins and ends at a border."""
    return regex.startswith(_BEFORE) and regex.endswith(_AFTER)


def matches(pattern: str, name: str) -> bool:
    return re.search(regex(pattern), name) is not None


def _alternative(text: str) -> str:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            following = text[at + 1 : at + 2]
            if following not in ("b", "."):
                raise PatternError(f"`\\{following}` is not part of a pattern")
            pieces.append(_BORDER if following == "b" else r"\.")
            at += 2
            continue
        if char in "*+?()[]{}^$":
            raise PatternError(f"`{char}` is not part of a pattern")
        pieces.append("." if char == "." else re.escape(char))
        at += 1
    if not any(piece != _BORDER for piece in pieces):
        raise PatternError("an alternative is empty and would match every name")
    before = _BEFORE if text[0].isalpha() else ""
    after = _AFTER if text[-1].isalpha() and not text.endswith("\\b") else ""
    return before + "".join(pieces) + after
