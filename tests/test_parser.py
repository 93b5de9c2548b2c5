"""Text to syntax and back: what is parsed, where it stands, and how it is written down again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from conftest import HERE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lark import Lark
from lark import logger as lark_logger
from strategies_syntax import expressions, files, shapes, statements

from stepc.dsl import parser, syntax
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.files import read_source
from stepc.dsl.indent import Indentation
from stepc.dsl.parser import parse, parse_codec, parse_composition
from stepc.dsl.print_expressions import show_number
from stepc.dsl.printer import show
from stepc.dsl.source import Source, Span
from stepc.dsl.syntax import Binary, Index, Name, Number, Ternary, Transpose, Unary

SKETCHES = sorted((HERE / "sketches").glob("*.opt"))
SPECS = sorted((HERE.parent / "specs").rglob("*.opt"))
generated = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def read(text: str) -> syntax.File:
    return parse(Source("spec.opt", text))


def member(text: str) -> Any:
    declaration = read(f"optimizer A:\n{indent(text, '    ')}\n").declarations[0]
    assert isinstance(declaration, syntax.Optimizer)
    (only,) = declaration.members
    return only


def expr(text: str) -> Any:
    (declaration,) = read(f"optimizer A:\n    let x = {text}\n").declarations
    return declaration.members[0].value  # type: ignore[union-attr]


def steps(text: str) -> tuple[Any, ...]:
    return member(f"update:\n{indent(text, '    ')}").body


def nodes(value: Any) -> Iterator[syntax.Node]:
    """Every node of a tree."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif is_dataclass(value) and not isinstance(value, Span):
        assert isinstance(value, syntax.Node)
        yield value
        for field in fields(value):
            yield from nodes(getattr(value, field.name))


def same(found: object, expected: object) -> bool:
    """Equal, with 1 and 1.0 apart (`repr` shows no spans)."""
    return found == expected and repr(found) == repr(expected)


# ---------------------------------------------------------------- the grammar


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    text = Path(parser.__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    with caplog.at_level(logging.DEBUG, logger=lark_logger.name):
        Lark(
            text,
            parser="lalr",
            lexer="basic",
            start=list(parser.STARTS),
            postlex=Indentation(),
            debug=True,
        )
    assert not [record for record in caplog.records if "conflict" in record.getMessage().lower()]


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("path", SKETCHES + SPECS, ids=lambda path: path.stem)
def test_files_are_read_and_written_and_read(path: Path) -> None:
    tree = parse(Source(str(path), path.read_text(encoding="utf-8")))
    text = show(tree)
    again = parse(Source(str(path), text))
    assert same(again, tree)
    assert show(again) == text


@generated
@given(files())
def test_any_file_is_written_and_read(tree: syntax.File) -> None:
    assert same(read(show(tree)), tree)


@generated
@given(expressions)
def test_any_expression_is_written_and_read(tree: syntax.Expr) -> None:
    assert same(expr(show(tree)), tree)


@generated
@given(shapes)
def test_any_shape_is_written_and_read(tree: syntax.Shape) -> None:
    (declaration,) = read(f"optimizer A:\n    state x: {show(tree)}\n").declarations
    assert same(declaration.members[0].shape, tree)  # type: ignore[union-attr]


@generated
@given(statements)
def test_any_statement_is_written_and_read(tree: syntax.Statement) -> None:
    definition = syntax.Definition("f", (), (tree,), span=tree.span)
    assert same(read(show(definition)).declarations, (definition,))


@generated
@given(files())
def test_every_node_can_be_shown(tree: syntax.File) -> None:
    for node in nodes(tree):
        assert isinstance(show(node), str)


@generated
@given(st.floats(0, allow_nan=False) | st.integers(0, 2**63 - 1))
def test_numbers_keep_every_bit(value: float) -> None:
    assert same(expr(show_number(value)).value, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.001, "1e-3"), (0.9, "0.9"), (0.01, "0.01"), (1, "1"), (1.0, "1.0"), (1e22, "1e22")),
        *((3.4445, "3.4445"), (2.5e-8, "2.5e-8"), (100000, "100000"), (float("inf"), "inf")),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert show_number(value) == text


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("text", "brackets"),
    [
        ("-x^2", "(-(x^2))"),
        ("2^-t", "(2^(-t))"),
        ("2^3^4", "(2^(3^4))"),
        ("-x^-y^2", "(-(x^(-(y^2))))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c", "((a / b) * c)"),
        ("a @ b.T", "(a @ (b.T))"),
        ("-a * b", "((-a) * b)"),
        ("a + b * c < d", "((a + (b * c)) < d)"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("not a in b", "(not (a in b))"),
        ("a not in b", "(a not in b)"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("a or b if c else d", "((a or b) if c else d)"),
        ("x.T[0].T", "(((x.T)[0]).T)"),
    ],
)
def test_precedence(text: str, brackets: str) -> None:
    assert _bracketed(expr(text)) == brackets
    assert same(expr(brackets), expr(text))
    assert show(expr(brackets)) == text


def _bracketed(node: Any) -> str:
    """With every bracket there can be."""
    match node:
        case Name(id=name):
            return name
        case Number(value=value):
            return str(value)
        case Unary(op=op, operand=operand):
            return f"({op}{' ' * op.isalpha()}{_bracketed(operand)})"
        case Binary(op="^", left=left, right=right):
            return f"({_bracketed(left)}^{_bracketed(right)})"
        case Binary(op=op, left=left, right=right):
            return f"({_bracketed(left)} {op} {_bracketed(right)})"
        case Ternary(then=then, condition=condition, otherwise=otherwise):
            return f"({_bracketed(then)} if {_bracketed(condition)} else {_bracketed(otherwise)})"
        case Transpose(value=value):
            return f"({_bracketed(value)}.T)"
        case Index(value=value, items=(item,)):
            return f"({_bracketed(value)}[{_bracketed(item)}])"
        case _:
            raise TypeError(node)


def test_calls_and_indices() -> None:
    call = expr("scatter(x, i, combine = mean, per tiles(h, w))")
    assert [arg.name for arg in call.args] == ["", "", "combine"]
    assert call.per.name == "tiles" and len(call.per.args) == 2
    every = expr("sample(share = 0.5, every = 10, like = grad)")
    assert [arg.name for arg in every.args] == ["share", "every", "like"]
    index = expr("x[:, a:b, :r, i]")
    assert [show(item) for item in index.items] == [":", "a:b", ":r", "i"]
    assert expr("(a,)").items == (expr("a"),)
    assert expr("(a)") == expr("a")
    assert expr(r'name ~ "\bwq\b|a.b"').right.value == r"\bwq\b|a.b"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E+3", 1e3), (".5", 0.5), ("2.", 2.0), ("7", 7), ("inf", float("inf"))],
)
def test_numbers(text: str, value: float) -> None:
    assert same(expr(text).value, value)


# ---------------------------------------------------------------- members and statements


def test_members() -> None:
    hyper = member("hyper betas = (beta1 = 0.9, beta2 = 0.999) in [0, 1)")
    assert [name for name, _ in hyper.default.items] == ["beta1", "beta2"]
    assert hyper.interval.low_closed and not hyper.interval.high_closed
    assert isinstance(member("hyper heads = required").default, syntax.Required)
    assert member("hyper mode = one_of(fast, exact)").default.options == ("fast", "exact")
    assert member("hyper betas = list(0, 0.9)").default.function == "list"
    state = member("state x: vector(n), local, bf16 = 2 * t when t > 3")
    assert state.attributes == ("local", "bf16")
    assert (show(state.initial), show(state.condition)) == ("2 * t", "t > 3")
    slots = member("state x: slots(k) of top(n, per chunks(b)) if a else none")
    assert show(slots.shape) == "slots(k) of top(n, per chunks(b)) if a else none"
    assert show(member("quantize all: none when numel < 4096").condition) == "numel < 4096"
    assert member("round param: master(bits = 16)").how.name == "master"
    assert isinstance(member("replace v = 2"), syntax.Replace)
    assert isinstance(member("replace decay: param = 2"), syntax.ReplaceSection)
    route = member("route:\n    ndim == 2 -> A(b = (0.9, c)) + B\n    else -> C")
    assert [len(rule.value.terms) for rule in route.rules.rules] == [2, 1]
    assert route.rules.rules[1].condition is None
    rules = member("lr *=\n    ndim == 1 -> 2\n    else -> 1")
    assert isinstance(rules, syntax.Override) and isinstance(rules.value, syntax.Rules)
    assert member("on capture(x, s) every 10: m = x").params == ("x", "s")
    assert isinstance(member("view train:\n    param = 2 * param").value, tuple)


def test_statements() -> None:
    when, first, every, repeat = steps(
        "when a: skip\notherwise when b: reset m, v\notherwise:\n    x, y[i] = qr(a)\n"
        "first:\n    skip\notherwise:\n    x = 1\nevery 10: x = 2\nrepeat 5 as k: x += k"
    )
    assert len(when.branches) == 2 and len(when.otherwise[0].targets) == 2
    assert first.otherwise is not None and every.otherwise is None
    assert repeat.counter == "k"


def test_lines_go_on_inside_brackets_only() -> None:
    assert expr("f(a,\n        b\n    +  c,   # why\n)") == expr("f(a, b + c)")
    with pytest.raises(SpecError):
        expr("a +\n        b")


def test_layout_is_free() -> None:
    plain = read("optimizer A:\n    update:\n        x = 1\n")
    assert read("\n  # a\n\n   optimizer A:\n\n     update: x = 1\n# b\n  # c") == plain
    assert read("optimizer A:\r\n update:\r\n\r\n  x = 1") == plain


def test_a_file_may_begin_with_a_mark_and_end_its_lines_as_windows_does(tmp_path: Path) -> None:
    path = tmp_path / "a.opt"
    path.write_bytes(b"\xef\xbb\xbfoptimizer A:\r\n    update: skip\r\n")
    assert read_source(path) == Source(str(path), "optimizer A:\n    update: skip\n")


def test_compositions_and_codecs() -> None:
    composition = parse_composition(Source("<text>", " AdamW + Cautious + Lookahead(k = 5) "))
    assert show(composition) == "AdamW + Cautious + Lookahead(k = 5)"
    assert show(parse_codec(Source("<text>", "dynamic8(block=256)"))) == "dynamic8(block = 256)"
    with pytest.raises(SpecError):
        parse_composition(Source("<text>", "AdamW * 2"))
    with pytest.raises(SpecError):
        parse_codec(Source("<text>", "dynamic8 + 3"))


# ---------------------------------------------------------------- places


def test_spans() -> None:
    source = Source("spec.opt", "optimizer A:\n    update:\n        x = (a + b) * f(c, per rows)\n")
    (optimizer,) = parse(source).declarations
    assert isinstance(optimizer, syntax.Optimizer)
    assert str(optimizer.span) == "spec.opt:1:1"
    (section,) = optimizer.members
    assert (section.span.line, section.span.end_line, section.span.end_column) == (2, 3, 37)
    assert section.span.text == "update:"
    (assign,) = section.body  # type: ignore[union-attr]
    product = assign.value
    assert product.span.text == "(a + b) * f(c, per rows)"
    assert product.left.span.text == "a + b"
    assert product.right.span.text == "f(c, per rows)"
    assert product.right.per.span.text == "rows"
    assert (product.span.column, product.span.end_column) == (13, 37)


@pytest.mark.parametrize("path", SKETCHES, ids=lambda path: path.stem)
def test_every_node_spans_its_text(path: Path) -> None:
    source = Source(str(path), path.read_text(encoding="utf-8"))
    for node in nodes(parse(source)):
        start, end = (node.span.line, node.span.column), (node.span.end_line, node.span.end_column)
        assert start < end
        assert node.span.source is source
        if isinstance(node, Name | Number) and node.span.text != "inf":
            assert node.span.text in (getattr(node, "id", ""), node.span.text)
        if isinstance(node, syntax.Expr | syntax.Codec | syntax.Applied | syntax.Granule):
            assert node.span.line != node.span.end_line or not node.span.text.endswith(" ")
            assert same(_reread(node, node.span.text), node)


def _reread(node: Any, text: str) -> Any:
    """What the text that a node claims is read as, by itself."""
    match node:
        case syntax.Codec():
            return parse_codec(Source("<text>", text))
        case syntax.Applied():
            return parse_composition(Source("<text>", text)).terms[0]
        case syntax.Granule():
            return member(f"state x: per {text}").shape.granule
        case _:
            return expr(text)


# ---------------------------------------------------------------- limits and many mistakes


def test_deep_and_long_texts_are_refused_in_good_order() -> None:
    for text in ("(" * 60_000, "-" * 60_000, "x" + ".T" * 5000, "x" + " + x" * 5000):
        with pytest.raises(SpecError):
            expr(text)
    nested = "".join(f"{' ' * depth}when x:\n" for depth in range(150)) + " " * 150 + "skip"
    with pytest.raises(SpecError) as raised:
        steps(nested)
    assert {diagnostic.code for diagnostic in raised.value.diagnostics} == {"E113"}
    with pytest.raises(SpecError) as raised:
        read("#" * 70_000)
    assert {diagnostic.code for diagnostic in raised.value.diagnostics} == {"E005"}


def test_one_run_finds_every_mistake_and_no_other() -> None:
    text = """optimizer A:
    hyper lr 1e-3
    state m: like param
    update:
        m = lerp(m, grad, 1 - beta
    decay
        param *= 1 - lr
    param:
        when 0 < t < 9: skip
        x = 3 3
        every 10
            y = 1
        z = 1

partition p:
    ndim = 2 -> rows
    else -> tensor

modifier B
    grad:
        grad = 2 * grad
"""
    with pytest.raises(SpecError) as raised:
        read(text)
    found = [(d.code, d.span and d.span.line) for d in raised.value.diagnostics]
    expected = [("E107", 2), ("E110", 5), ("E109", 9), ("E107", 10), ("E108", 11)]
    assert found == [*expected, ("E120", 16), ("E108", 19)]
