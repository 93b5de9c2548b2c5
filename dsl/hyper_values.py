"""The values that hypers have in one parameter group.

    hyper_values(model, {"lr": 1e-2, "betas": (0.8, 0.9)})
        ->  {"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 1e-08, ...}

A group is a dict with the constructor's names; what it leaves out has its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fold import Scalar, evaluate
from .model import Hyper, Model, Read

GROUP_FACTS = ("width", "depth")
OTHER_KEYS = ("initial_lr", "maximize", *GROUP_FACTS)  # what a group may hold besides hypers


def hyper_values(model: Model, group: Mapping[str, Any]) -> dict[str, Any]:
    """By the names that the spec reads. Raises ValueError for what the model does not take."""
    unknown = sorted(set(group) - {hyper.name for hyper in model.hypers} - set(OTHER_KEYS))
    if unknown:
        raise ValueError(f"{model.name} has no hyper {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for hyper in model.hypers:
        given = group[hyper.name] if hyper.name in group else _default(model, hyper, group)
        _check(model, hyper, given)
        if hyper.items:
            values |= zip(hyper.items, given, strict=True)
        else:
            values[hyper.name] = given
    return values


def _default(model: Model, hyper: Hyper, group: Mapping[str, Any]) -> Any:
    def value_of(read: Read) -> Scalar | None:
        other = next(h for h in model.hypers if read.name in (h.name, *h.items))
        value = group[other.name] if other.name in group else _default(model, other, group)
        return value[other.items.index(read.name)] if other.items else value

    if hyper.default is None:
        raise ValueError(f"{model.name} needs a value for {hyper.name}")
    if isinstance(hyper.default, tuple):
        return tuple(evaluate(item, value_of) for item in hyper.default)
    return evaluate(hyper.default, value_of)


def _check(model: Model, hyper: Hyper, value: Any) -> None:
    """Whether a value is inside the hyper's interval, or one of its choices."""
    several = hyper.type in ("tuple", "list")
    for one in value if several else (value,):
        if hyper.choices and one not in hyper.choices:
            raise ValueError(f"{model.name}: {hyper.name} is one of {', '.join(hyper.choices)}")
        if hyper.bounds is not None and one not in hyper.bounds:
            raise ValueError(f"{model.name}: {hyper.name} = {one} is outside {hyper.bounds}")
