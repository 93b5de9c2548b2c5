"""Suites of the step: syntax statements to model statements, in order.

    m += grad        ->  Assign state m = m + grad
    first: ...       ->  When(first)            every k: ...  ->  When(t % k == 0)

Keeps the flow: which locals have a value here, of what level. A loop's body is read until the
levels at its start stop changing. What may be assigned where is in targets.py.
"""

from __future__ import annotations

from collections.abc import Callable

from . import syntax as s
from .assume import assuming
from .context import Context, Facts, Flow, Local, Named, is_poison, number
from .describe import each
from .describe import expression as show
from .expressions import AUGMENTED, arithmetic, condition, expression, rule_list
from .infer import apply, join_two
from .levels import GLOBAL
from .model import Const, Expr, Guard, Repeat, Reset, Skip, Stmt, When
from .names import declarable, read
from .source import Span
from .targets import bind, bind_all, old_value


def statements(c: Context, body: s.Suite) -> None:
    """Append the model's statements for a suite to `c.out`."""
    for node in body:
        frame = c.framed.get(id(node))
        if frame is None:
            statement(c, node)
        else:
            with c.framed_as(frame):
                statement(c, node)


def statement(c: Context, node: s.Statement) -> None:
    c.spend(node.span)
    match node:
        case s.Assign():
            assign(c, node)
        case s.When(branches=branches, otherwise=otherwise):
            _when(c, branches, otherwise, node.span)
        case s.First(body=body, otherwise=otherwise, span=span):
            first = read(c, s.Name("first", span=span))
            choose(c, first, lambda: statements(c, body), _suite(c, otherwise), span)
        case s.Every(body=body, otherwise=otherwise, span=span):
            due = every(c, node)
            choose(c, due, lambda: statements(c, body), _suite(c, otherwise), span)
        case s.Repeat():
            _repeat(c, node)
        case s.Skip(span=span):
            if _allowed(c, "skip", span):
                emit(c, Skip(span=span))
                c.flow.ended = True
        case s.Guard():
            _guard(c, node)
        case s.Reset():
            _reset(c, node)
        case s.Return(span=span):
            c.error("E417", "`return` stands in a def only", span)


def emit(c: Context, stmt: Stmt) -> None:
    assert c.out is not None
    c.out.append(stmt)


def assign(c: Context, node: s.Assign) -> None:
    if isinstance(node.value, s.Rules):
        value = rule_list(c, node.value, "a rule list")
    else:
        value = expression(c, node.value)
    target, *others = node.targets
    if not others:
        if node.op != "=":
            left = old_value(c, target)
            value = arithmetic(c, AUGMENTED[node.op], left, value, node.span)
        bind(c, target, value, node.span)
    elif node.op == "=":
        bind_all(c, node.targets, value, node.span)
    else:
        c.error("E213", f"`{node.op}` takes one target", node.span, "write one line for each")


# ---------------------------------------------------------------- control


def every(c: Context, node: s.Every) -> Expr:
    """`every k:` holds when `t % k == 0`."""
    period = condition(c, node.period, "`every`", "E311")
    c.counts.append(period)
    t = read(c, s.Name("t", span=node.span))
    rest = arithmetic(c, "mod", t, period, node.span)
    return apply(c, "eq", (rest, number(0, node.span)), node.span)


def _when(
    c: Context,
    branches: tuple[tuple[s.Expr, s.Suite], ...],
    otherwise: s.Suite | None,
    span: Span,
) -> None:
    (test, body), *rest = branches
    chosen = when_condition(c, test, body)

    def other() -> None:
        if rest:
            _when(c, tuple(rest), otherwise, rest[0][0].span)
        elif otherwise is not None:
            statements(c, otherwise)

    choose(c, chosen, lambda: statements(c, body), other, span)


def when_condition(c: Context, test: s.Expr, body: s.Suite) -> Expr:
    if any(isinstance(node, s.Skip) for node in body):
        return condition(
            c, test, "`when ...: skip`", "E305", "bring the condition over: `when sync(c): skip`"
        )
    return condition(c, test, "`when`")


def _suite(c: Context, body: s.Suite | None) -> Callable[[], None]:
    return lambda: None if body is None else statements(c, body)


def choose(
    c: Context, chosen: Expr, then: Callable[[], None], other: Callable[[], None], span: Span
) -> None:
    """Both branches of a host condition, and what is known after them."""
    c.conditions.append(chosen)
    left, after_left = branch(c, assuming(c, chosen, True), then)
    right, after_right = branch(c, assuming(c, chosen, False), other)
    c.flow = merge(c, after_left, after_right, span)
    emit(c, When(chosen, left, right, span=span))


def branch(c: Context, facts: Facts, make: Callable[[], None]) -> tuple[tuple[Stmt, ...], Flow]:
    """Read a branch from here; the context is left as it was before."""
    saved = (c.flow, c.facts, c.out)
    c.flow, c.facts, c.out = c.flow.copy(), facts, []
    make()
    made, flow = tuple(c.out), c.flow
    c.flow, c.facts, c.out = saved
    return made, flow


def merge(c: Context, left: Flow, right: Flow, span: Span) -> Flow:
    """What holds after either branch; one that ended with `skip` does not come here."""
    if left.ended or right.ended:
        return right if left.ended else left
    merged = Flow()
    for name in {**left.locals, **right.locals}:
        a, b = left.locals.get(name), right.locals.get(name)
        if a is not None and b is not None:
            level = join_two(c, a.level, b.level, span) or a.level
            merged.locals[name] = Local(level, a.host and b.host, a.complete and b.complete)
        else:
            one = a or b
            assert one is not None
            merged.locals[name] = Local(one.level, one.host, False)
    for name in {**left.hypers, **right.hypers}:
        a_level, b_level = left.hypers.get(name, GLOBAL), right.hypers.get(name, GLOBAL)
        merged.hypers[name] = join_two(c, a_level, b_level, span) or a_level
    return merged


def _repeat(c: Context, node: s.Repeat) -> None:
    count = condition(c, node.count, "`repeat`", "E311", "a loop runs on the host: count on hypers")
    c.counts.append(count)
    counter = ""
    if node.counter and declarable(c, node.counter, node.span):
        counter = c.frame.prefix + node.counter
    before = c.flow.copy()
    start = before
    while True:
        mark = (len(c.report.found), len(c.unsupported), dict(c.counters), len(c.conditions))
        c.flow = start.copy()
        if counter:
            c.flow.locals[counter] = Local(GLOBAL, True)
        made, after = branch(c, c.facts, lambda: statements(c, node.body))
        entered = merge(c, start, after, node.span)
        if all(entered.locals[name] == start.locals[name] for name in start.locals):
            break
        start = Flow({name: entered.locals[name] for name in start.locals}, entered.hypers)
        del c.report.found[mark[0] :], c.unsupported[mark[1] :], c.conditions[mark[3] :]
        c.counters = mark[2]
    runs = isinstance(count, Const) and not isinstance(count.value, str) and count.value >= 1
    c.flow = after if runs and not after.ended else entered
    c.flow.locals.pop(counter, None)
    emit(c, Repeat(count, counter, made, span=node.span))


# ---------------------------------------------------------------- the rest


def _allowed(c: Context, what: str, span: Span) -> bool:
    if c.frame.pure:
        c.error("E418", f"`{what}` in a def: a def only works out a value", span)
    return not c.frame.pure


def _guard(c: Context, node: s.Guard) -> None:
    value = expression(c, node.condition)
    if not _allowed(c, "guard", node.span) or is_poison(value):
        return
    if not value.level.is_coarse:
        c.error(
            "E313",
            f"`guard` holds for a whole tensor or for all, and `{show(value)}` has one value "
            f"{each(value.level)}",
            node.condition.span,
            "reduce it, or choose values with `where(c, a, b)`",
        )
        return
    emit(c, Guard(value, span=node.span))


def _reset(c: Context, node: s.Reset) -> None:
    if not _allowed(c, "reset", node.span):
        return
    names: list[str] = []
    for name in node.states:
        meaning = c.frame.names.get(name.id)
        if isinstance(meaning, Named) and meaning.kind == "state":
            names.append(meaning.name)
        elif name.id == "all" and meaning is None:
            names += _moments(c, name)
        else:
            read(c, name)
            c.error("E213", f"`reset` takes states, and `{name.id}` is none", name.span)
    if names:
        emit(c, Reset(tuple(names), span=node.span))


def _moments(c: Context, node: s.Name) -> list[str]:
    """The states that `reset all` means: the rule's, of a tensor, neither `exact` nor `host`."""
    found = [
        state.name
        for state in c.states.values()
        if "." not in state.name
        and not (state.exact or state.host or state.level.kind in ("global", "group"))
    ]
    if not found:
        c.error(
            "E404",
            f"`reset all` finds no state of the rule that `{c.frame.origin}` could reset",
            node.span,
            "states that are `exact`, `host`, `per group` or `per global` are left alone",
        )
    return found
