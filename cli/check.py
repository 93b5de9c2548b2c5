"""`stepc check`: every mistake in a spec, at once, without compiling anything."""

from __future__ import annotations

import argparse
import json

from ..dsl.compose import Composer
from ..dsl.diagnostics import Diagnostic, Report, SpecError
from ..dsl.files import read_source
from ..dsl.library import Library
from ..dsl.route import understand_any
from ..dsl.syntax import Optimizer
from .failure import entry
from .terminal import paint

EXAMPLES = """examples:
  stepc check my.opt
  stepc check specs/*.opt
  stepc check --json my.opt      diagnostics with line and column, for an editor"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    found = {file: diagnose(file) for file in options.files}
    errors = sum(d.is_error for diagnostics in found.values() for d in diagnostics)
    if options.json:
        files = {file: [entry(d) for d in diagnostics] for file, diagnostics in found.items()}
        print(json.dumps({"ok": not errors, "files": files}, indent=2))
        return 1 if errors else 0
    for file, diagnostics in found.items():
        for diagnostic in diagnostics:
            print(f"{diagnostic}\n")
        print(verdict(file, diagnostics))
    return 1 if errors else 0


def diagnose(file: str) -> tuple[Diagnostic, ...]:
    """Everything there is to say about the optimizers of a file, in source order."""
    report = Report()
    composer = Composer(Library(report), report)
    try:
        scope = composer.library.add(read_source(file))
        for declaration in scope.file.declarations:
            if isinstance(declaration, Optimizer):
                understand_any(composer.optimizer(declaration), composer, {}, frozenset())
    except SpecError as error:
        return (*report.ordered(), *error.diagnostics)
    return tuple(report.ordered())


def verdict(file: str, diagnostics: tuple[Diagnostic, ...]) -> str:
    """`my.opt: 2 errors, 1 warning`"""
    errors = sum(d.is_error for d in diagnostics)
    warnings = len(diagnostics) - errors
    if not diagnostics:
        return f"{file}: {paint('no errors', 'green')}"
    parts = [
        f"{n} {word}{'s' if n > 1 else ''}"
        for n, word in ((errors, "error"), (warnings, "warning"))
        if n
    ]
    return f"{file}: {paint(', '.join(parts), 'red' if errors else 'yellow')}"
