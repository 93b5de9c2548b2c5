"""`view train` and `view eval` must be inverses: tried out with numbers.

    view eval  = lerp(param, z, 1 - 1 / beta)      param -> eval -> train gives param back
    view train = lerp(param, z, 1 - beta)

Element arithmetic only; views with reductions or matrices are not tried.
"""

from __future__ import annotations

import math
import random

from .context import Context
from .defaults import value_of_default
from .fold import Scalar, Unknown, evaluate
from .model import Expr, Model, Read, View

_TRIALS = 8


def check_views(c: Context, model: Model) -> None:
    views = {view.name: view for view in model.views}
    train, shown = views.get("train"), views.get("eval")
    if train is None or shown is None:
        return
    for there, back in ((shown, train), (train, shown)):
        if not _inverse(c, model, there, back):
            assert not isinstance(back.value, tuple)
            c.error(
                "E414",
                f"`view {back.name}` does not undo `view {there.name}`",
                back.value.span,
                "each must give back the parameter that the other was given",
            )
            return


def _inverse(c: Context, model: Model, there: View, back: View) -> bool:
    """Whether `back` after `there` is the identity at some random points."""
    if isinstance(there.value, tuple) or isinstance(back.value, tuple):
        return True
    chance = random.Random(0)
    for _ in range(_TRIALS):
        names: dict[str, float] = {}
        start = chance.uniform(-2, 2)
        try:
            between = _value(c, model, there.value, start, names, chance)
            end = _value(c, model, back.value, between, names, chance)
        except Unknown:
            return True
        if math.isfinite(end) and abs(end - start) > 1e-6 * (1 + abs(start) + abs(between)):
            return False
    return True


def _value(
    c: Context,
    model: Model,
    expr: Expr,
    param: float,
    names: dict[str, float],
    chance: random.Random,
) -> float:
    default = value_of_default(model.hypers)

    def value_of(read: Read) -> Scalar | None:
        if read.kind == "param":
            return param
        if read.kind == "hyper":
            return default(read)
        if read.kind == "local" and read.name in c.lets:
            return evaluate(c.lets[read.name], value_of)
        return names.setdefault(read.name, chance.uniform(0.5, 2))

    value = evaluate(expr, value_of)
    if isinstance(value, str):
        raise Unknown
    return float(value)
