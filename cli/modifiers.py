"""`stepc modifiers`: what each modifier adds to each optimizer, and what the two cost together.

    $ stepc modifiers AdamW Lion
    |       | alone | AdaptiveGradientClipping | Cautious | ...
    | AdamW | 1/28  | 1/28                     | 2/40     | ...

docs/modifiers.md is this for all of them, with the sections that each modifier stands in and the
order in which these run. A cell is passes over memory and bytes per float32 parameter, of the path
that needs most; `-` where the modifier does not apply.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..compiler.pipeline import plan as plan_of
from ..compiler.schedule import traffic
from ..dsl import syntax as s
from ..dsl.diagnostics import SpecError
from ..dsl.files import read_source
from ..dsl.library import SPECS, Entry, catalogue
from ..dsl.load import load
from ..dsl.parser import parse
from .declarations import find
from .failure import Failure
from .terminal import progress

EXAMPLES = """examples:
  stepc modifiers AdamW Lion                 two rows of the table
  stepc modifiers --all -o docs/modifiers.md the page, from all specs (minutes)"""

DOCS = SPECS.parent / "docs/modifiers.md"

_HEAD = """\
# Modifiers

Written by `stepc modifiers --all`; do not edit.

A modifier joins any optimizer that has what it needs: `stepc.compile("AdamW + Cautious")`, `extends
AdamW + Cautious` in a spec, and for each of them a prebuilt class in `specs/compositions.opt`.

## Order

A step runs section by section; within one, the rule and then the modifiers from left to right (in
`grad:` the modifiers come first). So the order in which they are written matters only between
modifiers that share a section:

1. `grad:` what the rule sees as the gradient. Clip before centring, as Ranger21 does, and put
   VarianceReduction first: it keeps the gradient that it is given for the next step.
2. `update:` the rule.
3. `direction:` Cautious last, so that it masks the step that is made.
4. `decay:` CautiousDecay behind every other kind of decay that it is to mask.
5. `param -= lr * direction`
6. `param:` SphereProjection before Lookahead averages points of the sphere; after it, the average
   itself is projected.
7. `after:` WeightEMA sees what is left.

`stepc explain` prints this order for any composition.
"""

_TABLE = """
## What each costs

Passes over memory / bytes per float32 parameter, on the path that needs most; `-` where the
modifier does not apply, and `stepc check` says why.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="OPTIMIZER", help="the rows (AdamW)")
    parser.add_argument("--all", action="store_true", help="every optimizer, as docs/ has it")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the page there")


def run(options: argparse.Namespace) -> int:
    rules = bases()
    for name in options.names:
        if find(name, ("optimizer",)).name not in rules:
            raise Failure(f"`{name}` is a composition", "name the optimizer that it begins with")
    names = rules if options.all else options.names or ["AdamW"]
    lines = matrix(names)
    if options.output is None:
        print("\n".join(lines))
        return 0
    options.output.write_text(page(lines), encoding="utf-8")
    print(f"wrote {options.output}: {len(names)} optimizers")
    return 0


def page(lines: Sequence[str]) -> str:
    """docs/modifiers.md with these lines for the matrix."""
    about = "| modifier | sections | states | needs |\n|---|---|---|---|"
    rows = [about, *map(_about, modifiers())]
    return "\n".join([_HEAD, "## What there is", "", *rows, _TABLE, *lines, ""])


def matrix(names: Sequence[str]) -> list[str]:
    """A Markdown table: one row an optimizer, one column a modifier."""
    columns = [entry.name for entry in modifiers()]
    lines = [f"| | alone | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    return lines + [row(name) for name in progress(names, "optimizers")]


def row(name: str) -> str:
    """One optimizer with every modifier."""
    cells = [cell(f"{name} + {entry.name}") for entry in modifiers()]
    return f"| {name} | {cell(name)} | {' | '.join(cells)} |"


def cell(what: str) -> str:
    """`2/40`: passes and bytes of a composition; `-` if it is none."""
    try:
        _, plans = plan_of(load(what))
    except SpecError:
        return "-"
    passes, moved = max((len(p.sweeps), sum(map(traffic, p.sweeps))) for p in plans)
    return f"{passes}/{moved:.4g}"


def modifiers() -> list[Entry]:
    """The shipped modifiers, the columns of the matrix."""
    return [entry for entry in catalogue() if entry.kind == "modifier"]


def bases() -> list[str]:
    """The shipped optimizers that are no composition with a modifier."""
    return [e.name for e in catalogue() if e.kind == "optimizer" and e.path.stem != "compositions"]


def _about(entry: Entry) -> str:
    """What one modifier declares: its sections, states and needs, from the syntax."""
    declared = parse(read_source(entry.path)).declarations
    node = next(d for d in declared if isinstance(d, s.Modifier) and d.name == entry.name)
    sections = [f"`{m.name}:`" for m in node.members if isinstance(m, s.Section)]
    states = [f"`{m.name}`" for m in node.members if isinstance(m, s.State)]
    needs = [f"`{n.id}`" for m in node.members if isinstance(m, s.Needs) for n in m.names]
    parts = (entry.name, *(" ".join(part) for part in (sections, states, needs)))
    return f"| {' | '.join(parts)} |"
