"""Lark's trees to syntax's nodes: the statements and expressions of build.py.

Tree(binary, [name, Token(PLUS), number])  ->  Binary("+", Name("a"), Number(1), span=...)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark import Token
from lark.tree import Meta

from . import syntax
from .diagnostics import Report
from .limits import check_attribute, check_call, check_number
from .source import Source, Span


class StepBuilder:
    def __init__(self, source: Source, report: Report):
        self.source = source
        self.report = report

    def place(self, meta: Meta | Token) -> Span:
        """A token's or a rule's span; a rule without tokens (an empty file) is at the start."""
        line, column = getattr(meta, "line", 1), getattr(meta, "column", 1)
        end_line, end_column = getattr(meta, "end_line", line), getattr(meta, "end_column", column)
        return Span(self.source, line, column, end_line, end_column)

    # ------------------------------------------------------------ statements

    def suite(self, span: Span, *statements: syntax.Statement) -> syntax.Suite:
        return statements

    def assign(
        self, span: Span, targets: tuple[syntax.Name | syntax.Index, ...], op: str, value: Any
    ) -> syntax.Assign:
        return syntax.Assign(targets, op, value, span=span)

    def targets(self, span: Span, *targets: Any) -> tuple[Any, ...]:
        return targets

    def op_set(self, span: Span) -> str:
        return "="

    def op_augmented(self, span: Span, op: Token) -> str:
        return str(op)

    def when(self, span: Span, *parts: Any) -> syntax.When:
        *branches, otherwise = parts
        pairs = tuple(zip(branches[::2], branches[1::2], strict=True))
        return syntax.When(pairs, otherwise, span=span)

    def first(self, span: Span, body: syntax.Suite, otherwise: syntax.Suite | None) -> syntax.First:
        return syntax.First(body, otherwise, span=span)

    def every(
        self, span: Span, period: syntax.Expr, body: syntax.Suite, otherwise: syntax.Suite | None
    ) -> syntax.Every:
        return syntax.Every(period, body, otherwise, span=span)

    def repeat(
        self, span: Span, count: syntax.Expr, counter: Token | None, body: syntax.Suite
    ) -> syntax.Repeat:
        return syntax.Repeat(count, str(counter or ""), body, span=span)

    def skip(self, span: Span) -> syntax.Skip:
        return syntax.Skip(span=span)

    def reset(self, span: Span, names: tuple[syntax.Name, ...]) -> syntax.Reset:
        return syntax.Reset(names, span=span)

    def guard(self, span: Span, condition: syntax.Expr) -> syntax.Guard:
        return syntax.Guard(condition, span=span)

    def return_(self, span: Span, *values: syntax.Expr) -> syntax.Return:
        return syntax.Return(values, span=span)

    # ------------------------------------------------------------ expressions

    def ternary(
        self, span: Span, then: syntax.Expr, condition: syntax.Expr, otherwise: syntax.Expr
    ) -> syntax.Ternary:
        return syntax.Ternary(then, condition, otherwise, span=span)

    def binary(self, span: Span, left: syntax.Expr, op: Token, right: syntax.Expr) -> syntax.Binary:
        return syntax.Binary(str(op), left, right, span=span)

    def not_in(self, span: Span, left: syntax.Expr, op: Token, right: syntax.Expr) -> syntax.Binary:
        return syntax.Binary("not in", left, right, span=span)

    def not_(self, span: Span, operand: syntax.Expr) -> syntax.Unary:
        return syntax.Unary("not", operand, span=span)

    def negative(self, span: Span, operand: syntax.Expr) -> syntax.Unary:
        return syntax.Unary("-", operand, span=span)

    def attribute(self, span: Span, value: syntax.Expr, name: Token) -> syntax.Transpose:
        check_attribute(self.name(self.place(name), name), self.report)
        return syntax.Transpose(value, span=span)

    def index(self, span: Span, value: Any, *items: Any) -> syntax.Index:
        return syntax.Index(value, items, span=span)

    def slice(
        self, span: Span, start: syntax.Expr | None, stop: syntax.Expr | None
    ) -> syntax.Slice:
        return syntax.Slice(start, stop, span=span)

    def tuple(self, span: Span, *items: syntax.Expr) -> syntax.Tuple:
        return syntax.Tuple(items, span=span)

    def name(self, span: Span, token: Token) -> syntax.Name:
        return syntax.Name(str(token), span=span)

    def number(self, span: Span, token: Token) -> syntax.Number:
        return syntax.Number(check_number(str(token), span, self.report), span=span)

    def string(self, span: Span, token: Token) -> syntax.String:
        return syntax.String(text(token), span=span)

    def call(self, span: Span, name: Token, *args: Any) -> syntax.Call:
        granules = [arg for arg in args if isinstance(arg, syntax.Granule)]
        rest = [arg for arg in args if not isinstance(arg, syntax.Granule)]
        check_call(granules, self.report)
        return syntax.Call(str(name), arguments(rest), granules[0] if granules else None, span=span)

    def option(self, span: Span, name: Token, value: syntax.Expr) -> syntax.Arg:
        return syntax.Arg(str(name), value, span=span)

    def granule(self, span: Span, name: Token, *args: Any) -> syntax.Granule:
        return syntax.Granule(str(name), present(args), span=span)


def text(token: Token | None) -> str:
    """What a string literal says: there are no escapes, `\\b` is two characters."""
    if token is None:
        return ""
    width = 3 if token.startswith('"""') else 1
    return str(token[width:-width])


def present(children: Sequence[Any]) -> tuple[Any, ...]:
    """Without the None that stands for an optional part that was left out."""
    return tuple(child for child in children if child is not None)


def arguments(children: Sequence[Any]) -> tuple[syntax.Arg, ...]:
    """Positional arguments become `Arg`s too, with an empty name."""
    return tuple(
        child if isinstance(child, syntax.Arg) else syntax.Arg("", child, span=child.span)
        for child in present(children)
    )
