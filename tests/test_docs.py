"""What the documents say is true: examples run, commands exist, specs shown are specs shipped."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest

import stepc
from stepc.cli import COMMANDS
from stepc.dsl.load import load

ROOT = Path(stepc.__file__).parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
WITH_EXAMPLES = [
    path
    for room in ("dsl", "compiler", "runtime", "cli", "demo", "benchmarks")
    for path in sorted((ROOT / room).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def module(path: Path) -> ModuleType:
    return import_module(".".join(("stepc", *path.relative_to(ROOT).with_suffix("").parts)))


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_doctests(path: Path) -> None:
    result = doctest.testmod(module(path))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_module_says_what_it_is() -> None:
    rooms = ("dsl", "compiler", "runtime", "cli", "demo", "benchmarks", "generated")
    silent = [
        str(path.relative_to(ROOT))
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.read_text(encoding="utf-8").strip()
        and not path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))
    ]
    assert silent == []


def test_the_readme_shows_the_demo_s_spec() -> None:
    shipped = (ROOT / "demo" / "my_adamw.opt").read_text(encoding="utf-8")
    assert shipped.strip() in [body.strip() for body in blocks("README.md", "opt")]


def test_the_readme_shows_a_kernel_that_ships() -> None:
    (kernel,) = blocks("README.md", "py")
    module = (ROOT / "generated" / "lion.py").read_text(encoding="utf-8")
    assert indent(kernel, "    ") in module


def test_the_readme_s_examples_run() -> None:
    examples = "\n".join(blocks("README.md", "python"))
    assert "stepc.compile(" in examples
    exec(compile(examples, "README.md", "exec"), {})


@pytest.mark.parametrize("document", ["README.md", "specs/README.md"])
def test_specs_in_the_documents_are_right(document: str) -> None:
    texts = blocks(document, "opt")
    assert texts
    for text in texts:
        if re.search(r"^optimizer ", text, re.MULTILINE):
            load(text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_the_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|\$ )stepc ([a-z]+)", text, re.MULTILINE))
    assert named <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for goal in set(re.findall(r"`make ([a-z]+)`", text)):
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), goal


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_in_the_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
    for name in re.findall(
        r"`((?:dsl|compiler|runtime|specs|cli|demo|tests|docs|benchmarks)/[\w./]*)`", text
    ):
        assert (ROOT / name).exists(), name
