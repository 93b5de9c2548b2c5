"""`stepc list`: what comes with stepc."""

from __future__ import annotations

import argparse
import json

from ..dsl.library import Entry, catalogue
from .terminal import paint, table

EXAMPLES = """examples:
  stepc list                 names, and what they do
  stepc list --json          the same for a program"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    entries = catalogue()
    if options.json:
        print(json.dumps([record(entry) for entry in entries], indent=2))
        return 0
    for kind, title in (
        ("optimizer", "optimizers   from stepc import NAME, or stepc.compile(...)"),
        ("modifier", 'modifiers    stepc.compile("AdamW + NAME")'),
    ):
        rows = [(entry.name, entry.doc) for entry in entries if entry.kind == kind]
        print(paint(title, "bold"))
        print("\n".join("  " + line for line in table(("", ""), rows).splitlines()[1:]) + "\n")
    return 0


def record(entry: Entry) -> dict[str, str]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "doc": entry.doc,
        "paper": entry.paper,
        "spec": str(entry.path),
    }
