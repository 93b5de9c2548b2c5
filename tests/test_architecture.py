"""The import law, the size of the rooms, and what `import stepc` costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stepc

ROOT = Path(stepc.__file__).parent
ROOMS = ("dsl", "compiler", "runtime", "generated", "specs", "cli", "demo", "benchmarks")

# Who may import whom: the whole law. The root package and `cli` may use all.
LAW = {
    "dsl": {"dsl"},
    "compiler": {"compiler", "dsl", "runtime"},
    "runtime": {"runtime"},
    "generated": {"generated", "runtime"},
    "specs": {"specs"},
    "demo": {"demo"},
    "benchmarks": {"benchmarks", "demo", "generated", "runtime", ""},
    "cli": {*ROOMS, ""},
}
# What a room may need from outside the standard library.
OUTSIDE = {
    "dsl": {"lark", "numpy"},
    "compiler": {"jinja2", "numpy", "sympy", "torch", "triton"},
    "runtime": {"numpy", "safetensors", "torch", "triton"},
    "generated": {"torch", "triton"},
    "specs": set[str](),
    "demo": {"torch", "sklearn", "matplotlib"},
    "benchmarks": {"torch", "matplotlib"},  # peers are found by name, where they are installed
    "cli": {"numpy", "safetensors", "torch", "triton"},
}
# Imports inside functions, each with its reason.
LATE = {
    "runtime": {
        "safetensors",
        "torch",
        "triton",
    },  # the first and the last are absent on many machines
    "compiler": {"triton"},
    "benchmarks": {"matplotlib"},  # only pictures need it
    "cli": {
        ".demo",
        "safetensors",
        "torch",
    },  # matplotlib; where one is installed; names and shapes
    "": {"importlib"},
}

FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """What a file imports: (`.dsl` for a room of ours, `numpy` for others; inside a function?)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield name.name.split(".")[0], id(node) in inside
            case ast.ImportFrom(level=0, module=str(module)):
                first, _, rest = module.partition(".")
                ours = f".{rest.split('.')[0]}" if first == "stepc" else first
                yield ours, id(node) in inside
            case ast.ImportFrom(level=level, module=module, names=names):
                base = package[: len(package) - level + 1]
                target = (*base, *(module or "").split(".")) if module else base
                if target:
                    yield f".{target[0]}", id(node) in inside
                else:
                    for name in names:
                        yield f".{name.name if name.name in ROOMS else ''}", id(node) in inside
            case _:
                pass


def test_the_law_covers_every_room() -> None:
    found = {p.parent.name for p in ROOT.glob("*/__init__.py") if p.parent.name != "tests"}
    assert found == set(ROOMS) == set(LAW) == set(OUTSIDE), found
    assert len(FILES) > 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    for name, _ in imports(path):
        if name.startswith("."):
            assert name[1:] in LAW[room], f"{room} may not import {name[1:]}"
        elif name not in sys.stdlib_module_names:
            assert name in OUTSIDE[room], f"{room} may not import {name}"


def test_imports_inside_functions_are_the_documented_ones() -> None:
    late = {(room_of(path), name) for path in FILES for name, inside in imports(path) if inside}
    assert {entry for entry in late if entry[1] not in LATE.get(entry[0], set())} == set()


@pytest.mark.parametrize(("package", "doors"), [("sympy", 1), ("jinja2", 1)])
def test_one_door(package: str, doors: int) -> None:
    users = [path for path in FILES if any(name == package for name, _ in imports(path))]
    assert len(users) == doors, users


def test_no_file_is_a_warehouse() -> None:
    written = [path for path in FILES if room_of(path) != "generated"]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in written}
    assert {name: n for name, n in lengths.items() if n > 300} == {}
    names = {path.stem for path in written}
    assert not names & {"utils", "util", "helpers", "common", "misc", "manager", "base"}


# ---------------------------------------------------------------- a fresh process


def fresh(code: str) -> str:
    """What `code` prints in a new interpreter, which may keep compiled files as a user's does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


COST = """
import sys, time, torch
start = time.process_time()  # not the clock on the wall: other tests run beside this one
import stepc
from stepc import AdamW, Muon
print((time.process_time() - start) * 1e3)
heavy = {"lark", "sympy", "jinja2", "triton", "stepc.dsl", "stepc.compiler"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_prebuilt_optimizer_loads_no_compiler_and_costs_under_50_ms() -> None:
    fresh(COST)  # writes the .pyc files
    runs = [fresh(COST).splitlines() for _ in range(5)]
    assert {loaded for _, loaded in runs} == {"[]"}
    assert min(float(ms) for ms, _ in runs) < 50


WITHOUT = """
import sys
import torch
for name in ("triton", "lark", "jinja2"):
    sys.modules[name] = None
from stepc.generated.adamw import AdamW
p = torch.nn.Parameter(torch.ones(5))
p.grad = torch.ones(5)
AdamW([p], lr=0.1).step()
assert not {"stepc.dsl", "stepc.compiler"} & set(sys.modules)
print(round(p[0].item(), 4))
"""


def test_a_prebuilt_optimizer_needs_only_torch() -> None:
    assert fresh(WITHOUT).strip() == "0.899"


LIGHT = """
import sys
from stepc.cli import main
main({arguments!r})
assert "torch" not in sys.modules, "torch was imported"
"""


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["check", "specs/adamw.opt"]])
def test_light_commands_do_not_wait_for_torch(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert fresh(LIGHT.format(arguments=arguments))


def test_every_package_is_shipped() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for room in ROOMS:
        for path in ROOT.glob(f"{room}/**/__init__.py"):
            name = ".".join(("stepc", *path.parent.relative_to(ROOT).parts))
            assert f'"{name}"' in text, f"pyproject.toml does not list {name}"
