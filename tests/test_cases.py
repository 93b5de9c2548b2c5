"""Every message, by example: tests/cases/errors/<code>.case, and <code>-<word>.case for more of it.

A case is a spec text, a line `----`, and exactly what must be said about it. A first line
`# file: NAME` reads that file of the folder made by `files` below. `pytest --update` rewrites.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import HERE, Case

from stepc.compiler.lower import refuse_unsupported
from stepc.dsl.diagnostics import CODES, Diagnostic, SpecError
from stepc.dsl.files import MAX_BYTES, read_source
from stepc.dsl.load import load_source
from stepc.dsl.source import Source

ERRORS = sorted((HERE / "cases" / "errors").glob("*.case"))
SPEC = b"optimizer AdamW:\n    update:\n        direction = grad\n"


def code(path: Path) -> str:
    return path.stem.partition("-")[0]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with everything that can be wrong with a file, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adamw.opt").write_bytes(SPEC)
    (tmp_path / "binary.opt").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "latin1.opt").write_bytes("# Schrödinger\n".encode("latin-1") + SPEC)
    (tmp_path / "large.opt").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "looped.opt").symlink_to("looped.opt")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "lion.opt").write_bytes(SPEC)


def read(given: str) -> tuple[Diagnostic, ...]:
    """Do with the text (or the file that it names) what a user would; the warnings."""
    head, _, name = given.partition("\n")[0].partition("# file: ")
    source = read_source(name) if name and not head else Source("spec.opt", given)
    model = load_source(source)
    refuse_unsupported(model)
    return model.warnings


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("case", ERRORS, indirect=True, ids=lambda path: path.stem)
def test_message(case: Case) -> None:
    try:
        found = read(case.given)
    except SpecError as error:
        found = error.diagnostics
    assert code(case.path) in {diagnostic.code for diagnostic in found}
    case.check("\n\n".join(map(str, found)))


def test_every_code_has_a_case_and_every_case_a_code() -> None:
    assert sorted({code(path) for path in ERRORS}) == sorted(CODES)
