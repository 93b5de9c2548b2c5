"""`stepc gallery`: pages of equations, defaults, states, costs, and ways to the minimum.

docs/gallery/README.md   every optimizer and modifier, by family
docs/gallery/adam.md     one page a family: equations rendered from the specs
docs/gallery/AdamW.png   its path on two test functions
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..dsl.library import Entry, catalogue
from .declarations import find
from .gallery_page import page
from .terminal import progress

EXAMPLES = """examples:
  stepc gallery -o docs/gallery            everything
  stepc gallery -o page AdamW Lion         two optimizers
  stepc gallery -o docs/gallery --no-plots the text alone"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="optimizers and modifiers (all)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--no-plots", action="store_true", help="write the pages, draw nothing")


def run(options: argparse.Namespace) -> int:
    chosen = list(map(find, options.names)) or catalogue()
    options.output.mkdir(parents=True, exist_ok=True)
    if not options.no_plots:
        from ..demo.trajectories import draw

        drawn = [e.name for e in chosen if e.kind == "optimizer"]
        for name in progress(drawn, "trajectories"):
            draw(name, options.output / f"{name}.png")
    for name, text in pages(chosen):
        (options.output / name).write_text(text, encoding="utf-8")
    print(f"wrote {options.output / 'README.md'}: {len(chosen)} entries")
    return 0


def pages(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """File names and texts: the index, and a page for each family."""
    families = sorted({entry.family for entry in entries})
    yield "README.md", index(entries, families)
    for family in families:
        members = [entry for entry in entries if entry.family == family]
        yield f"{family}.md", f"# {title(family)}\n\n" + "\n".join(map(page, members))


def index(entries: Sequence[Entry], families: Sequence[str]) -> str:
    """README.md: a table of the optimizers and one of the modifiers, family by family."""
    lines = ["# Gallery", "", "Written by `make gallery` from the specs; do not edit.", ""]
    for kind in ("optimizer", "modifier"):
        lines += [f"## {kind.title()}s", "", "| name | family | what it is |", "|---|---|---|"]
        for family in families:
            for entry in entries:
                if (entry.kind, entry.family) == (kind, family):
                    link = f"[{entry.name}]({family}.md#{entry.name.lower()})"
                    lines.append(f"| {link} | {title(family)} | {entry.doc} |")
        lines.append("")
    return "\n".join(lines)


def title(family: str) -> str:
    return family.replace("_", " ")
