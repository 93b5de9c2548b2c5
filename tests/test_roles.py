"""Roles: what the shipped rules make of the names of common models, and how a user adds to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from common_names import NAMES

from stepc.cli.dispatch import main
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.load import load
from stepc.dsl.roles import role_of, role_rules

RULES = role_rules()


@pytest.mark.parametrize(("name", "shape", "role"), NAMES, ids=[name for name, _, _ in NAMES])
def test_role_of_a_common_name(name: str, shape: tuple[int, ...], role: str) -> None:
    assert role_of(RULES, name, shape)[0] == role


def test_every_parameter_of_torch_transformer_has_a_role() -> None:
    model = torch.nn.Transformer(16, 2, 1, 1, 32, batch_first=True)
    found = {name: role_of(RULES, name, tuple(p.shape))[0] for name, p in model.named_parameters()}
    assert "other" not in found.values()
    assert {found[n] for n in found if n.endswith("in_proj_weight")} == {"qkv"}


OWN = """
import is_hidden_matrix from "lib/roles.opt"
roles:
    name ~ "codebook" -> embedding
    name ~ "router"   -> gate
{rest}
optimizer Mine:
    hyper lr = 0.1 in [0, inf)
    update:
        direction = grad if role in (gate, embedding) else -grad
"""


def test_roles_without_else_go_on_in_the_imported_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.opt"
    file.write_text(OWN.format(rest=""))
    rules = role_rules(file)
    assert role_of(rules, "h.codebook", (4, 4))[0] == "embedding"
    assert role_of(rules, "h.router.weight", (4, 4))[0] == "gate"
    assert role_of(rules, "wte.weight", (4, 4))[0] == "embedding"
    assert role_of(rules, "h.q_proj.weight", (4, 4))[0] == "query"
    assert "gate" in {role for _, role in load(str(file)).roles}


def test_roles_with_else_are_all_there_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.opt"
    file.write_text(OWN.format(rest="    else -> other"))
    assert role_of(role_rules(file), "wte.weight", (4, 4))[0] == "other"


def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    for one, two in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.opt").write_text(
            f'import of_{two} from "{two}.opt"\nroles:\n    name ~ "{one}" -> {one}\n'
            f"def of_{one}():\n    return 1\n"
        )
    with pytest.raises(SpecError, match="imports this file in turn"):
        role_rules(tmp_path / "a.opt")


def test_a_file_without_roles_says_so(tmp_path: Path) -> None:
    file = tmp_path / "none.opt"
    file.write_text("def f():\n    return 1\n")
    with pytest.raises(SpecError, match="has no roles"):
        role_rules(file)


# ---------------------------------------------------------------- the command


def test_command_reads_lists_modules_and_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("wte.weight 50257 768  # tokens\n\nh.0.attn.c_attn.weight 768 2304\n")
    assert main(["roles", str(names), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["role"] for one in found] == ["embedding", "qkv"]

    saved = tmp_path / "model.pt"
    torch.save({"state_dict": {"fc.weight": torch.zeros(3, 2), "step": 4}}, saved)
    assert main(["roles", str(saved), "--summary"]) == 0
    assert "head" in capsys.readouterr().out

    assert main(["roles", "torch.nn:ReLU"]) == 0
    assert main(["roles", "torch.nn:Linear"]) == 1  # cannot be made without arguments
    assert "torch.nn:Linear" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "advice"), [("a.weight many", "name size size"), (None, "there is no file")]
)
def test_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, advice: str
) -> None:
    names = tmp_path / "names.txt"
    if content is not None:
        names.write_text(content)
    assert main(["roles", str(names)]) == 1
    assert advice in capsys.readouterr().err


def test_command_never_unpickles_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "model.pt"
    torch.save({"weight": Path("x")}, saved)
    assert main(["roles", str(saved)]) == 1
    assert "tensors alone" in capsys.readouterr().err
