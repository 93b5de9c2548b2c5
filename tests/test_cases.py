"""Every message, by example: tests/cases/errors/<code>.case, and <code>-<word>.case for more of it.

A case is a spec text, a line `----`, and exactly what must be said about it. A first line
`# file: NAME` reads that file of the folder made by `files` below; `# groups: A; B` compiles the
text and makes the optimizer with these parameter groups. `pytest --update` rewrites.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import HERE, Case

import stepc
from stepc.compiler.pipeline import plan
from stepc.dsl.diagnostics import CODES, Diagnostic, SpecError
from stepc.dsl.files import MAX_BYTES, read_source
from stepc.dsl.load import load_source
from stepc.dsl.source import Source

CASES = sorted((HERE / "cases" / "errors").glob("*.case"))
IN_USE = [path for path in CASES if path.stem.startswith("E6")]
ERRORS = [path for path in CASES if path not in IN_USE]
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
    plan(model)
    return model.warnings


def use(given: str) -> None:
    """Compile the text, and make an optimizer with the groups its first line has."""
    written = given.partition("\n")[0].removeprefix("# groups:").split(";")
    groups: list[dict[str, object]] = []
    for group in written:
        pairs = (pair.split("=") for pair in group.split(",") if pair.strip())
        hypers = {name.strip(): float(value) for name, value in pairs}
        groups.append({"params": [torch.zeros(2, requires_grad=True)], **hypers})
    stepc.compile(given)(groups)


@pytest.mark.parametrize("case", IN_USE, indirect=True, ids=lambda path: path.stem)
def test_message_in_use(case: Case) -> None:
    with pytest.raises(ValueError, match=code(case.path)) as raised:
        use(case.given)
    case.check(str(raised.value))


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
    assert sorted({code(path) for path in ERRORS + IN_USE}) == sorted(CODES)
