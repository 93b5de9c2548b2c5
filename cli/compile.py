"""`stepc compile`: a spec to one Python file, or all shipped specs to generated/.

    $ stepc compile my.opt -o my_opt.py
    my_opt.py: class My, 1 pass, 28 bytes per parameter, in 0.21 s

Files are written whole, and only where asked. `--check` writes nothing: it exits with 1 when a
file is not what its spec says.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..compiler.door import write
from ..compiler.pipeline import build
from ..compiler.schedule import traffic
from ..dsl.load import load
from ..dsl.words import predeclared
from .failure import Failure
from .prebuilt import GENERATED, prebuilt
from .terminal import paint

EXAMPLES = """examples:
  stepc compile my.opt                          the module, on standard output
  stepc compile my.opt -o my_opt.py
  stepc compile "AdamW + Cautious" -o cautious.py --name CautiousAdamW
  stepc compile Lion -o lion8.py --quantize dynamic8 --rounding stochastic
  stepc compile AdamW -o a.py --quantize "v: dynamic8(block = 128, signed = false)"
  stepc compile --all --check                   is generated/ what specs/ says?"""

_OF_STATE = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*:\s*(.+)$")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="FILE|NAME|COMPOSITION", nargs="?")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.py", help="where the module goes")
    parser.add_argument("--name", help="the class's name, instead of the spec's")
    parser.add_argument(
        "--quantize",
        action="append",
        metavar="CODEC",
        help="for all states, or `STATE: CODEC`; may repeat",
    )
    parser.add_argument(
        "--rounding",
        metavar="HOW",
        help="of parameters: stochastic, kahan, master, master(bits = 8)",
    )
    parser.add_argument("--all", action="store_true", help="rebuild generated/ from specs/")
    parser.add_argument("--check", action="store_true", help="write nothing, refuse stale files")


def run(options: argparse.Namespace) -> int:
    if options.all:
        return everything(options.check)
    if options.what is None:
        raise Failure("what is to be compiled?", "name a file, an optimizer, or say --all")
    if options.check and options.output is None:
        raise Failure("--check compares a file", "name it with -o")
    start = time.perf_counter()
    model = load(options.what, quantize=codecs(options.quantize), rounding=options.rounding)
    if options.name:
        model = replace(model, name=valid(options.name))
    made = build(model)
    seconds = time.perf_counter() - start
    if options.output is None:
        sys.stdout.write(made.module)
        return 0
    if options.check:
        return refuse_stale({options.output: made.module})
    write(options.output, made.module)
    passes = either(len(plan.sweeps) for plan in made.plans)
    moved = either(sum(map(traffic, plan.sweeps)) for plan in made.plans)
    print(
        f"{options.output}: class {model.name}, {passes} {'pass' if passes == '1' else 'passes'}, "
        f"{moved} bytes per parameter, in {seconds:.2f} s"
    )
    return 0


def either(numbers: Iterable[float]) -> str:
    """What the paths need: `28`, or `16.06 or 28` where they differ."""
    return " or ".join(f"{number:.4g}" for number in sorted(set(numbers)))


def valid(name: str) -> str:
    """A class's name, if it is one that a spec could have."""
    taken = predeclared(name)
    if taken or not name.isidentifier() or not name.isascii():
        raise Failure(f"`{name}` cannot be a class's name", f"it is {taken}" if taken else "")
    return name


def codecs(given: list[str] | None) -> str | dict[str, str] | None:
    """`["dynamic8"]` is for all states; `["m: dynamic8", "v: dynamic4"]` for those named."""
    if not given:
        return None
    named = [_OF_STATE.match(text) for text in given]
    if len(given) == 1 and named[0] is None:
        return given[0]
    for text, found in zip(given, named, strict=True):
        if found is None:
            raise Failure(
                f"--quantize {text} and others", "with several, say `STATE: CODEC` in each"
            )
    return {found[1]: found[2] for found in named if found}


def everything(check: bool) -> int:
    """Build every shipped optimizer; write what differs, or refuse it."""
    files = dict(prebuilt())
    if check:
        unknown = [path for path in sorted(GENERATED.glob("*.py")) if path not in files]
        return refuse_stale(files | dict.fromkeys(unknown, ""))
    written = [path for path, text in files.items() if write(path, text)]
    print(f"generated/: {len(files)} files, {len(written)} of them written")
    return 0


def refuse_stale(files: dict[Path, str]) -> int:
    """Show what differs from what the specs say; 1 if anything does."""
    stale = 0
    for path, text in files.items():
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if old != text:
            stale += 1
            lines = difflib.unified_diff(
                old.splitlines(),
                text.splitlines(),
                f"{path} (as it is)",
                "as the spec says",
                lineterm="",
            )
            print("\n".join(list(lines)[:40]))
            print(paint(f"{path}: stale", "red", sys.stderr), file=sys.stderr)
    if not stale:
        print(f"{len(files)} file{'s' if len(files) != 1 else ''} up to date")
    return 1 if stale else 0
