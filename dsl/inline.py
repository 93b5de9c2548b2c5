"""Calls of defs and schedules: their bodies take the place of the call.

    x = newton_schulz(m, 5)   ->   newton_schulz.1.x = m / (norm(m) + 1e-7)
                                   repeat 5: ...
                                   x = newton_schulz.1.x

In a step the body's statements come before the statement of the call, with locals of their own.
Where only an expression can stand (a `let`, a shape, a default) the body is substituted into it.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import syntax as s
from .assume import assuming
from .context import Context, Frame, is_poison, poison
from .expressions import AUGMENTED, arithmetic, expression, rule_list, select
from .levels import GLOBAL
from .model import Apply, Assign, Const, Expr, Read, When
from .names import assign_local, declarable, read
from .source import Span
from .statements import branch, emit, every, merge, statement, when_condition
from .suggest import nearest
from .suites import names_assigned, suites

Callee = s.Definition | s.RuleTable


def inline(c: Context, node: s.Call, callee: Callee) -> Expr:
    """The value of a call of a def or a schedule."""
    c.spend(node.span)
    if callee.name in c.calls:
        chain = " calls ".join(f"`{name}`" for name in [*c.calls, callee.name])
        return c.error("E407", f"{chain}: a def cannot call itself", node.span, "use `repeat n:`")
    if node.per is not None:
        c.error("E314", f"`{callee.name}` is no reduction: it takes no `per`", node.per.span)
    frame = Frame(callee.name, f"{callee.name}.{c.number(callee.name)}.", pure=True)
    if not _arguments(c, node, callee, frame):
        return poison(node.span)
    saved_calls, saved_span, saved_frame = c.calls, c.call_span, c.frame
    c.calls = (*c.calls, callee.name)
    c.call_span = saved_span or node.span
    c.frame = frame
    if isinstance(callee, s.RuleTable):
        value = rule_list(c, callee.rules, "a schedule")
    elif c.out is None:
        value = _together(_substituted(c, callee.body, callee), node.span)
    else:
        value = _together(_spelled_out(c, callee.body, callee), node.span)
    c.calls, c.call_span, c.frame = saved_calls, saved_span, saved_frame
    return value


def _together(values: Sequence[Expr], span: Span) -> Expr:
    if len(values) == 1:
        return values[0]
    if any(map(is_poison, values)):
        return poison(span)
    host = all(value.host for value in values)
    return Apply("tuple", tuple(values), level=GLOBAL, host=host, span=span)


def _arguments(c: Context, node: s.Call, callee: Callee, frame: Frame) -> bool:
    """Give every parameter its value, in the new frame."""
    given: dict[str, Expr] = {}
    names = [param.name for param in callee.params]
    positional = [arg for arg in node.args if not arg.name]
    if len(positional) > len(names):
        c.error(
            "E208",
            f"`{callee.name}` takes {len(names)} arguments, and {len(positional)} are given",
            node.span,
            "",
            ("defined here", callee.span),
        )
        return False
    values = [*zip(names, positional, strict=False), *((a.name, a) for a in node.args if a.name)]
    for name, arg in values:
        if name not in names or name in given:
            problem = "is given twice" if name in given else f"is no argument of `{callee.name}`"
            c.error("E209", f"`{name}` {problem}", arg.span, nearest(name, names))
            return False
        given[name] = expression(c, arg.value)
    assigned = set[str]() if isinstance(callee, s.RuleTable) else names_assigned(callee.body)
    for param in callee.params:
        if not declarable(c, param.name, param.span, parameter=True):
            return False
        if param.name in given:
            value = given[param.name]
        elif param.default is not None and not isinstance(param.default, s.HyperTuple | s.Choice):
            with c.framed_as(frame):
                value = expression(c, param.default)
        else:
            c.error(
                "E208",
                f"`{callee.name}` needs a value for `{param.name}`",
                node.span,
                "",
                ("defined here", callee.span),
            )
            return False
        _bind_parameter(c, frame, param.name, value, param.name in assigned)
    return True


def _bind_parameter(c: Context, frame: Frame, name: str, value: Expr, assigned: bool) -> None:
    simple = isinstance(value, Const | Read)
    if is_poison(value) or c.out is None or (simple and not assigned):
        frame.names[name] = value
        if assigned and c.out is not None:
            assign_local(c, frame.prefix + name, value)
            del frame.names[name]
        return
    key = frame.prefix + name
    assign_local(c, key, value)
    emit(c, Assign("local", key, value, span=value.span))


# ---------------------------------------------------------------- in a step


def _spelled_out(c: Context, body: Sequence[s.Statement], callee: s.Definition) -> list[Expr]:
    """Emit the body; the values it returns. Statements after a `when` that returns on one side
    only belong to its other side."""
    for at, node in enumerate(body):
        c.spend(node.span)
        if isinstance(node, s.Return):
            return [expression(c, value) for value in node.values]
        if not _returns(node):
            statement(c, node)
            continue
        if isinstance(node, s.Repeat):
            return [c.error("E417", "`return` inside `repeat`", node.span, "return after it")]
        return _split(c, node, list(body[at + 1 :]), callee)
    return [_no_return(c, callee)]


def _split(
    c: Context, node: s.Statement, rest: list[s.Statement], callee: s.Definition
) -> list[Expr]:
    chosen, then, other = _two_ways(c, node)
    c.conditions.append(chosen)
    values: list[list[Expr]] = []

    def way(suite: Sequence[s.Statement]) -> None:
        values.append(_spelled_out(c, [*suite, *([] if _ends(suite) else rest)], callee))

    left, flow_left = branch(c, assuming(c, chosen, True), lambda: way(then))
    right, flow_right = branch(c, assuming(c, chosen, False), lambda: way(other))
    if len(values[0]) != len(values[1]):
        return [c.error("E417", "the `return`s give different numbers of values", callee.span)]
    c.flow = merge(c, flow_left, flow_right, node.span)
    kept: list[Expr] = []
    ways = [list(left), list(right)]
    for position, (a, b) in enumerate(zip(*values, strict=True)):
        if is_poison(a) or is_poison(b):
            kept.append(poison(node.span))
            continue
        key = f"{c.frame.prefix}result.{position}.{c.number('result')}"
        with_facts = select(c, chosen, lambda a=a: a, lambda b=b: b, node.span)
        for suite, value in zip(ways, (a, b), strict=True):
            suite.append(Assign("local", key, value, span=value.span))
        read_back = Read("local", key, level=with_facts.level, host=with_facts.host, span=node.span)
        assign_local(c, key, read_back)
        kept.append(read_back)
    emit(c, When(chosen, tuple(ways[0]), tuple(ways[1]), span=node.span))
    return kept


def _two_ways(
    c: Context, node: s.Statement
) -> tuple[Expr, Sequence[s.Statement], Sequence[s.Statement]]:
    """A control statement as one condition and two suites."""
    match node:
        case s.When(branches=branches, otherwise=otherwise):
            test, then = branches[0]
            rest = branches[1:]
            other = (s.When(rest, otherwise, span=rest[0][0].span),) if rest else otherwise or ()
            return when_condition(c, test, then), then, other
        case s.First(body=body, otherwise=otherwise, span=span):
            return read(c, s.Name("first", span=span)), body, otherwise or ()
        case s.Every(body=body, otherwise=otherwise):
            return every(c, node), body, otherwise or ()
        case _:
            raise AssertionError(node)


def _returns(node: s.Statement) -> bool:
    """Whether there is a `return` in it, however deep."""
    return isinstance(node, s.Return) or any(
        _returns(inner) for suite in suites(node) for inner in suite
    )


def _ends(suite: Sequence[s.Statement]) -> bool:
    """Whether every path through a suite returns."""
    return any(_always(node) for node in suite)


def _always(node: s.Statement) -> bool:
    match node:
        case s.Return():
            return True
        case s.When(otherwise=None) | s.First(otherwise=None) | s.Every(otherwise=None):
            return False
        case s.When() | s.First() | s.Every():
            return all(_ends(suite) for suite in suites(node))
        case _:
            return False


def _no_return(c: Context, callee: s.Definition) -> Expr:
    return c.error(
        "E417",
        f"`{callee.name}` can end without `return`",
        callee.span,
        "end every branch with `return ...`",
    )


# ---------------------------------------------------------------- in an expression


def _substituted(c: Context, body: Sequence[s.Statement], callee: s.Definition) -> list[Expr]:
    """The values a body returns, with its locals written out."""
    for at, node in enumerate(body):
        c.spend(node.span)
        match node:
            case s.Return(values=values):
                return [expression(c, value) for value in values]
            case s.Assign(targets=(s.Name(id=name) as target,), value=value):
                if not declarable(c, name, target.span):
                    return [poison(node.span)]
                made = (
                    rule_list(c, value, "a rule list")
                    if isinstance(value, s.Rules)
                    else expression(c, value)
                )
                if node.op != "=":
                    made = arithmetic(c, AUGMENTED[node.op], read(c, target), made, node.span)
                c.spend(node.span, _size(made) // 16)
                c.frame.names[name] = made
            case s.When() | s.First() | s.Every() if _returns(node):
                return _one_of(c, node, list(body[at + 1 :]), callee)
            case _:
                return [
                    c.error(
                        "E418",
                        "this def is called where only an expression can stand",
                        node.span,
                        "call it in a section, or write its body as assignments and `return`",
                        *([("called here", c.call_span)] if c.call_span else []),
                    )
                ]
    return [_no_return(c, callee)]


def _one_of(
    c: Context, node: s.Statement, rest: list[s.Statement], callee: s.Definition
) -> list[Expr]:
    chosen, then, other = _two_ways(c, node)
    c.conditions.append(chosen)
    names = c.frame.names
    values: list[list[Expr]] = []
    for suite in (then, other):
        c.frame.names = dict(names)
        values.append(_substituted(c, [*suite, *([] if _ends(suite) else rest)], callee))
    c.frame.names = names
    if len(values[0]) != len(values[1]):
        return [c.error("E417", "the `return`s give different numbers of values", callee.span)]
    return [
        select(c, chosen, lambda a=a: a, lambda b=b: b, node.span)
        for a, b in zip(*values, strict=True)
    ]


def _size(expr: Expr) -> int:
    """How many nodes, up to a limit that is far too many."""
    count, waiting = 0, [expr]
    while waiting and count < 100_000:
        node = waiting.pop()
        count += 1
        if isinstance(node, Apply):
            waiting += [*node.args, *(value for _, value in node.options)]
    return count
