"""Rule lists and statements back to lines of text.

    when k == 1: reset m, v
    otherwise when k > 1:
        m = 0

A `when` that only skips or resets takes one line, every other block its own lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import syntax
from .print_expressions import show_composition, show_expr

INDENT = "    "


def show_rules(rules: syntax.Rules) -> Iterator[str]:
    """The arrows of a list stand below one another."""
    width = max(len(_condition(rule)) for rule in rules.rules)
    return (show_rule(rule, width) for rule in rules.rules)


def show_rule(rule: syntax.Rule, width: int = 0) -> str:
    value = rule.value
    right = show_composition(value) if isinstance(value, syntax.Composition) else show_expr(value)
    return f"{_condition(rule):<{width}} -> {right}"


def _condition(rule: syntax.Rule) -> str:
    return "else" if rule.condition is None else show_expr(rule.condition)


def show_valued(head: str, value: syntax.Expr | syntax.Rules) -> Iterator[str]:
    """`head value` on one line, or `head` over a rule list."""
    if isinstance(value, syntax.Rules):
        yield head
        yield from indented(show_rules(value))
    else:
        yield f"{head} {show_expr(value)}"


def show_suite(body: syntax.Suite | None, head: str = "") -> Iterator[str]:
    """The block of statements under a line, after `head` where there is one."""
    if body is None:
        return
    if head:
        yield head
    for statement in body:
        yield from indented(show_statement(statement))


def show_statement(statement: syntax.Statement) -> Iterator[str]:
    match statement:
        case syntax.Assign(targets=targets, op=op, value=value):
            yield from show_valued(f"{', '.join(map(show_expr, targets))} {op}", value)
        case syntax.When(
            branches=((condition, (syntax.Skip() | syntax.Reset() as only,)),), otherwise=None
        ):
            yield f"when {show_expr(condition)}: {''.join(show_statement(only))}"
        case syntax.When(branches=branches, otherwise=otherwise):
            word = "when"
            for condition, body in branches:
                yield from show_suite(body, f"{word} {show_expr(condition)}:")
                word = "otherwise when"
            yield from show_suite(otherwise, "otherwise:")
        case syntax.First(body=body, otherwise=otherwise):
            yield from show_suite(body, "first:")
            yield from show_suite(otherwise, "otherwise:")
        case syntax.Every(period=period, body=body, otherwise=otherwise):
            yield from show_suite(body, f"every {show_expr(period)}:")
            yield from show_suite(otherwise, "otherwise:")
        case syntax.Repeat(count=count, counter=counter, body=body):
            name = f" as {counter}" if counter else ""
            yield from show_suite(body, f"repeat {show_expr(count)}{name}:")
        case syntax.Skip():
            yield "skip"
        case syntax.Reset(states=states):
            yield f"reset {show_names(states)}"
        case syntax.Guard(condition=condition):
            yield f"guard {show_expr(condition)}"
        case syntax.Return(values=values):
            yield f"return {', '.join(map(show_expr, values))}"


def indented(lines: Iterable[str]) -> Iterator[str]:
    return (INDENT + line if line else line for line in lines)


def show_names(names: Iterable[syntax.Name]) -> str:
    return ", ".join(name.id for name in names)
