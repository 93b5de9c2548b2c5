"""Walking over suites as written: what they assign, what is inside, one statement exchanged.

assignments(body of update:)  ->  every Assign in it, also inside `when` and `repeat`
"""

from __future__ import annotations

from dataclasses import replace

from . import syntax as s


def target_of(assign: s.Assign) -> str:
    if len(assign.targets) != 1:
        return ""
    target = assign.targets[0]
    if isinstance(target, s.Name):
        return target.id
    return target.value.id if isinstance(target.value, s.Name) else ""


def assignments(body: s.Suite) -> list[s.Assign]:
    """All assignments in a suite, however deep."""
    found: list[s.Assign] = []
    for statement in body:
        if isinstance(statement, s.Assign):
            found.append(statement)
        for suite in suites(statement):
            found += assignments(suite)
    return found


def suites(statement: s.Statement) -> list[s.Suite]:
    """The suites directly inside a statement."""
    match statement:
        case s.When(branches=branches, otherwise=otherwise):
            return [body for _, body in branches] + ([] if otherwise is None else [otherwise])
        case s.First(body=body, otherwise=otherwise) | s.Every(body=body, otherwise=otherwise):
            return [body] + ([] if otherwise is None else [otherwise])
        case s.Repeat(body=body):
            return [body]
        case _:
            return []


def substitute(body: s.Suite, old: s.Assign, new: s.Statement) -> s.Suite:
    """The suite with the statement `old` (that very node) exchanged for `new`."""

    def visit(statement: s.Statement) -> s.Statement:
        match statement:
            case s.When(branches=branches, otherwise=otherwise):
                return replace(
                    statement,
                    branches=tuple((test, substitute(then, old, new)) for test, then in branches),
                    otherwise=None if otherwise is None else substitute(otherwise, old, new),
                )
            case s.First(body=then, otherwise=otherwise) | s.Every(body=then, otherwise=otherwise):
                return replace(
                    statement,
                    body=substitute(then, old, new),
                    otherwise=None if otherwise is None else substitute(otherwise, old, new),
                )
            case s.Repeat(body=then):
                return replace(statement, body=substitute(then, old, new))
            case _:
                return new if statement is old else statement

    return tuple(visit(statement) for statement in body)


def names_assigned(body: s.Suite) -> set[str]:
    """The plain names a suite assigns, however deep, counters of loops among them."""
    found = {
        target.id
        for node in assignments(body)
        for target in node.targets
        if isinstance(target, s.Name)
    }
    return found | _counters(body)


def _counters(body: s.Suite) -> set[str]:
    found = {node.counter for node in body if isinstance(node, s.Repeat) and node.counter}
    for node in body:
        for suite in suites(node):
            found |= _counters(suite)
    return found
