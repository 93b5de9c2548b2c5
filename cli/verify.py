"""`stepc verify`: a spec's compiled optimizer against its equations, on random and nasty inputs.

    $ stepc verify my.opt
    target  programs  largest error  where
    c            100           2.31  m 0[12] after step 3: ...

Errors are in roundings of the parameter's dtype at the size of the result; see trial.py.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..compiler.door import class_from_text
from ..compiler.pipeline import build
from ..dsl.diagnostics import SpecError
from ..dsl.load import load
from ..dsl.model import Apply, Expr, Model, walk
from ..dsl.structure import expressions, steps
from ..runtime.c import find_compiler
from .terminal import paint, progress, table
from .trial import Snapshot, Trial, Worst, compare, draw, exact, measured

EXAMPLES = """examples:
  stepc verify my.opt                     100 programs for each target
  stepc verify "AdamW + Cautious" --programs 1000 --seed 1
  stepc verify my.opt --json"""

LIMIT = 64.0  # roundings: four steps, each of some twenty operations
ASTRAY = 0.005  # the share of values that may be further off, if the rule decides anything
SCALE = 2.0**-23  # a codec's scales and codes are float32, whatever the parameter is
SLOW = 8  # Triton's interpreter runs one program in so many

_DECISIONS = frozenset(
    "sign sign_bit floor ceil where eq ne lt le gt ge and or not count member match".split()
)


@dataclass(slots=True)
class Result:
    """One target, over all programs."""

    target: str
    programs: int = 0
    worst: Worst = field(default_factory=Worst)
    failures: list[str] = field(default_factory=list[str])


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="FILE|NAME|COMPOSITION")
    parser.add_argument("--programs", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the first program (0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    model = load(options.what)
    optimizer = class_from_text(model.name, build(model).module)
    results = [Result(target) for target in targets()]
    share = ASTRAY if decides(model) else 0.0
    seeds = range(options.seed, options.seed + options.programs)
    os.environ["TRITON_INTERPRET"] = "1"  # a kernel reads it when it first runs
    for seed in progress(seeds, f"{model.name}, {options.programs} programs"):
        trial = draw(seed, model)
        chosen = [r for r in results if r.target != "triton" or interpretable(trial)]
        attempt(model, optimizer, trial, chosen, share)
    wrong = [result for result in results if result.failures]
    if options.json:
        print(json.dumps({"ok": not wrong, "targets": [asdict(r) for r in results]}, indent=2))
        return 1 if wrong else 0
    print(table(("target", "programs", "largest error", "where"), [row(r) for r in results]))
    for result in wrong:
        print(
            paint(f"\n{result.target}: {len(result.failures)} programs differ; the first:", "red")
        )
        print(result.failures[0])
    if not wrong:
        print(paint("every target agrees with the equations", "green"))
    print("Errors are in roundings of the parameter's dtype, at the size of the result.")
    return 1 if wrong else 0


def targets() -> list[str]:
    """The targets that this machine can run."""
    found = ["c"] if find_compiler() else []
    return [*found, "torch", *(["triton"] if find_spec("triton") else [])]


def interpretable(trial: Trial) -> bool:
    """Triton's interpreter is slow, and rounds bfloat16 wrongly."""
    return trial.dtype != "bfloat16" and trial.seed % SLOW == 0


def attempt(
    model: Model, optimizer: type[Any], trial: Trial, results: list[Result], share: float
) -> None:
    """Run one program everywhere, and enter what was found."""
    spacing = max(trial.spacing, SCALE) if model.storage else trial.spacing
    right = outcome(lambda: exact(model, trial))
    nudged = outcome(lambda: exact(model, trial, nudged=True))
    for result in results:
        result.programs += 1
        made = outcome(lambda target=result.target: measured(optimizer, trial, target))
        if isinstance(right, str) or isinstance(nudged, str) or isinstance(made, str):
            if isinstance(right, str) != isinstance(made, str):
                result.failures.append(f"  {trial}\n  equations: {said(right)}; here: {said(made)}")
            continue
        worst = compare(right, nudged, made, spacing, LIMIT)
        allowed = max(1.0, share * worst.values) if share else 0
        if worst.astray > allowed:
            result.failures.append(
                f"  {trial}\n  {worst.where}\n  {worst.roundings:.3g} roundings off; "
                f"{worst.astray} of {worst.values} values are more than {LIMIT:g} off"
            )
        result.worst.add(worst)


def outcome(work: Callable[[], list[Snapshot]]) -> list[Snapshot] | str:
    """What was computed, or why the tensors or hypers were refused."""
    try:
        with np.errstate(all="ignore"):
            return work()
    except (ValueError, SpecError) as refusal:
        return f"refused, {refusal}"


def said(result: list[Snapshot] | str) -> str:
    return result if isinstance(result, str) else "computed"


def decides(model: Model) -> bool:
    """Whether anything in the rule can fall on one side or the other by a rounding."""
    models = [model, *(branch.model for branch in model.route)]
    return any(
        m.storage
        or m.rounding.how != "nearest"
        or any(is_decision(expr) for stmt in steps(m.body) for expr in expressions(stmt))
        for m in models
    )


def is_decision(expr: Expr) -> bool:
    """Whether some value of it, computed from data, is one of a few."""
    return any(isinstance(e, Apply) and e.op in _DECISIONS and not e.host for e in walk(expr))


def row(result: Result) -> tuple[str, ...]:
    worst = result.worst
    return (result.target, str(result.programs), f"{worst.roundings:.3g}", worst.where)
