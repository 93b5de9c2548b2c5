"""Passes and bytes of every shipped optimizer, path by path, against tests/cases/plans.json.

A number that grows is a regression of the compiler, or a spec that costs more than it did: both are
decisions. `pytest --update` rewrites the table; the docstring of a rule of more than one pass
says why (what is composed of others and nothing else has its reasons there).
"""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
from conftest import HERE

from stepc.cli.explain import cost
from stepc.compiler.pipeline import plan
from stepc.dsl.library import catalogue
from stepc.dsl.load import load
from stepc.dsl.model import Model

TABLE = HERE / "cases" / "plans.json"
NAMES = [entry.name for entry in catalogue() if entry.kind == "optimizer"]

Costs = dict[str, list[float]]


@cache
def model_of(name: str) -> Model:
    return load(name)


@cache
def costs(name: str) -> Costs:
    """Passes and bytes per float32 parameter of each path."""
    found = [cost(one, "float32", 1.0) for one in plan(model_of(name))[1]]
    return {c.when: [len(c.passes), round(c.bytes_per_parameter, 4)] for c in found}


def committed() -> dict[str, Costs]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}


def text(table: dict[str, Costs]) -> str:
    """One line for each path."""
    blocks: list[str] = []
    for name in sorted(table):
        lines = (f"    {json.dumps(when)}: {json.dumps(c)}" for when, c in table[name].items())
        blocks.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def test_the_table_is_of_what_is_shipped(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        TABLE.write_text(text({name: costs(name) for name in NAMES}), encoding="utf-8")
    assert sorted(committed()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_passes_and_bytes(name: str) -> None:
    assert costs(name) == committed()[name]


@pytest.mark.parametrize("name", NAMES)
def test_more_than_one_pass_has_its_reason(name: str) -> None:
    model = model_of(name)
    own = {section.origin for section in model.sections if section.title != "ending"}
    is_composed = len(model.lineage) > 1 and name not in own
    if not is_composed and any(passes > 1 for passes, _ in costs(name).values()):
        assert re.search(r"\bpass(es)?\b", model.doc, re.I), (
            f"the docstring of {name} gives no reason"
        )
