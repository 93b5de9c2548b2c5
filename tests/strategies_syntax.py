"""Random syntax trees: every tree made here can be written down, and be read back as it was.

@given(files())
def test_round_trip(file): assert parse(Source("x", show(file))) == file
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from stepc.dsl import syntax as s
from stepc.dsl.limits import SECTIONS
from stepc.dsl.parser import grammar
from stepc.dsl.source import Source, Span

HERE = Span(Source("<made>", ""), 1, 1, 1, 1)
WORDS = {str(terminal.pattern.value) for terminal in grammar().terminals}


def node(kind: Any, *args: Any, **kwargs: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, *args, span=st.just(HERE), **kwargs)


def several(items: Any, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


def maybe(items: Any) -> st.SearchStrategy[Any]:
    return st.none() | items


identifiers = (
    st.sampled_from(["m", "v", "grad", "param", "lr", "beta1", "t", "T", "e1", "_x", "per_row"])
    | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
).filter(lambda word: word not in WORDS)
line_texts = st.text(st.characters(codec="utf-8", exclude_characters='"\n\r'), max_size=12)
block_texts = st.text(st.sampled_from('ab "\n\\#:'), max_size=12).filter(
    lambda text: '"""' not in text and not text.endswith('"')
)
texts = line_texts | block_texts
integers = st.integers(0, 2**63 - 1)
floats = st.floats(0, allow_nan=False, allow_subnormal=False)

names = node(s.Name, identifiers)
numbers = node(s.Number, integers | floats | st.sampled_from([0.001, 1e-8, 1.0, 1e22]))
strings = node(s.String, texts)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    operators = ["+", "-", "*", "/", "@", "%", "^", "and", "or", "in", "not in"]
    operators += ["==", "!=", "<", "<=", ">", ">="]
    args = node(s.Arg, st.just(""), inner) | node(s.Arg, identifiers | st.just("every"), inner)
    items = inner | node(s.Slice, maybe(inner), maybe(inner))
    return (
        node(s.Unary, st.sampled_from(["-", "not"]), inner)
        | node(s.Binary, st.sampled_from(operators), inner, inner)
        | node(s.Binary, st.just("~"), inner, strings)
        | node(s.Ternary, inner, inner, inner)
        | node(s.Call, identifiers, several(args), maybe(granules_of(inner)))
        | node(s.Index, inner, several(items, 1, 2))
        | node(s.Transpose, inner)
        | node(s.Tuple, several(inner, 1, 3))
    )


def granules_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return node(s.Granule, identifiers, several(inner, 0, 2))


expressions = st.recursive(names | numbers | strings, _compound, max_leaves=8)
granules = granules_of(expressions)
arguments = node(s.Arg, st.just(""), expressions) | node(s.Arg, identifiers, expressions)
codecs = node(s.Codec, identifiers, several(arguments))
applied = node(s.Applied, identifiers, several(arguments))
compositions = node(s.Composition, several(applied, 1, 3))

single_shapes = st.deferred(
    lambda: (
        node(s.LikeShape, identifiers)
        | node(s.PerShape, granules)
        | node(s.NamedShape, identifiers, several(expressions | granules, 0, 2))
        | node(s.SlotsShape, expressions, single_shapes)
    )
)
shapes = st.deferred(
    lambda: single_shapes | node(s.ShapeChoice, single_shapes, expressions, shapes)
)


def rule_lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return node(s.Rules, several(node(s.Rule, maybe(expressions), values), 1, 3))


targets = names | node(s.Index, names, several(expressions | node(s.Slice, names, st.none()), 1, 2))
settings_ = st.sampled_from(["=", "+=", "-=", "*=", "/="])
assignments = node(
    s.Assign, several(targets, 1, 2), settings_, expressions | rule_lists(expressions)
)
simple = (
    node(s.Skip)
    | node(s.Reset, several(names, 1, 2))
    | node(s.Guard, expressions)
    | node(s.Return, several(expressions, 1, 2))
)


def _blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = several(inner, 1, 3)
    return (
        node(s.When, several(st.tuples(expressions, body), 1, 2), maybe(body))
        | node(s.First, body, maybe(body))
        | node(s.Every, expressions, body, maybe(body))
        | node(s.Repeat, expressions, st.just("") | identifiers, body)
    )


statements = st.recursive(assignments | simple, _blocks, max_leaves=4)
suites = several(statements, 1, 3)
sections = node(s.Section, st.sampled_from(SECTIONS), suites)

named_tuples = node(s.HyperTuple, several(st.tuples(identifiers, expressions), 1, 3))
choices = node(s.Choice, several(identifiers, 1, 3))
intervals = node(s.Interval, expressions, expressions, st.booleans(), st.booleans())
defaults = expressions | named_tuples | choices
knobs = node(s.Hyper, identifiers, defaults | node(s.Required), maybe(intervals))
params = several(node(s.Parameter, identifiers, maybe(defaults)))


def tables(kind: str, with_name: bool = True) -> st.SearchStrategy[Any]:
    name = identifiers if with_name else st.just("")
    given = params if kind == "schedule" else st.just(())
    return node(s.RuleTable, st.just(kind), name, given, rule_lists(expressions))


calls = node(s.Call, identifiers, several(arguments), maybe(granules))
shared_tables = tables("roles", False) | tables("partition") | tables("grouping")
members = st.one_of(
    node(s.Doc, texts),
    node(s.Paper, texts),
    node(s.Family, identifiers),
    node(s.Arithmetic, identifiers),
    knobs,
    node(
        s.State, identifiers, shapes, several(identifiers), maybe(expressions), maybe(expressions)
    ),
    node(s.Quantize, identifiers, codecs, maybe(expressions)),
    node(s.Round, identifiers, codecs),
    shared_tables,
    tables("layout", False),
    node(s.Requires, expressions, texts),
    node(s.Gradients, identifiers),
    node(s.Input, identifiers, shapes, maybe(expressions)),
    node(s.Needs, several(names, 1, 3)),
    node(s.Let, identifiers, expressions),
    node(s.Override, identifiers, settings_, expressions | rule_lists(expressions)),
    sections,
    node(s.Replace, assignments),
    node(s.ReplaceSection, sections),
    node(s.Active, identifiers, calls),
    node(s.Event, identifiers, several(identifiers), maybe(expressions), suites),
    node(s.View, identifiers, expressions | suites),
    node(s.Route, rule_lists(compositions)),
)
declarations = st.one_of(
    node(s.Import, several(names, 1, 2), texts),
    node(s.Optimizer, identifiers, maybe(compositions), several(members, 1, 4)),
    node(s.Optimizer, identifiers, compositions),
    node(s.Modifier, identifiers, several(knobs), several(members, 1, 4)),
    node(s.Definition, identifiers, params, suites),
    shared_tables,
    tables("schedule"),
)


def files() -> st.SearchStrategy[s.File]:
    return node(s.File, texts, several(declarations, 1, 3))
