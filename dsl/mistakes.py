"""Syntax errors by example: from the token where the grammar stops to a message for a person.

    my.opt:9:19: error E108: `:` is missing
      9 |         every 100
        |                  ^
      help: a line that opens a block ends with `:`

`EXAMPLES` is a list of kinds of mistake, the most telling first; each looks at the place and
either explains it or passes. The last one, which lists what could have stood there, never passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lark import Token

from .diagnostics import Diagnostic
from .indent import CLOSING
from .limits import SECTIONS
from .place import Place
from .source import Source
from .suggest import nearest
from .tokens import (
    DECLARATIONS,
    FOREIGN_CHARACTERS,
    FOREIGN_OPERATORS,
    FOREIGN_WORDS,
    MEMBERS,
    STATEMENTS,
    VALUES,
    describe,
    expectation,
)

_ONE_LINE = "a line goes on only inside brackets"


def explain(source: Source, tokens: list[Token], at: int, accepts: set[str]) -> Diagnostic:
    """What is wrong at `tokens[at]`, by the first example that fits."""
    place = Place(source, tokens, at, accepts)
    return next(message for message in _messages(place) if message is not None)


def _messages(place: Place) -> Iterator[Diagnostic | None]:
    for example in EXAMPLES:
        yield example(place)
    yield _unexpected(place)


# ---------------------------------------------------------------- characters and layout


def _wrong_character(place: Place) -> Diagnostic | None:
    if place.token.type != "WRONG_CHARACTER":
        return None
    if place.token == "\t":
        return place.error("E102", "a tab", "indent with spaces, four for each level")
    character = place.token if place.token.isprintable() else f"U+{ord(place.token):04X}"
    advice = FOREIGN_CHARACTERS.get(place.token, "")
    return place.error("E101", f"`{character}` has no meaning here", advice)


def _open_string(place: Place) -> Diagnostic | None:
    if place.token.type != "WRONG_STRING":
        return None
    quotes = '"""' if place.token.startswith('"""') else '"'
    return place.error("E105", f"the string has no closing {quotes}")


def _wrong_indentation(place: Place) -> Diagnostic | None:
    if place.token.type == "WRONG_INDENT":
        return place.error(
            "E103",
            "this line's indentation matches no line above it",
            "the lines of a block begin in the same column",
        )
    if place.token.type == "_INDENT":
        return place.error(
            "E103",
            "this line is indented, but the line above it opens no block",
            _ONE_LINE,
        )
    return None


def _missing_block(place: Place) -> Diagnostic | None:
    if "_INDENT" not in place.accepts:
        return None
    end = Place(place.source, place.tokens, place.at - 1, set())
    header = end.line
    if header[-1].type != "COLON":
        return end.error("E114", "the line ends where a value is expected", _ONE_LINE)
    return place.error(
        "E104",
        "an indented block must follow",
        "write at least one line, indented by four spaces",
        place.span(header[0], header[-1]),
    )


# ---------------------------------------------------------------- brackets


def _open_bracket(place: Place) -> Diagnostic | None:
    brackets = place.open_brackets()
    if place.token.type == "WRONG_BRACKET":
        return place.error("E110", f"this `{place.token}` is never closed")
    if brackets and place.before is not None and place.token.line != place.before.end_line:
        bracket = brackets[-1]
        advice = f"the text goes on with {describe(place.token)} in line {place.token.line}"
        return place.error("E110", f"this `{bracket}` is never closed", advice, place.span(bracket))
    return None


def _wrong_bracket(place: Place) -> Diagnostic | None:
    if place.token.type not in CLOSING:
        return None
    brackets = place.open_brackets()
    if not brackets:
        return place.error("E111", f"this `{place.token}` closes nothing")
    if (brackets[-1] == "(") != (place.token == ")"):
        return place.error("E111", f"`{place.token}` cannot close a `{brackets[-1]}`")
    return None


# ---------------------------------------------------------------- words


def _wrong_number(place: Place) -> Diagnostic | None:
    before = place.before
    if before is None or before.type != "NUMBER" or not place.is_adjoining:
        return None
    if place.token.type == "NUMBER" or place.token.isidentifier():
        return place.error(
            "E112",
            f"`{before}{place.token}` is no number",
            f"a product is written `{before} * {place.token}`" if place.token.isalpha() else "",
            place.span(before, place.token),
        )
    return None


def _method_call(place: Place) -> Diagnostic | None:
    line = place.line
    if place.token.type != "LPAR" or len(line) < 2 or line[-2].type != "DOT":
        return None
    advice = f"functions are called by name: `{line[-1]}(x)`"
    span = place.span(line[-2], line[-1])
    return place.error("E115", "values have no methods", advice, span)


def _other_language(place: Place) -> Diagnostic | None:
    """Words and operators that Python or C would have here."""
    before, first = place.before, [*place.line, place.token][0]
    if place.is_adjoining and before is not None and before + place.token in FOREIGN_OPERATORS:
        both = before + place.token
        return place.error(
            "E118",
            f"there is no `{both}`",
            FOREIGN_OPERATORS[both],
            place.span(before, place.token),
        )
    starts_line = "SKIP" in place.accepts or len(place.line) == 1
    if (
        "ARROW" not in place.accepts
        and starts_line
        and first in FOREIGN_WORDS
        and first.type in ("NAME", "IF", "ELSE")
    ):
        advice = FOREIGN_WORDS[first]
        return place.error("E118", f"no line begins with `{first}`", advice, place.span(first))
    return None


def _misplaced_word(place: Place) -> Diagnostic | None:
    """A keyword that begins a line, on the wrong level."""
    if place.line or place.token.type in ("NAME", "STRING") or not place.token.isidentifier():
        return None
    word = place.token
    homes = [
        home
        for words, home in (
            (DECLARATIONS, "outside of all blocks"),
            (MEMBERS, "in the block of an optimizer or modifier"),
            (STATEMENTS, "in a section or a `def`"),
        )
        if word in words
    ]
    if not homes:
        return None
    advice = ""
    if word == "otherwise":
        advice = "it follows the block of a `when`, `first` or `every`, indented as that word is"
    return place.error(
        "E121", f"`{word}` cannot stand here: it stands {' or '.join(homes)}", advice
    )


def _keyword_as_name(place: Place) -> Diagnostic | None:
    token = place.token
    if "NAME" not in place.accepts or token.type in ("NAME", "STRING") or not token.isidentifier():
        return None
    advice = f"choose another, `{token}_` for example"
    return place.error("E106", f"`{token}` is a keyword and cannot be a name", advice)


def _unknown_word(place: Place) -> Diagnostic | None:
    """A line that begins with a word that is none."""
    first = [*place.line, place.token][0]
    if first.type != "NAME" or len(place.line) > 1:
        return None
    if not place.line:
        known, kind = DECLARATIONS, "declaration"
    elif "COLON" in place.accepts:
        known, kind = (*MEMBERS, *SECTIONS), "member"
    else:
        known, kind = STATEMENTS, "statement"
    advice = nearest(first, known)
    if not advice and (kind == "statement" or place.token.type not in ("NAME", "STRING")):
        return None
    return place.error("E116", f"no {kind} begins with `{first}`", advice, place.span(first))


# ---------------------------------------------------------------- lines and expressions


def _missing_colon(place: Place) -> Diagnostic | None:
    if "COLON" not in place.accepts or place.token.type != "_NL" or "EQUAL" in place.accepts:
        return None
    if place.line[0] in ("state", "input", "quantize", "round", "active"):
        return None
    return place.error("E108", "`:` is missing", "a line that opens a block ends with `:`")


def _wrong_rule(place: Place) -> Diagnostic | None:
    if place.token.type == "ARROW":
        return place.error("E120", "`->` stands in rule lists only")
    if "ARROW" in place.accepts and place.token.type in ("_NL", "COLON", "EQUAL"):
        return place.error(
            "E120", "a rule is written `condition -> value`", "the last: `else -> value`"
        )
    return None


def _chained_comparison(place: Place) -> Diagnostic | None:
    if place.token.type not in ("COMPARE", "IN", "MATCHES") or "AND" not in place.accepts:
        return None
    return place.error("E109", "comparisons do not chain", "write `a < b and b < c`")


def _wrong_assignment(place: Place) -> Diagnostic | None:
    """`=` where nothing is assigned, and a line that assigns nothing."""
    if not place.line:
        return None
    first = place.line[0]
    if place.token.type == "EQUAL" and "COMPARE" in place.accepts:
        return place.error("E117", "`=` assigns", "equality is written `==`")
    if first.type == "NAME" and {"EQUAL", "AUGMENTED"} <= place.accepts:
        advice = "a line gives a value to a name: `x = ...`"
        return place.error("E119", "this is no assignment", advice, place.span(first, place.token))
    return None


def _short_line(place: Place) -> Diagnostic | None:
    if place.token.type != "_NL":
        return None
    wanted = expectation(place.accepts)
    advice = _ONE_LINE if wanted.startswith("a value") else ""
    return place.error("E114", f"the line ends where {wanted} is expected", advice)


def _unexpected(place: Place) -> Diagnostic:
    wanted, found = expectation(place.accepts), describe(place.token)
    advice = ""
    if place.token.type in VALUES and "TIMES" in place.accepts:
        advice = "is an operator missing?"
    return place.error("E107", f"expected {wanted}, found {found}", advice)


EXAMPLES: tuple[Callable[[Place], Diagnostic | None], ...] = (
    _wrong_character,
    _open_string,
    _open_bracket,
    _missing_block,
    _wrong_indentation,
    _wrong_bracket,
    _wrong_number,
    _method_call,
    _other_language,
    _misplaced_word,
    _unknown_word,
    _missing_colon,
    _wrong_rule,
    _chained_comparison,
    _wrong_assignment,
    _short_line,
    _keyword_as_name,
)
