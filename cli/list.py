"""`stepc list`: what comes with stepc, by family."""

from __future__ import annotations

import argparse
import json

from ..dsl.library import Entry, catalogue
from ..dsl.suggest import nearest
from .failure import Failure
from .terminal import paint, table

EXAMPLES = """examples:
  stepc list                     every family: names, what they do, the paper
  stepc list clip                what has the word in its name, doc, family or paper
  stepc list --family norm       one family
  stepc list --json              the same for a program"""

USES = {
    "optimizer": "from stepc import NAME, or stepc.compile(...)",
    "modifier": 'stepc.compile("AdamW + NAME")',
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORD", help="only what has all these words")
    parser.add_argument("--family", help="only this family")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    entries = catalogue()
    families = list(dict.fromkeys(entry.family for entry in sorted(entries, key=_shelf)))
    if options.family and options.family not in families:
        advice = nearest(options.family, families) or f"there are: {', '.join(families)}"
        raise Failure(f"there is no family `{options.family}`", advice)
    chosen = [
        entry
        for entry in entries
        if options.family in (None, entry.family) and _has(entry, options.words)
    ]
    if options.json:
        print(json.dumps([record(entry) for entry in chosen], indent=2))
        return 0
    if not chosen:
        words = " ".join(options.words)
        raise Failure(f"nothing has `{words}`", "`stepc list` shows all there is")
    for kind, use in USES.items():
        if any(entry.kind == kind for entry in chosen):
            print(paint(f"{kind}s", "bold") + f"   {use}\n")
            _show([entry for entry in chosen if entry.kind == kind], families)
    return 0


def _show(entries: list[Entry], families: list[str]) -> None:
    rows = [(entry.name, entry.doc, entry.paper) for entry in entries]
    lines = dict(zip(rows, table(("", "", ""), rows).splitlines()[1:], strict=True))
    for family in families:
        members = [entry for entry in entries if entry.family == family]
        if members:
            print(f"  {paint(family, 'cyan')}")
        for entry in members:
            print(f"    {lines[entry.name, entry.doc, entry.paper]}".rstrip())
        if members:
            print()


def _shelf(entry: Entry) -> tuple[bool, str]:
    return entry.kind != "optimizer", entry.family


def _has(entry: Entry, words: list[str]) -> bool:
    text = f"{entry.name} {entry.doc} {entry.family} {entry.paper}".lower()
    return all(word.lower() in text for word in words)


def record(entry: Entry) -> dict[str, str]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "family": entry.family,
        "doc": entry.doc,
        "paper": entry.paper,
        "spec": str(entry.path),
    }
