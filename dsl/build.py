"""Lark's trees to syntax's nodes: one method a rule of grammar.lark, named as the rule.

    Tree(override, [lr, *=, number])  ->  Override("lr", "*=", Number(2), span=...)

Here: declarations, members and rule lists; build_steps.py has statements and expressions. The
few wrong things that the grammar lets through (an attribute other than `.T`, a section that
there is none of) go to the report. Works from the leaves up, so no text can be too deep for it.
"""

from __future__ import annotations

from typing import Any

from lark import Token, Tree

from . import syntax
from .build_steps import StepBuilder, arguments, present, text
from .diagnostics import Report
from .limits import check_content, check_section
from .source import Source, Span


def build(tree: Tree[Token], source: Source, report: Report) -> Any:
    """The node for a whole tree; what it could not accept is in `report`."""
    builder = Builder(source, report)
    nodes: dict[int, Any] = {}
    for branch in tree.iter_subtrees():
        children = [nodes.pop(id(c)) if isinstance(c, Tree) else c for c in branch.children]
        nodes[id(branch)] = getattr(builder, branch.data)(builder.place(branch.meta), *children)
    return nodes[id(tree)]


class Builder(StepBuilder):
    # ------------------------------------------------------------ declarations

    def file(self, span: Span, doc: Token | None, *declarations: syntax.Declaration) -> syntax.File:
        check_content(declarations, self.source, self.report)
        lines = self.source.text.split("\n")
        whole = Span(self.source, 1, 1, len(lines), len(lines[-1]) + 1)
        return syntax.File(text(doc), declarations, span=whole)

    def composition_text(self, span: Span, composition: syntax.Composition) -> syntax.Composition:
        return composition

    def codec_text(self, span: Span, codec: syntax.Codec) -> syntax.Codec:
        return codec

    def import_(self, span: Span, names: tuple[syntax.Name, ...], path: Token) -> syntax.Import:
        return syntax.Import(names, text(path), span=span)

    def optimizer(
        self,
        span: Span,
        name: Token,
        extends: syntax.Composition | None,
        *members: syntax.Member,
    ) -> syntax.Optimizer:
        return syntax.Optimizer(str(name), extends, members, span=span)

    def modifier(
        self,
        span: Span,
        name: Token,
        params: tuple[syntax.Hyper, ...] | None,
        *members: syntax.Member,
    ) -> syntax.Modifier:
        return syntax.Modifier(str(name), params or (), members, span=span)

    def knobs(self, span: Span, *knobs: syntax.Hyper) -> tuple[syntax.Hyper, ...]:
        return knobs

    def knob(
        self, span: Span, name: Token, default: Any, interval: syntax.Interval | None
    ) -> syntax.Hyper:
        return syntax.Hyper(str(name), default, interval, span=span)

    def required_knob(
        self, span: Span, name: Token, interval: syntax.Interval | None
    ) -> syntax.Hyper:
        return syntax.Hyper(str(name), syntax.Required(span=span), interval, span=span)

    def definition(
        self, span: Span, name: Token, params: tuple[syntax.Parameter, ...], body: syntax.Suite
    ) -> syntax.Definition:
        return syntax.Definition(str(name), params, body, span=span)

    def params(self, span: Span, *params: syntax.Parameter) -> tuple[syntax.Parameter, ...]:
        return params

    def param(self, span: Span, name: Token, default: Any) -> syntax.Parameter:
        return syntax.Parameter(str(name), default, span=span)

    def names(self, span: Span, *names: Token) -> tuple[syntax.Name, ...]:
        return tuple(syntax.Name(str(name), span=self.place(name)) for name in names)

    # ------------------------------------------------------------ members

    def doc(self, span: Span, literal: Token) -> syntax.Doc:
        return syntax.Doc(text(literal), span=span)

    def paper(self, span: Span, literal: Token) -> syntax.Paper:
        return syntax.Paper(text(literal), span=span)

    def family(self, span: Span, name: Token) -> syntax.Family:
        return syntax.Family(str(name), span=span)

    def arithmetic(self, span: Span, name: Token) -> syntax.Arithmetic:
        return syntax.Arithmetic(str(name), span=span)

    def hyper(
        self, span: Span, name: Token, default: Any, interval: syntax.Interval | None
    ) -> syntax.Hyper:
        return syntax.Hyper(str(name), default, interval, span=span)

    def named_tuple(self, span: Span, *items: Any) -> syntax.HyperTuple:
        pairs = zip(map(str, items[::2]), items[1::2], strict=True)
        return syntax.HyperTuple(tuple(pairs), span=span)

    def choice(self, span: Span, names: tuple[syntax.Name, ...]) -> syntax.Choice:
        return syntax.Choice(tuple(name.id for name in names), span=span)

    def required(self, span: Span) -> syntax.Required:
        return syntax.Required(span=span)

    def interval(
        self, span: Span, opening: Token, low: syntax.Expr, high: syntax.Expr, closing: Token
    ) -> syntax.Interval:
        return syntax.Interval(low, high, opening == "[", closing == "]", span=span)

    def state(self, span: Span, name: Token, shape: syntax.Shape, *rest: Any) -> syntax.State:
        *attributes, initial, condition = rest
        words = tuple(map(str, attributes))
        return syntax.State(str(name), shape, words, initial, condition, span=span)

    def shape_choice(
        self, span: Span, then: syntax.Shape, condition: syntax.Expr, otherwise: syntax.Shape
    ) -> syntax.ShapeChoice:
        return syntax.ShapeChoice(then, condition, otherwise, span=span)

    def like_shape(self, span: Span, name: Token) -> syntax.LikeShape:
        return syntax.LikeShape(str(name), span=span)

    def per_shape(self, span: Span, granule: syntax.Granule) -> syntax.PerShape:
        return syntax.PerShape(granule, span=span)

    def named_shape(self, span: Span, name: Token, *args: Any) -> syntax.NamedShape:
        return syntax.NamedShape(str(name), present(args), span=span)

    def slots_shape(self, span: Span, count: syntax.Expr, of: syntax.Shape) -> syntax.SlotsShape:
        return syntax.SlotsShape(count, of, span=span)

    def quantize(
        self, span: Span, target: Token, codec: syntax.Codec, condition: syntax.Expr | None
    ) -> syntax.Quantize:
        return syntax.Quantize(str(target), codec, condition, span=span)

    def round(self, span: Span, target: Token, how: syntax.Codec) -> syntax.Round:
        return syntax.Round(str(target), how, span=span)

    def codec(self, span: Span, name: Token, *args: Any) -> syntax.Codec:
        return syntax.Codec(str(name), arguments(args), span=span)

    def requires(self, span: Span, condition: syntax.Expr, advice: Token | None) -> syntax.Requires:
        return syntax.Requires(condition, text(advice), span=span)

    def gradients(self, span: Span, mode: Token) -> syntax.Gradients:
        return syntax.Gradients(str(mode), span=span)

    def input(
        self, span: Span, name: Token, shape: syntax.Shape, condition: syntax.Expr | None
    ) -> syntax.Input:
        return syntax.Input(str(name), shape, condition, span=span)

    def needs(self, span: Span, names: tuple[syntax.Name, ...]) -> syntax.Needs:
        return syntax.Needs(names, span=span)

    def let(self, span: Span, name: Token, value: syntax.Expr) -> syntax.Let:
        return syntax.Let(str(name), value, span=span)

    def override(self, span: Span, name: Token, op: str, value: Any) -> syntax.Override:
        return syntax.Override(str(name), op, value, span=span)

    def section(self, span: Span, name: Token, body: syntax.Suite) -> syntax.Section:
        check_section(self.name(self.place(name), name), self.report)
        return syntax.Section(str(name), body, span=span)

    def replace(
        self, span: Span, what: syntax.Assign | syntax.Section
    ) -> syntax.Replace | syntax.ReplaceSection:
        if isinstance(what, syntax.Section):
            return syntax.ReplaceSection(what, span=span)
        return syntax.Replace(what, span=span)

    def active(self, span: Span, name: Token, call: syntax.Call) -> syntax.Active:
        return syntax.Active(str(name), call, span=span)

    def event(
        self,
        span: Span,
        name: Token,
        params: tuple[syntax.Name, ...] | None,
        period: syntax.Expr | None,
        body: syntax.Suite,
    ) -> syntax.Event:
        words = tuple(param.id for param in params or ())
        return syntax.Event(str(name), words, period, body, span=span)

    def view(self, span: Span, name: Token, value: syntax.Expr | syntax.Suite) -> syntax.View:
        return syntax.View(str(name), value, span=span)

    def route(self, span: Span, *rules: syntax.Rule) -> syntax.Route:
        return syntax.Route(syntax.Rules(rules, span=rules[0].span.to(rules[-1].span)), span=span)

    def composition(self, span: Span, *terms: syntax.Applied) -> syntax.Composition:
        return syntax.Composition(terms, span=span)

    def applied(self, span: Span, name: Token, *args: Any) -> syntax.Applied:
        return syntax.Applied(str(name), arguments(args), span=span)

    # ------------------------------------------------------------ rule lists

    def table(
        self, span: Span, kind: str, name: str, rules: syntax.Rules, *params: syntax.Parameter
    ) -> syntax.RuleTable:
        return syntax.RuleTable(kind, name, params, rules, span=span)

    def roles(self, span: Span, rules: syntax.Rules) -> syntax.RuleTable:
        return self.table(span, "roles", "", rules)

    def layout(self, span: Span, rules: syntax.Rules) -> syntax.RuleTable:
        return self.table(span, "layout", "", rules)

    def partition(self, span: Span, name: Token, rules: syntax.Rules) -> syntax.RuleTable:
        return self.table(span, "partition", str(name), rules)

    def grouping(self, span: Span, name: Token, rules: syntax.Rules) -> syntax.RuleTable:
        return self.table(span, "grouping", str(name), rules)

    def schedule(
        self, span: Span, name: Token, params: tuple[syntax.Parameter, ...], rules: syntax.Rules
    ) -> syntax.RuleTable:
        return self.table(span, "schedule", str(name), rules, *params)

    def rules(self, span: Span, *rules: syntax.Rule) -> syntax.Rules:
        return syntax.Rules(rules, span=span)

    def rule(self, span: Span, condition: syntax.Expr, value: Any) -> syntax.Rule:
        return syntax.Rule(condition, value, span=span)

    def rule_else(self, span: Span, value: Any) -> syntax.Rule:
        return syntax.Rule(None, value, span=span)

    route_rule = rule
    route_else = rule_else
