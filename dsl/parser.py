"""Text to syntax: `parse(source)` gives the tree as written, or every mistake in the text.

    parse(Source("my.opt", text))                                   -> syntax.File
    parse_composition(Source("<text>", "AdamW + Lookahead(k = 5)"))  -> syntax.Composition
    parse_codec(Source("<text>", "dynamic8(block = 256)"))           -> syntax.Codec

grammar.lark says what may be written, indent.py what an indentation is, build.py which node a
rule becomes, mistakes.py what is wrong where the grammar does not go on. Here: the loop, and how
it goes on after a mistake: the line (with its block) is dropped, an innocent one of the same
kind takes its place, and the rest of the text is read as if nothing had happened.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree, UnexpectedToken
from lark.parsers.lalr_analysis import Shift

from . import syntax
from .build import build
from .diagnostics import Report
from .indent import LINE_ENDS, Indentation
from .limits import check_content, check_depth, check_size
from .mistakes import explain
from .source import Source

MAX_ERRORS = 20
STARTS = ("file", "composition_text", "codec_text")


def parse(source: Source) -> syntax.File:
    """The declarations of a spec text; raises `SpecError` with all its syntax errors."""
    return _parse(source, "file")


def parse_composition(source: Source) -> syntax.Composition:
    """`AdamW + Cautious + Lookahead(k = 5)`"""
    return _parse(source, "composition_text")


def parse_codec(source: Source) -> syntax.Codec:
    """`dynamic8(block = 256)`, `none`"""
    return _parse(source, "codec_text")


def _parse(source: Source, start: str) -> Any:
    report = Report()
    check_size(source, report)
    report.check()
    tree = _read(source, start, report)
    report.check()
    assert tree is not None
    check_depth(tree, source, report)
    report.check()
    node = build(tree, source, report)
    report.check()
    return node


@cache
def grammar() -> Lark:
    """The parser's tables, made once a process, on the first parse (a tenth of a second)."""
    return Lark(
        Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        postlex=Indentation(),
        maybe_placeholders=True,
        propagate_positions=_has_place,
    )


def _has_place(child: object) -> bool:
    """Line ends and indentation do not widen the span of what they belong to."""
    return not (isinstance(child, Token) and child.type in LINE_ENDS)


def _read(source: Source, start: str, report: Report) -> Tree[Token] | None:
    """Lark's tree; None where `report` has got an error."""
    lark: Any = grammar()
    reader = lark.parse_interactive(source.text, start=start)
    tokens: list[Token] = list(reader.lexer_thread.lex(reader.parser_state))
    if not tokens:
        check_content((), source, report)
        return None
    tokens.append(Token.new_borrow_pos("$END", "", tokens[-1]))
    result: Tree[Token] | None = None
    at = 0
    lines: set[int | None] = set()
    while at < len(tokens) and len(lines) < MAX_ERRORS:
        try:
            result = reader.feed_token(tokens[at])
            at += 1
        except UnexpectedToken:
            if tokens[at].line not in lines:
                report.found.append(explain(source, tokens, at, reader.accepts()))
            lines.add(tokens[at].line)
            at = _resume(reader, tokens, at)
    return result


# What can stand for a wrong line, and the tokens by which a state is known to take it.
_STATEMENT = (("SKIP", "skip"), ("_NL", ""))
_MEMBER = (("STRING", '""'), ("_NL", ""))
_RULE = (("ELSE", "else"), ("ARROW", "->"), ("NAME", "none"), ("_NL", ""))
_STAND_INS = (
    (("SKIP",), _STATEMENT),
    (("HYPER",), _MEMBER),
    (("ELSE", "ARROW"), _RULE),
    (("OPTIMIZER",), ()),
)


def _resume(reader: Any, tokens: list[Token], at: int) -> int:
    """Make the parser ready for a later line; the index of that line's first token."""
    depth = _depth(tokens[:at])
    block_is_missing = tokens[at - 1].type in LINE_ENDS and "_INDENT" in reader.accepts()
    stand_in = _unwind(reader.parser_state, depth)
    if stand_in is None or tokens[at].type == "$END":
        return len(tokens)
    for kind, value in stand_in:
        reader.feed_token(Token.new_borrow_pos(kind, value, tokens[at]))
    if block_is_missing:
        return at
    target = _depth(reader.parser_state.value_stack)
    while tokens[at].type not in ("_NL", "$END"):
        depth += _step(tokens[at])
        at += 1
    at += tokens[at].type == "_NL"
    while depth > target or tokens[at].type == "_INDENT":
        depth += _step(tokens[at])
        at += 1
    return at


def _unwind(state: Any, depth: int) -> tuple[tuple[str, str], ...] | None:
    """Drop what is unfinished, up to where a line can begin; what can stand there for it."""
    rows, reached = state.parse_conf.states, _depth(state.value_stack)
    while True:
        if reached <= depth:
            for kinds, stand_in in _STAND_INS:
                if _shifts(rows, state.position, kinds):
                    return stand_in
        if not state.value_stack:
            return None
        state.state_stack.pop()
        reached -= _step(state.value_stack.pop())


def _shifts(
    rows: dict[Any, dict[str, tuple[Any, Any]]], position: Any, kinds: tuple[str, ...]
) -> bool:
    """Whether the state takes these tokens one after another, reducing nothing."""
    for kind in kinds:
        action, position = rows[position].get(kind, (None, None))
        if action is not Shift:
            return False
    return True


def _step(token: object) -> int:
    """How much deeper a token (or whatever else is on the parser's stack) leads."""
    kind = token.type if isinstance(token, Token) else ""
    return {"_INDENT": 1, "_DEDENT": -1}.get(kind, 0)


def _depth(tokens: list[Any]) -> int:
    return sum(map(_step, tokens))
