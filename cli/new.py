"""`stepc new`: a spec to start from, with a comment at each kind of line.

$ stepc new my.opt --from AdamW
my.opt: optimizer My, begun from AdamW
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from textwrap import wrap

from ..dsl.library import Entry
from ..dsl.words import predeclared
from .declarations import find, imports_of, text_of
from .failure import Failure

EXAMPLES = """examples:
  stepc new my.opt                      begun from AdamW
  stepc new sharp.opt --from Lion       begun from another one; `stepc list` has the names"""

_COMMENTS = {
    "extends": "Everything of the parent, with the changes below. `replace x = ...` replaces the "
    "one statement that assigns x.",
    "hyper": "Constructor arguments: name = default, in an interval that is checked.",
    "state": "What is kept between steps: `like param` is one value per element; `per rows` and "
    "`per tensor` keep fewer.",
    "quantize": "How states are stored between steps; within a step every value is exact.",
    "round": "How the new parameter is rounded to its dtype.",
    "requires": "Tensors for which this does not hold are refused, with this advice.",
    "route": "The first line that holds says which rule a tensor follows.",
    "grad": "What is done to the gradient before anything reads it.",
    "update": "The rule. A state read before its assignment has its old value; t counts from 1. "
    "It ends in `direction`: the step then does param -= lr * direction.",
    "direction": "What is done to the direction of the rule before.",
    "decay": "Decoupled weight decay: after the direction is known, before the step is taken.",
    "param": "What is done to the parameter after the step.",
    "after": "What is kept once everything else is done.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the spec to write; must not exist yet")
    parser.add_argument(
        "--from", dest="base", default="AdamW", metavar="NAME", help="what to begin with"
    )


def run(options: argparse.Namespace) -> int:
    file: Path = options.file
    if file.suffix != ".opt":
        raise Failure(f'"{file}" is not called like a spec', f'say "{file.with_suffix(".opt")}"')
    if file.exists():
        raise Failure(f'"{file}" exists already', "choose another name, or remove it first")
    entry = find(options.base)
    name = class_name(file.stem)
    with file.open("x", encoding="utf-8") as opened:
        opened.write(starting_point(entry, name, file))
    print(f"{file}: {entry.kind} {name}, begun from {entry.name}")
    return 0


def class_name(stem: str) -> str:
    """`my_lion-2` becomes `MyLion2`; what is no name yet gets `My` in front."""
    words = re.findall(r"[A-Za-z0-9]+", stem)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name.isidentifier() and not predeclared(name) else f"My{name}"


def starting_point(entry: Entry, name: str, file: Path) -> str:
    """The text of the new spec: a header, what the declaration needs, and the declaration."""
    body = text_of(entry).splitlines()
    body[0] = re.sub(rf"\b{entry.name}\b", name, body[0], count=1)
    imports = imports_of(entry)
    header = [
        f"# Begun from {entry.name}. What to do with it:",
        f"#   stepc check {file.name}     every mistake, with advice",
        f"#   stepc verify {file.name}    every target against these equations",
        f"#   stepc inspect {file.name}   its plan and its kernels",
        f"#   stepc compile {file.name} -o {file.stem}.py",
        "",
    ]
    return "\n".join([*header, *imports, *[""] * bool(imports), *commented(body)]) + "\n"


def commented(body: list[str]) -> list[str]:
    """The lines with a comment above the first of each kind."""
    result: list[str] = []
    said: set[str] = set()
    for line in body:
        indent = len(line) - len(line.lstrip())
        kind = "extends" if " extends " in line and not indent else first_word(line)
        if indent <= 4 and kind in _COMMENTS and kind not in said:
            said.add(kind)
            result += [f"{' ' * indent}# {part}" for part in wrap(_COMMENTS[kind], 90)]
        result.append(line)
    return result


def first_word(line: str) -> str:
    found = re.match(r"\s*(\w+)", line)
    return found[1] if found else ""
