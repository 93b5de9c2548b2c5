"""The role of a parameter by its name and shape, as the rules of a file have it.

rules = role_rules("lib/roles.opt")
role_of(rules, "h.0.attn.q_proj.weight", (768, 768))    ->    ("query", the rule's condition)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import members
from .cells import Cells, Shape, Value
from .context import Context, Frame
from .diagnostics import Diagnostic, Report, SpecError
from .inline import inline
from .keep import Keep
from .library import SPECS, Library
from .model import Expr, Model
from .visit import Visit

RoleRules = tuple[tuple[Expr | None, str], ...]


def role_rules(path: str | Path = SPECS / "lib/roles.opt") -> RoleRules:
    """Conditions and roles of a file, those it imports behind its own; raises `SpecError`."""
    report = Report()
    library = Library(report)
    table = library.roles(library.open(Path(path)).source)
    report.check()
    if table is None:
        advice = 'write `roles:`, or import from "lib/roles.opt"'
        raise SpecError(Diagnostic("E210", f'"{path}" has no roles', None, advice))
    rules = members.roles(Context(library, report, Frame("roles", ""), inline), table)
    report.check()
    return rules


def role_of(rules: RoleRules, name: str, shape: tuple[int, ...]) -> tuple[str, Expr | None]:
    """The role of a parameter, and the condition of the rule that gave it (None: the `else`)."""
    axes = Shape(shape)
    facts = {
        "name": name,
        "numel": axes.numel,
        "rows": axes.rows,
        "cols": axes.cols,
        "ndim": len(shape),
    }
    nothing = Value(Cells("element"), np.zeros(0))
    model = Model("roles", "", "", ())
    visit = Visit(model, name, axes, facts, None, {}, nothing, nothing, Keep(), Keep(), Keep())
    return next(
        ((role, test) for test, role in rules if test is None or visit.holds(test)), ("", None)
    )
