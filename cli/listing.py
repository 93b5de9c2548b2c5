"""Every stage of one compilation as text, from the spec to the generated module.

    stages("AdamW")["plan"].text   ->   'AdamW: 1 pass, 1 step, 28 B per parameter ...'

What comes after the module (ttir to machine code) is machine.py's.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from ..compiler.cost import Cost, costs, gain
from ..compiler.ir import Decide, Program
from ..compiler.pipeline import PASSES, build
from ..compiler.text import show
from ..dsl.describe import describe
from ..dsl.files import read_source
from ..dsl.load import load
from ..dsl.model import Model
from ..dsl.parser import parse
from ..dsl.source import Source
from .declarations import find, text_of
from .tree import outline

LANGUAGES = {"spec": "opt", "tree": "plain", "model": "opt", "triton": "python", "c": "c",
             "torch": "python", "module": "python"}  # fmt: skip
NAMES = ("spec", "tree", "model", "lower", *(p.__name__ for p in PASSES), "plan", "triton", "c",
         "torch", "module")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its text, the language to colour it in, whether it changed anything, and what
    that was worth."""

    text: str
    language: str
    changed: bool = True
    gain: str = ""


def stages(what: str) -> dict[str, Stage]:
    """All stages of `what` (a file, a name, a composition), in order."""
    model = load(what)
    spec = spec_of(what, model)
    texts = {"spec": spec, "tree": outline(parse(Source(what, spec))), "model": describe(model)}

    known: list[tuple[Cost, ...]] = []
    gains: dict[str, str] = {}

    def watch(stage: str, made: object) -> None:
        texts[stage] = made if isinstance(made, str) else show(made)
        if isinstance(made, Decide | Program):
            known.append(costs(made))
            gains[stage] = gain(known[-2], known[-1]) if len(known) > 1 else ""

    build(model, watch)
    texts |= targets(texts["module"])
    made: dict[str, Stage] = {}
    previous = ""
    for name in NAMES:
        changed = texts[name] != previous
        made[name] = Stage(texts[name], LANGUAGES.get(name, "opt"), changed, gains.get(name, ""))
        previous = texts[name]
    return made


def spec_of(what: str, model: Model) -> str:
    """The text of a spec file, or of every declaration that a composition names."""
    if is_file(what):
        return read_source(what).text
    return "\n".join(text_of(find(name)) for name in model.lineage)


def is_file(what: str) -> bool:
    """Whether `what` names a file and not an optimizer."""
    return what.endswith(".opt") or "/" in what or Path(what).is_file()


def targets(module: str) -> dict[str, str]:
    """The three targets, cut out of a generated module's text."""
    triton: list[str] = []
    torch: list[str] = []
    c = ""
    for node in ast.parse(module).body:
        match node:
            case ast.FunctionDef(decorator_list=decorators):
                (triton if decorators else torch).append(with_decorators(module, node))
            case ast.Assign(targets=[ast.Name(id="C")], value=ast.Constant(value=str(text))):
                c = text.strip() + "\n"
            case _:
                pass
    return {"triton": "\n\n".join(triton), "torch": "\n\n".join(torch), "c": c}


def with_decorators(module: str, node: ast.FunctionDef) -> str:
    """A function's text, its decorators and comments included."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(module.splitlines()[first - 1 : node.end_lineno]) + "\n"
