"""Syntax expressions to model expressions, with a level and a place on every value.

    lerp(v, grad^2, 1 - beta2)  ->  Apply lerp (Read state v, Apply pow ..., Apply sub ...)

Calls are in calls.py. A def called inside one branch of `a if c else b` is worked out on that
branch only, so the ternary becomes a `When` then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import syntax as s
from .assume import assuming, holds, settle, unfold
from .calls import call
from .context import Context, Facts, Named, is_poison, number, poison
from .describe import expression as show
from .infer import apply
from .levels import GLOBAL, Level
from .matrices import matmul, transpose
from .model import Apply, Assign, Const, Expr, Read, Stmt, When
from .names import assign_local, read
from .patterns import PatternError, regex
from .slices import index
from .source import Span
from .suggest import nearest

_BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "^": "pow",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
    "and": "and", "or": "or",
}  # fmt: skip


AUGMENTED = {"+=": "add", "-=": "sub", "*=": "mul", "/=": "div"}
"""The operation of each assignment that reads its target."""


def expression(c: Context, node: s.Expr) -> Expr:
    """The value of an expression at this point of the step."""
    match node:
        case s.Number(value=value, span=span):
            return number(value, span)
        case s.String(span=span):
            return c.error("E216", "a text stands only after `name ~`", span)
        case s.Name():
            return read(c, node)
        case s.Unary():
            return _unary(c, node)
        case s.Binary():
            return _binary(c, node)
        case s.Ternary():
            return ternary(
                c,
                node.condition,
                lambda: expression(c, node.then),
                lambda: expression(c, node.otherwise),
                node.span,
            )
        case s.Call():
            return call(c, node, expression)
        case s.Index():
            return index(c, node, expression)
        case s.Transpose(value=value, span=span):
            return transpose(c, expression(c, value), span)
        case s.Tuple(items=items, span=span):
            values = tuple(expression(c, item) for item in items)
            host = all(value.host for value in values)
            return Apply("tuple", values, level=GLOBAL, host=host, span=span)


def _unary(c: Context, node: s.Unary) -> Expr:
    value = expression(c, node.operand)
    if node.op == "not":
        return apply(c, "not", (value,), node.span)
    if isinstance(value, Const) and not isinstance(value.value, bool | str):
        return Const(-value.value, level=value.level, host=True, span=node.span)
    return apply(c, "neg", (value,), node.span)


def _binary(c: Context, node: s.Binary) -> Expr:
    span = node.span
    match node.op:
        case "~":
            return _match(c, node)
        case "in" | "not in":
            return _member(c, node)
        case "==" | "!=":
            left, right = comparable(c, node.left, node.right)
            return apply(c, _BINARY[node.op], (left, right), span)
        case "@":
            return matmul(c, expression(c, node.left), expression(c, node.right), span)
        case _:
            left, right = expression(c, node.left), expression(c, node.right)
            return arithmetic(c, _BINARY[node.op], left, right, span)


def arithmetic(c: Context, op: str, left: Expr, right: Expr, span: Span) -> Expr:
    """`left op right`, with the one check that needs no levels."""
    if op in ("div", "mod") and isinstance(right, Const) and right.value == 0:
        return c.error("E412", "a division by zero", right.span, "write the limit that is meant")
    for value in (left, right):
        if isinstance(value, Apply) and value.op == "tuple":
            return c.error(
                "E315",
                f"{len(value.args)} values where one is needed",
                value.span,
                "give each a name: `a, b = ...`",
            )
    return apply(c, op, (left, right), span)


def condition(c: Context, node: s.Expr, what: str, code: str = "E304", help: str = "") -> Expr:
    """A value that chooses what runs: it must be on the host."""
    value = expression(c, node)
    if is_poison(value):
        return value
    if not value.host:
        return c.error(
            code,
            f"{what} needs a host value, and `{show(value)}` is data",
            node.span,
            help or "choose values with `where(c, a, b)`, or bring one number over with `sync(c)`",
        )
    return value


def ternary(
    c: Context, test: s.Expr, then: Callable[[], Expr], other: Callable[[], Expr], span: Span
) -> Expr:
    """`a if test else b`: lazy, on a host condition."""
    chosen = condition(c, test, "`if`", help="on data, write `where(c, a, b)`")
    c.conditions.append(chosen)
    return select(c, chosen, then, other, span)


def select(
    c: Context, chosen: Expr, then: Callable[[], Expr], other: Callable[[], Expr], span: Span
) -> Expr:
    """Both branches, each read under what the condition says there."""
    left, before = _branch(c, assuming(c, chosen, True), then)
    right, after = _branch(c, assuming(c, chosen, False), other)
    if is_poison(chosen) or is_poison(left) or is_poison(right):
        return poison(span)
    if c.out is not None and (before or after):
        return _spelled_out(c, chosen, (before, left), (after, right), span)
    truth = holds(c, chosen)
    if truth is not None and isinstance(unfold(c, chosen), Apply):
        return left if truth else right
    return chosen_value(c, chosen, left, right, span)


def chosen_value(c: Context, chosen: Expr, left: Expr, right: Expr, span: Span) -> Expr:
    """`left if chosen else right`; shapes of one kind may differ by the same choice."""
    a, b = settle(c, left.level), settle(c, right.level)
    if a.is_shaped and a.kind == b.kind and len(a.args) == len(b.args) and a != b:
        sizes = tuple(
            one if one == other else apply(c, "select", (chosen, one, other), span)
            for one, other in zip(a.args, b.args, strict=True)
        )
        level = Level(a.kind, sizes, of=a.of)
        return Apply("select", (chosen, left, right), level=level, host=False, span=span)
    return apply(c, "select", (chosen, left, right), span)


def _branch(c: Context, facts: Facts, make: Callable[[], Expr]) -> tuple[Expr, list[Stmt]]:
    saved_out, saved_facts = c.out, c.facts
    c.out, c.facts = None if saved_out is None else [], facts
    value = make()
    made = [] if c.out is None else c.out
    c.out, c.facts = saved_out, saved_facts
    return value, made


def _spelled_out(
    c: Context,
    chosen: Expr,
    then: tuple[list[Stmt], Expr],
    other: tuple[list[Stmt], Expr],
    span: Span,
) -> Expr:
    key = f"choice.{c.number('choice')}"
    joined = chosen_value(c, chosen, then[1], other[1], span)
    bodies = ((*made, Assign("local", key, value, span=span)) for made, value in (then, other))
    assert c.out is not None
    c.out.append(When(chosen, *bodies, span=span))
    host = joined.host
    value = Read("local", key, level=joined.level, host=host, span=span)
    assign_local(c, key, value)
    return value


def rule_list(c: Context, rules: s.Rules, what: str) -> Expr:
    """A rule list of values, as nested selects: first match wins."""
    complete(c, rules)
    lines = [rule for rule in rules.rules if not isinstance(rule.value, s.Composition)]
    return _rules(c, lines, rules.span, what)


def _rules(c: Context, rules: Sequence[s.Rule], span: Span, what: str) -> Expr:
    if not rules:
        return poison(span)
    first, *rest = rules
    assert not isinstance(first.value, s.Composition)
    value = first.value
    if first.condition is None:
        return expression(c, value)
    chosen = condition(c, first.condition, what)
    c.conditions.append(chosen)
    return select(
        c, chosen, lambda: expression(c, value), lambda: _rules(c, rest, span, what), first.span
    )


def complete(c: Context, rules: s.Rules) -> bool:
    """Whether a rule list has its `else`, once and last (reported if not)."""
    elses = [rule for rule in rules.rules if rule.condition is None]
    if not elses:
        last = rules.rules[-1].span if rules.rules else rules.span
        c.error("E405", "a rule list without `else`", last, "end it with a line `else -> ...`")
    elif len(elses) > 1:
        c.error("E405", "a rule list with two `else`", elses[1].span, "remove one")
    elif rules.rules[-1].condition is not None:
        c.error(
            "E405", "lines after `else` are never reached", elses[0].span, "move `else` to the end"
        )
    else:
        return True
    return False


# ---------------------------------------------------------------- words


def comparable(c: Context, left: s.Expr, right: s.Expr) -> tuple[Expr, Expr]:
    """Both sides of `==`; a name beside `role` or a choice is a word."""
    if _choices(c, right) is not None and _choices(c, left) is None:
        return word(c, right, left), expression(c, right)
    return expression(c, left), word(c, left, right)


def word(c: Context, subject: s.Expr, node: s.Expr) -> Expr:
    """What `subject` is compared with: one of its words, or any expression."""
    choices = _choices(c, subject)
    if choices is None or not isinstance(node, s.Name) or _choices(c, node) is not None:
        return expression(c, node)
    if choices and node.id not in choices:
        assert isinstance(subject, s.Name)
        listed = ", ".join(sorted(choices))
        return c.error(
            "E210",
            f"`{subject.id}` is never `{node.id}`",
            node.span,
            nearest(node.id, choices) or f"it is one of {listed}",
        )
    return number(node.id, node.span)


def _choices(c: Context, subject: s.Expr) -> frozenset[str] | None:
    """The words a name may be: of a choice hyper or of `role` (empty: any); None for others."""
    if not isinstance(subject, s.Name):
        return None
    meaning = c.frame.names.get(subject.id)
    if subject.id == "role" and meaning is None:
        return c.roles
    if isinstance(meaning, Named) and meaning.kind == "hyper":
        hyper = c.hypers.get(meaning.name)
        if hyper is not None and hyper.type == "choice":
            return frozenset(hyper.choices)
    return None


def _member(c: Context, node: s.Binary) -> Expr:
    items = node.right.items if isinstance(node.right, s.Tuple) else (node.right,)
    value = expression(c, node.left)
    words = [word(c, node.left, item) for item in items]
    inside = apply(c, "member", (value, *words), node.span)
    return apply(c, "not", (inside,), node.span) if node.op == "not in" else inside


def _match(c: Context, node: s.Binary) -> Expr:
    if not isinstance(node.left, s.Name) or node.left.id != "name":
        return c.error(
            "E216", "`~` searches the fact `name`", node.left.span, 'write `name ~ "..."`'
        )
    if not isinstance(node.right, s.String):
        return c.error("E216", "`~` needs a pattern in quotes", node.right.span)
    try:
        regex(node.right.value)
    except PatternError as wrong:
        return c.error(
            "E415",
            f"a bad pattern: {wrong}",
            node.right.span,
            r"patterns have letters, `|`, `\b` (a border), `\.` (a dot) and `.` (any character)",
        )
    name = read(c, node.left)
    return apply(c, "match", (name, number(node.right.value, node.right.span)), node.span)
