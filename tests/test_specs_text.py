"""The shipped specs and their README's examples are understood; every optimizer has a reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference.oracles import ORACLES
from reference.scenarios import SCENARIOS

from stepc.dsl import syntax
from stepc.dsl.files import read_source
from stepc.dsl.load import load
from stepc.dsl.parser import parse

SPECS = Path(__file__).resolve().parent.parent / "specs"
FILES = sorted(SPECS.rglob("*.opt"))
EXAMPLES = re.findall(r"^```opt\n(.*?)^```", (SPECS / "README.md").read_text(), re.M | re.S)


def declared(path: Path) -> list[syntax.Declaration]:
    return list(parse(read_source(path)).declarations)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_spec_is_documented(path: Path) -> None:
    file = parse(read_source(path))
    assert file.doc.strip()
    for optimizer in file.declarations:
        if isinstance(optimizer, syntax.Optimizer):
            kinds = [type(member) for member in optimizer.members]
            assert syntax.Paper in kinds, f"{optimizer.name} names no paper"
        if isinstance(optimizer, syntax.Optimizer | syntax.Modifier):
            kinds = [type(member) for member in optimizer.members]
            assert syntax.Family in kinds, f"{optimizer.name} names no family"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_numeric_hypers_have_bounds(path: Path) -> None:
    for optimizer in declared(path):
        if not isinstance(optimizer, syntax.Optimizer):
            continue
        for member in optimizer.members:
            if not isinstance(member, syntax.Hyper) or isinstance(member.default, syntax.Choice):
                continue
            words = ("true", "false")
            is_switch = isinstance(member.default, syntax.Name) and member.default.id in words
            assert is_switch == (member.interval is None), f"{optimizer.name}.{member.name}"


def test_every_optimizer_has_a_reference() -> None:
    """All that have a rule of their own: the rest is others composed, or in another storage."""
    tested = {name for name in ORACLES if "+" not in name} | {s.name for s in SCENARIOS}
    tested |= {"AdaPNM"}  # the rule inside Ranger21
    rules = {
        optimizer.name
        for path in FILES
        for optimizer in declared(path)
        if isinstance(optimizer, syntax.Optimizer)
        and any(isinstance(m, syntax.Section) and m.name == "update" for m in optimizer.members)
    }
    assert rules <= tested


def test_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_readme_example_is_correct(number: int) -> None:
    model = load(EXAMPLES[number])
    assert not model.unsupported
    assert not model.warnings


@pytest.mark.parametrize("name", [name for name in ORACLES if "+" not in name])
def test_shipped_optimizer_is_understood(name: str) -> None:
    model = load(name)
    assert model.doc
    assert not model.unsupported
    assert not model.warnings
