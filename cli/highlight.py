"""Colours for the texts that stepc shows: specs, Python, C, and the stages below them.

    print(highlight("m = lerp(m, grad, 1 - beta1)  # the mean", "opt"))

One regular expression a language, tried at each place; no knowledge beyond words.
"""

from __future__ import annotations

import re
import sys

from .terminal import STYLES, coloured

COLOURS = {"comment": "dim", "string": "green", "number": "cyan", "keyword": "magenta",
           "function": "blue", "name": "yellow"}  # fmt: skip

_NUMBER = r"(?P<number>(?<![\w.%$])-?(?:0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?)\b)"
_CALL = r"(?P<function>\b[A-Za-z_]\w*(?=\())"


def _language(comment: str, string: str, keywords: str, *more: str) -> re.Pattern[str]:
    words = "|".join(keywords.split())
    parts = [f"(?P<comment>{comment})", f"(?P<string>{string})", f"(?P<keyword>\\b(?:{words})\\b)"]
    return re.compile("|".join([*parts, *more, _CALL, _NUMBER]))


_PYTHON_STRING = r'"""[\s\S]*?"""|"[^"\n]*"|\'[^\'\n]*\''
_PYTHON = _language(
    r"#[^\n]*",
    _PYTHON_STRING,
    "def class return if else elif for in while import from as with not and or is None True False "
    "lambda yield raise try except finally pass assert match case",
    r"(?P<name>@[\w.]+)",
)
_SPEC = _language(
    r"#[^\n]*",
    _PYTHON_STRING,
    "optimizer modifier def extends replace paper family arithmetic hyper state quantize round "
    "partition roles layout requires gradients input needs let route view on when otherwise "
    "first every repeat as skip "
    "guard reset update direction decay param grad after import from schedule "
    "grouping return if else and or not in per like exact host local transient inf",
)
_C = _language(
    r"//[^\n]*|/\*[\s\S]*?\*/|^[ \t]*#[^\n]*",
    r'"[^"\n]*"',
    "void float double const static inline for if else return restrict int int64_t int32_t uint8_t "
    "uint16_t uint32_t uint64_t union typedef",
)
_ASSEMBLY = _language(
    r"//[^\n]*|^;[^\n]*|/\*[\s\S]*?\*/|loc\([^\n]*\)$",
    r'"[^"\n]*"',
    "define declare ret br bra exit mov ld st tt arith scf module func call load store add mul fma",
    r"(?P<name>[%@$][\w.#]+|\.[a-z]\w*(?:\.\w+)*)",
)

LANGUAGES = {"opt": _SPEC, "python": _PYTHON, "c": _C, "assembly": _ASSEMBLY}


def highlight(text: str, language: str) -> str:
    """`text` in colours, if standard output takes them; `plain` and unknown languages stay."""
    pattern = LANGUAGES.get(language)
    return colour(text, pattern) if pattern and coloured(sys.stdout) else text


def colour(text: str, pattern: re.Pattern[str]) -> str:
    """Every match wrapped in the colour of the group that matched."""

    def wrap(match: re.Match[str]) -> str:
        style = STYLES[COLOURS[match.lastgroup or "comment"]]
        return f"\x1b[{style}m{match[0]}\x1b[0m"

    return pattern.sub(wrap, text)
