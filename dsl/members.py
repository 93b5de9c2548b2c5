"""The small members of a rule: roles, requirements, layout, lets, rules for hypers, views and
events.

    weight_decay = <rule list>                                ->  Assign hyper, in section `hyper`
"""

from __future__ import annotations

from collections.abc import Sequence

from . import syntax as s
from .compose import Owned
from .context import Context, Flow, Frame, Local, Named, is_poison
from .expressions import AUGMENTED, arithmetic, complete, condition, expression, rule_list
from .levels import ELEMENT
from .model import Assign, Expr, Requirement, Stmt, View
from .names import assign_local, read
from .source import Span
from .statements import statements
from .suggest import nearest

Layout = tuple[Expr | None, str, tuple[Expr, ...]]


def roles(c: Context, table: s.RuleTable) -> tuple[tuple[Expr | None, str], ...]:
    """The `roles:` table: conditions and words."""
    complete(c, table.rules)
    found: list[tuple[Expr | None, str]] = []
    for rule in table.rules.rules:
        test = None
        if rule.condition is not None:
            with c.aside("shape"):
                test = condition(c, rule.condition, "a role")
        if isinstance(rule.value, s.Name):
            found.append((test, rule.value.id))
        else:
            c.error("E210", "a role is a word", rule.value.span, "`... -> embedding`")
    return tuple(found)


def role_words(table: s.RuleTable) -> frozenset[str]:
    return frozenset(rule.value.id for rule in table.rules.rules if isinstance(rule.value, s.Name))


def requirement(c: Context, node: s.Requires) -> Requirement:
    with c.aside("shape"):
        test = condition(c, node.condition, "`requires`")
    c.conditions.append(test)
    return Requirement(test, node.advice, span=node.span)


def layout(c: Context, table: s.RuleTable) -> tuple[Layout, ...]:
    """A `layout:` table: conditions, and how the tensor is to be read."""
    complete(c, table.rules)
    c.not_compiled("E521", "layout", table.span)
    found: list[Layout] = []
    for rule in table.rules.rules:
        with c.aside("shape"):
            test = None if rule.condition is None else condition(c, rule.condition, "a layout")
            match rule.value:
                case s.Name(id=name):
                    word, args = name, ()
                case s.Call(function=name, args=given):
                    word, args = name, tuple(expression(c, arg.value) for arg in given)
                case value:
                    c.error("E424", "a layout is a word, or a word with sizes", value.span)
                    continue
        if word not in ("split", "batch", "transposed", "column", "plain"):
            known = ("split", "batch", "transposed", "column", "plain")
            c.error("E424", f"`{word}` is not a layout", rule.value.span, nearest(word, known))
        found.append((test, word, args))
    return tuple(found)


def let(c: Context, name: str, node: s.Let, frame: Frame) -> Stmt | None:
    """A `let`: kept for shapes, and a host local of the step."""
    with c.aside("let", frame):
        value = expression(c, node.value)
    if is_poison(value):
        c.lets[name] = value
        return None
    if not value.host:
        c.error("E304", "`let` names a host value", node.span, "name data in a section")
    c.lets[name] = value
    return Assign("local", name, value, span=node.span)


def override(c: Context, node: s.Override) -> Stmt | None:
    """`weight_decay = <rules>`: a hyper of each tensor, for this step."""
    meaning = c.frame.names.get(node.name)
    if not isinstance(meaning, Named) or meaning.kind != "hyper":
        hypers = [
            name
            for name, known in c.frame.names.items()
            if isinstance(known, Named) and known.kind == "hyper"
        ]
        c.error(
            "E213",
            f"`{node.name}` is not a hyper: only hypers are set by rules here",
            node.span,
            nearest(node.name, hypers) or "assign other names in a section",
        )
        return None
    if isinstance(node.value, s.Rules):
        value = rule_list(c, node.value, "a rule for a hyper")
    else:
        value = expression(c, node.value)
    if is_poison(value):
        return None
    if not value.host:
        c.error("E304", f"`{node.name}` needs a host value", node.span, "scale `direction` instead")
        return None
    if node.op != "=":
        old = read(c, s.Name(node.name, span=node.span))
        value = arithmetic(c, AUGMENTED[node.op], old, value, node.span)
    c.flow.hypers[meaning.name] = value.level
    return Assign("hyper", meaning.name, value, span=node.span)


def view(c: Context, node: s.View) -> View:
    """A `view`: an expression, or a suite that assigns `param`."""
    c.not_compiled("E507", f"view {node.name}", node.span)
    saved = (c.flow, c.facts, c.out, c.mode)
    c.flow, c.facts, c.out, c.mode = Flow(), {}, [], "view"
    for name, value in c.lets.items():
        assign_local(c, name, value)
    if isinstance(node.value, tuple):
        statements(c, node.value)
        made = View(node.name, tuple(c.out))
    else:
        value = expression(c, node.value)
        made = View(node.name, value if not c.out else (*c.out, _to_param(value)))
    c.flow, c.facts, c.out, c.mode = saved
    return made


def _to_param(value: Expr) -> Stmt:
    return Assign("param", "param", value, span=value.span)


def event(c: Context, node: s.Event) -> None:
    """An `on EVENT(...)` member: understood, not kept."""
    c.not_compiled("E506", f"on {node.name}", node.span)
    saved = (c.flow, c.facts, c.out, c.mode)
    c.flow, c.facts, c.out, c.mode = Flow(), {}, [], "event"
    if node.every is not None:
        c.counts.append(condition(c, node.every, "`every`", "E311"))
    for name, value in c.lets.items():
        assign_local(c, name, value)
    for name in node.params:
        c.flow.locals[c.frame.prefix + name] = Local(ELEMENT, False)
    statements(c, node.body)
    c.flow, c.facts, c.out, c.mode = saved


def gradients(c: Context, mode: str, span: Span) -> None:
    """`gradients local` or `gradients none`."""
    if mode == "local":
        c.local_gradients = True
        c.not_compiled("E501", "gradients local", span)
    elif mode == "none":
        c.not_compiled("E502", "gradients none", span)
    else:
        c.error("E424", "`gradients` is followed by `local` or `none`", span)


def active(c: Context, node: s.Active) -> None:
    """An `active` set: understood, not kept."""
    c.not_compiled("E509", f"active {node.name}", node.span)
    for arg in node.call.args:
        if not (isinstance(arg.value, s.Name) and arg.name in ("order", "on_leave")):
            expression(c, arg.value)


def input_condition(c: Context, node: s.Expr) -> None:
    c.conditions.append(condition(c, node, "`input ... when`"))


def of_kind(members: Sequence[Owned], kind: type[s.Member]) -> list[s.Member]:
    return [owned.node for owned in members if isinstance(owned.node, kind)]
