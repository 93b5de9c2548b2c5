"""The command line: what commands print, exit codes, and manners when the input is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import stepc
from stepc.cli import COMMANDS, main
from stepc.cli.highlight import LANGUAGES, colour
from stepc.cli.new import class_name

ROOT = Path(stepc.__file__).parent
WRONG = """optimizer Wrong:
    hyper lr = 1e-3 in [0, inf)
    state m: like param
    update:
        m = lerp(m, grda, 0.1)
        direction = m
    decay:
        param *= 1 - lr * wieght
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


# ---------------------------------------------------------------- help and manners


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"stepc {command}" in capsys.readouterr().out.split("examples:")[1]


def test_nothing_said_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    assert all(re.search(rf"^    {command}\s", out, re.M) for command in COMMANDS)


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "chek")
    assert (code, err) == (2, "stepc: there is no command `chek`; did you mean `check`?\n")
    with pytest.raises(SystemExit) as stop:
        main(["list", "--nonsense"])
    assert stop.value.code == 2


@pytest.mark.parametrize("command", ["inspect", "explain", "compile", "verify"])
def test_an_unknown_optimizer_is_1_with_advice(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, command, "AdmaW")
    assert code == 1
    assert "did you mean `AdamW`?" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["inspect", "explain", "compile", "verify", "check"])
@pytest.mark.parametrize("kind", ["missing", "empty", "binary", "directory", "large"])
def test_files_that_are_no_specs(
    command: str, kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "x.opt"
    match kind:
        case "empty":
            file.write_bytes(b"")
        case "binary":
            file.write_bytes(b"\x7fELF\0\xff\xfe")
        case "directory":
            file.mkdir()
        case "large":
            file.write_bytes(b"# much\n" * 20_000)
        case _:
            pass
    code, out, err = run(capsys, command, "x.opt")
    assert code == 1
    assert re.search(r"error E\d\d\d: ", out + err)


def test_a_bug_asks_for_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(import_module("stepc.cli.list"), "run", broken)
    code, _, err = run(capsys, "list")
    assert code == 1
    assert "a bug in stepc" in err
    assert "ZeroDivisionError: inside" in err
    assert "Traceback" not in err
    monkeypatch.setenv("STEPC_DEBUG", "1")
    assert "Traceback" in run(capsys, "list")[2]


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m stepc list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("optimizers")
    assert done.stderr == ""


def test_colours_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in run(capsys, "list")[1]
    assert colour("state m  # why", LANGUAGES["opt"]) == (
        "\x1b[35mstate\x1b[0m m  \x1b[2m# why\x1b[0m"
    )


@pytest.mark.parametrize("variable", ["", "NO_COLOR"])
def test_no_color(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = import_module("stepc.cli.terminal")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if variable:
        monkeypatch.setenv(variable, "1")
    with open(os.open(os.devnull, os.O_WRONLY), "w") as stream:
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        assert terminal.coloured(stream) == (not variable)


# ---------------------------------------------------------------- the commands


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(run(capsys, "list", "--json")[1])
    kinds = {entry["name"]: entry["kind"] for entry in entries}
    assert kinds["AdamW"] == "optimizer"
    assert kinds["Cautious"] == "modifier"
    assert all(entry["doc"] and Path(entry["spec"]).is_file() for entry in entries)
    text = run(capsys, "list")[1]
    assert all(f"  {name} " in text for name in kinds)


def test_check_shows_every_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wrong.opt").write_text(WRONG)
    code, out, _ = run(capsys, "check", "wrong.opt")
    assert code == 1
    assert "wrong.opt:5:21: error" in out
    assert "did you mean `grad`?" in out
    assert "wrong.opt:8:27: error" in out
    assert out.endswith("wrong.opt: 2 errors\n")
    code, out, _ = run(capsys, "check", "--json", "wrong.opt")
    assert code == 1
    found = json.loads(out)
    assert not found["ok"]
    assert [(d["line"], d["column"]) for d in found["files"]["wrong.opt"]] == [(5, 21), (8, 27)]


def test_check_of_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    specs = [str(path) for path in sorted((ROOT / "specs").rglob("*.opt"))]
    code, out, _ = run(capsys, "check", *specs)
    assert code == 0, out


@pytest.mark.parametrize("base", [e.name for e in import_module("stepc.dsl.library").catalogue()])
def test_new_makes_a_spec_without_mistakes(
    base: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "new", "my_own.opt", "--from", base)
    assert (code, out.split(",")[0].split()[-1]) == (0, "MyOwn")
    text = (folder / "my_own.opt").read_text()
    assert text.count("# ") >= 5
    code, out, _ = run(capsys, "check", "my_own.opt")
    assert code == 0, out


def test_new_never_overwrites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.opt").write_text("mine")
    assert run(capsys, "new", "a.opt")[0] == 1
    assert (folder / "a.opt").read_text() == "mine"
    assert run(capsys, "new", "b.txt")[0] == 1
    assert "did you mean `Lion`?" in run(capsys, "new", "c.opt", "--from", "Lyon")[2]
    assert sorted(path.name for path in folder.iterdir()) == ["a.opt"]


@pytest.mark.parametrize(
    ("stem", "name"),
    [("my_lion-2", "MyLion2"), ("8bit", "My8bit"), ("Sharp", "Sharp"), ("-", "My")],
)
def test_names_of_new_specs(stem: str, name: str) -> None:
    assert class_name(stem) == name


def test_compile_to_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["new", "my.opt", "--from", "Lion"])
    code, out, _ = run(capsys, "compile", "my.opt", "-o", "my_opt.py", "--name", "Mine")
    assert code == 0
    assert "class Mine, 1 pass, 20 bytes per parameter" in out
    use = """
import torch, my_opt
p = torch.nn.Parameter(torch.ones(5))
p.grad = torch.ones(5)
my_opt.Mine([p], lr=0.5).step()
print(p[0].item())
"""
    done = subprocess.run([sys.executable, "-c", use], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.5, abs=1e-2)
    assert run(capsys, "compile", "my.opt", "-o", "my_opt.py", "--name", "Mine", "--check")[0] == 0
    (folder / "my_opt.py").write_text((folder / "my_opt.py").read_text() + "# by hand\n")
    code, out, err = run(
        capsys, "compile", "my.opt", "-o", "my_opt.py", "--name", "Mine", "--check"
    )
    assert code == 1
    assert "-# by hand" in out
    assert "stale" in err


def test_a_place_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "compile", "Lion", "-o", "/no/such/place/lion.py")
    assert code == 1
    assert "no such folder" in err


def test_wrong_arguments_of_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "compile", "Lion", "--name", "lambda")[0] == 1
    assert run(capsys, "compile", "Lion", "--quantize", "dynamic9")[0] == 1
    assert run(capsys, "compile", "Lion", "--rounding", "wildly")[0] == 1
    assert run(capsys, "compile")[0] == 1
    code, out, _ = run(capsys, "explain", "Lyon", "--json")
    assert code == 1
    assert not json.loads(out)["ok"]


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain", "AdamW", "--json", "--parameters", "1e9")
    assert code == 0
    (path,) = json.loads(out)["paths"]
    assert len(path["passes"]) == path["launches"] == 1
    assert path["bytes_per_parameter"] == 28
    assert path["state_bytes_per_parameter"] == 8
    assert path["floor_ms"] == pytest.approx(28 / 4.8, rel=1e-6)
    code, out, _ = run(capsys, "explain", "AdamW", "--device", "100", "--dtype", "bfloat16")
    assert "100 GB/s" in out
    assert "220 ms" in out  # 2 + 2 + 2 for the parameter and its gradient, 16 for the states
    assert "spoils" not in out
    code, out, _ = run(capsys, "explain", "AdamW8bit")
    rows = {row[0]: row[1:] for row in map(str.split, out.splitlines()) if len(row) > 5}
    assert " ".join(rows["v"]) == "dynamic8(block = 256, signed = false) its block of 256"
    code, _, err = run(capsys, "explain", "AdamW", "--device", "h2000")
    assert (code, "did you mean `h200`?" in err) == (1, True)


STAGES = import_module("stepc.cli.listing").NAMES


@pytest.mark.parametrize("stage", STAGES)
def test_inspect_every_stage(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "inspect", "AdamW + Cautious", "--stage", stage)
    assert code == 0
    assert "weight_decay" in out or stage in ("triton", "c", "torch")
    assert len(out.splitlines()) > 5


# In processes of their own: Triton's compiler and its interpreter do not mix in one.


def fresh(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "stepc", *words]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


def test_inspect_machine_code() -> None:
    code, out, err = fresh("inspect", "Lion", "--stage", "sass", "--target", "sm_80", "--json")
    assert code == 0, err
    made = json.loads(out)
    (report,) = made["report"]
    assert report["spills"] == report["barriers"] == report["shared"] == 0
    assert report["bytes/element"] == 20
    assert all("LDG" in text for text in made["listings"].values())


def test_inspect_for_another_maker() -> None:
    code, out, err = fresh("inspect", "Lion", "--stage", "amdgcn", "--target", "gfx942")
    assert code == 0, err
    assert "global_load_dwordx4" in out
    code, _, err = fresh("inspect", "Lion", "--stage", "sass", "--target", "gfx942")
    assert (code, "amdgcn" in err) == (1, True)


def test_inspect_everything() -> None:
    code, out, err = fresh("inspect", "LAMB")
    assert code == 0, err
    titles = re.findall(r"^--- (\S+)", out, re.MULTILINE)
    assert titles == [*STAGES[:-1], "machine"]
    assert "(unchanged)" in out


def test_an_unknown_stage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "inspect", "Lion", "--stage", "pxt")
    assert (code, "did you mean `ptx`?" in err) == (1, True)


def verify(name: str, before: str = "") -> tuple[int, str]:
    code = f"import sys; from stepc.cli import main\n{before}\nsys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "verify", name, "--programs", "9", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_verify() -> None:
    code, out = verify("SignSGD")
    assert code == 0, out
    targets = {t["target"]: t["programs"] for t in json.loads(out)["targets"]}
    assert targets == {"c": 9, "torch": 9, "triton": 2}
    assert all(t["worst"]["values"] > 0 for t in json.loads(out)["targets"])


SABOTAGE = """
import stepc.cli.verify as command
right = command.class_from_text
def wrong(name, text):
    assert "1 - beta2" in text
    return right(name, text.replace("1 - beta2", "1 - beta1"))
command.class_from_text = wrong
"""


def test_verify_finds_a_wrong_kernel() -> None:
    code, out = verify("AdamW", SABOTAGE)
    assert code == 1
    assert all("seed" in target["failures"][0] for target in json.loads(out)["targets"])


def test_demo(tmp_path: Path) -> None:
    code, out, err = fresh("demo", "--steps", "3", "--plot", str(tmp_path / "curves.png"))
    assert code == 0, err
    assert (ROOT / "demo" / "my_adamw.opt").read_text(encoding="utf-8") in out
    lines = [line.split() for line in out.splitlines() if line.startswith(("digits", "characters"))]
    assert [line[1] for line in lines] == ["torch", "MyAdamW"] * 2
    assert [line[-2:] for line in lines] == [["8.00", "1"], ["5.02", "2"]] * 2
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_list_by_family_and_by_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--family", "sign", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"Lion", "SignSGD"} <= {one["name"] for one in found}
    assert {one["family"] for one in found} == {"sign"}
    assert main(["list", "lookAHEAD"]) == 0
    assert "Lookahead" in capsys.readouterr().out
    assert main(["list", "--family", "nrom"]) == 1
    assert "`norm`" in capsys.readouterr().err
    assert main(["list", "no such words"]) == 1
    assert "stepc list" in capsys.readouterr().err


def test_what_is_not_installed_is_named() -> None:
    """And not called a bug."""
    absent = "import sys; sys.modules['sklearn'] = None\n"
    code = f"{absent}from stepc.cli import main\nsys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: sklearn is not installed\n  help: pip install 'stepc[demo]'\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["precision", "--seeds", "1"], "say --seeds 2 at least"),
        (["bench", "--rounds", "1"], "say --rounds 2 at least"),
        (["bench", "--dtype", "float32,float12"], "there is no `float12`; there are float32"),
        (["modifiers", "Lyon"], "did you mean `Lion`?"),
        (["modifiers", "CautiousLion"], "`CautiousLion` is a composition"),
        (["gallery", "-o", "nowhere", "Lyon"], "did you mean `Lion`?"),
    ],
)
def test_what_would_fail_late_is_refused_at_once(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    assert said in capsys.readouterr().err
