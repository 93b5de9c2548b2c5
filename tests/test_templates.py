"""Templates hold no logic: they put finished lines in their places, and decide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, nodes

import stepc

FOLDER = Path(stepc.__file__).parent / "compiler" / "emit" / "templates"
TEMPLATES = sorted(FOLDER.glob("*.j2"))
FILTERS = {"indent", "join"}
FORBIDDEN = (
    nodes.Assign, nodes.AssignBlock, nodes.Call, nodes.Macro, nodes.Import, nodes.FromImport,
    nodes.BinExpr, nodes.Compare, nodes.CondExpr, nodes.Test, nodes.UnaryExpr,
    nodes.Include, nodes.Extends,
)  # fmt: skip


def tree(path: Path) -> nodes.Template:
    return Environment().parse(path.read_text(encoding="utf-8"))


def faults(template: nodes.Template) -> list[str]:
    """Everything in a template that decides or computes."""
    found = [f"line {n.lineno}: {type(n).__name__}" for n in template.find_all(FORBIDDEN)]
    for use in template.find_all(nodes.Filter):
        if use.name not in FILTERS:
            found.append(f"line {use.lineno}: filter {use.name}")
    choices = list(template.find_all(nodes.If))
    for choice in choices:
        if not isinstance(choice.test, nodes.Name | nodes.Getattr):
            found.append(f"line {choice.lineno}: `if` asks more than whether something is there")
    return found if len(choices) <= 3 else [*found, f"{len(choices)} `if`s"]


def test_there_are_templates() -> None:
    assert TEMPLATES


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_decide_nothing(path: Path) -> None:
    assert faults(tree(path)) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.parametrize(
    "text",
    [
        "{% set x = 1 %}",
        "{{ name() }}",
        "{% if kind == 'adam' %}a{% endif %}",
        "{{ a + b }}",
        "{{ name | upper }}",
        "{{ a if b else c }}",
        "{% if a %}{% endif %}" * 4,
    ],
)
def test_the_rule_can_be_broken(text: str) -> None:
    assert faults(Environment().parse(text))
