"""Syntax back to text, in the one style that the shipped specs are written in.

    show(parse(source))  ->  the file without its comments; parse(show(tree)) == tree

A blank line stands between declarations, and between a body's hypers, its states and its
sections. Rule lists and statements are print_statements.py's, expressions and shapes
print_expressions.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from . import syntax
from .print_expressions import (
    SUM,
    TERNARY,
    show_applied,
    show_arg,
    show_composition,
    show_default,
    show_expr,
    show_granule,
    show_interval,
    show_item,
    show_shape,
    show_string,
)
from .print_statements import (
    indented,
    show_names,
    show_rule,
    show_rules,
    show_statement,
    show_suite,
    show_valued,
)


def show(node: syntax.Node) -> str:
    """The text of any node; a file ends with a line feed, nothing else does."""
    match node:
        case syntax.File():
            return _file(node)
        case syntax.Granule():
            return show_granule(node)
        case syntax.Arg():
            return show_arg(node)
        case syntax.Slice():
            return show_item(node)
        case syntax.Interval():
            return show_interval(node)
        case syntax.HyperTuple() | syntax.Choice() | syntax.Required():
            return show_default(node, TERNARY)
        case syntax.Composition():
            return show_composition(node)
        case syntax.Applied() | syntax.Codec():
            return show_applied(node)
        case syntax.Parameter():
            return _parameter(node)
        case syntax.Rules():
            return "\n".join(show_rules(node))
        case syntax.Rule():
            return show_rule(node)
        case (
            syntax.LikeShape()
            | syntax.PerShape()
            | syntax.NamedShape()
            | syntax.SlotsShape()
            | syntax.ShapeChoice()
        ):
            return show_shape(node)
        case (
            syntax.Assign()
            | syntax.When()
            | syntax.First()
            | syntax.Every()
            | syntax.Repeat()
            | syntax.Skip()
            | syntax.Reset()
            | syntax.Guard()
            | syntax.Return()
        ):
            return "\n".join(show_statement(node))
        case syntax.Import() | syntax.Optimizer() | syntax.Modifier() | syntax.Definition():
            return "\n".join(_declaration(node))
        case (
            syntax.Number()
            | syntax.String()
            | syntax.Name()
            | syntax.Unary()
            | syntax.Binary()
            | syntax.Ternary()
            | syntax.Call()
            | syntax.Index()
            | syntax.Transpose()
            | syntax.Tuple()
        ):
            return show_expr(node)
        case _:
            return "\n".join(_member(node))


# ---------------------------------------------------------------- declarations


def _file(file: syntax.File) -> str:
    parts = [f'"""{file.doc}"""'] if file.doc else []
    previous: syntax.Declaration | None = None
    for declaration in file.declarations:
        text = "\n".join(_declaration(declaration))
        if isinstance(previous, syntax.Import) and isinstance(declaration, syntax.Import):
            parts[-1] += f"\n{text}"
        else:
            parts.append(text)
        previous = declaration
    return "\n\n".join(parts) + "\n"


def _declaration(declaration: syntax.Declaration) -> Iterator[str]:
    match declaration:
        case syntax.Import(names=names, path=path):
            yield f"import {show_names(names)} from {show_string(path)}"
        case syntax.Optimizer(name=name, extends=extends, members=members):
            head = f"optimizer {name}"
            if extends is not None:
                head += f" extends {show_composition(extends)}"
            yield f"{head}:" if members else head
            yield from indented(_members(members))
        case syntax.Modifier(name=name, params=params, members=members):
            knobs = f"({', '.join(map(_knob, params))})" if params else ""
            yield f"modifier {name}{knobs}:"
            yield from indented(_members(members))
        case syntax.Definition(name=name, params=params, body=body):
            yield f"def {name}{_params(params)}:"
            yield from show_suite(body)
        case syntax.RuleTable():
            yield from _member(declaration)


def _params(params: Sequence[syntax.Parameter]) -> str:
    return f"({', '.join(map(_parameter, params))})"


def _parameter(param: syntax.Parameter) -> str:
    if param.default is None:
        return param.name
    return f"{param.name} = {show_default(param.default, TERNARY)}"


def _knob(hyper: syntax.Hyper) -> str:
    """A hyper in a modifier's brackets; one that must be given may be its name alone."""
    default = "" if isinstance(hyper.default, syntax.Required) else hyper.default
    value = f" = {show_default(default, SUM)}" if default else ""
    return f"{hyper.name}{value}{_in(hyper.interval)}"


def _in(interval: syntax.Interval | None) -> str:
    return "" if interval is None else f" in {show_interval(interval)}"


# ---------------------------------------------------------------- members


def _members(members: Iterable[syntax.Member]) -> Iterator[str]:
    previous = -1
    for member in members:
        group = _group(member)
        if previous not in (-1, group):
            yield ""
        previous = group
        yield from _member(member)


def _group(member: syntax.Member) -> int:
    """Settings, what is stored, what is done: a blank line stands between the three."""
    match member:
        case syntax.State() | syntax.Input() | syntax.Let() | syntax.Quantize() | syntax.Round():
            return 1
        case syntax.Section() | syntax.Replace() | syntax.ReplaceSection() | syntax.Override():
            return 2
        case syntax.RuleTable() | syntax.Route() | syntax.Event() | syntax.View():
            return 2
        case _:
            return 0


def _member(member: syntax.Node) -> Iterator[str]:
    match member:
        case syntax.Doc(text=text):
            yield show_string(text)
        case syntax.Paper(text=text):
            yield f"paper {show_string(text)}"
        case syntax.Family(name=name):
            yield f"family {name}"
        case syntax.Arithmetic(name=name):
            yield f"arithmetic {name}"
        case syntax.Hyper(name=name, default=default, interval=interval):
            yield f"hyper {name} = {show_default(default, SUM)}{_in(interval)}"
        case syntax.State(name=name, shape=shape, attributes=words, initial=initial):
            start = "" if initial is None else f" = {show_expr(initial)}"
            parts = ", ".join([show_shape(shape), *words])
            yield f"state {name}: {parts}{start}{_when(member.condition)}"
        case syntax.Quantize(target=target, codec=codec, condition=condition):
            yield f"quantize {target}: {show_applied(codec)}{_when(condition)}"
        case syntax.Round(target=target, how=how):
            yield f"round {target}: {show_applied(how)}"
        case syntax.RuleTable(kind=kind, name=name, params=params, rules=rules):
            head = f"{kind} {name}" if name else kind
            yield f"{head}{_params(params) if kind == 'schedule' else ''}:"
            yield from indented(show_rules(rules))
        case syntax.Requires(condition=condition, advice=advice):
            yield f"requires {show_expr(condition)}{f' : {show_string(advice)}' if advice else ''}"
        case syntax.Gradients(mode=mode):
            yield f"gradients {mode}"
        case syntax.Input(name=name, shape=shape, condition=condition):
            yield f"input {name}: {show_shape(shape)}{_when(condition)}"
        case syntax.Needs(names=names):
            yield f"needs {show_names(names)}"
        case syntax.Let(name=name, value=value):
            yield f"let {name} = {show_expr(value)}"
        case syntax.Override(name=name, op=op, value=value):
            yield from show_valued(f"{name} {op}", value)
        case syntax.Section(name=name, body=body):
            yield f"{name}:"
            yield from show_suite(body)
        case syntax.Replace(assign=assign):
            first, *rest = show_statement(assign)
            yield f"replace {first}"
            yield from rest
        case syntax.ReplaceSection(section=section):
            yield f"replace {section.name}:"
            yield from show_suite(section.body)
        case syntax.Active(name=name, call=call):
            yield f"active {name}: {show_expr(call)}"
        case syntax.Event(name=name, params=params, every=every, body=body):
            period = "" if every is None else f" every {show_expr(every)}"
            yield f"on {name}({', '.join(params)}){period}:"
            yield from show_suite(body)
        case syntax.View(name=name, value=value):
            if isinstance(value, tuple):
                yield from show_suite(value, f"view {name}:")
            else:
                yield f"view {name} = {show_expr(value)}"
        case syntax.Route(rules=rules):
            yield "route:"
            yield from indented(show_rules(rules))
        case _:
            raise TypeError(f"no text for {type(member).__name__}")


def _when(condition: syntax.Expr | None) -> str:
    return "" if condition is None else f" when {show_expr(condition)}"
