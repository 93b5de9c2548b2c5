"""Checking hypers: that each value is of its kind and inside its interval.

    check(AdamW.hypers, group, "AdamW")     ValueError: AdamW: lr = -1.0 is outside [0, inf)

Also fills in what a group leaves open (`derived`), and says which hypers groups may not differ in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .path import Hyper


def fill(hypers: Sequence[Hyper], group: dict[str, Any]) -> None:
    """Compute the hypers that are derived from others and were not given."""
    for hyper in hypers:
        if hyper.derived is not None and group[hyper.name] is None:
            try:
                group[hyper.name] = hyper.derived(numbers(hypers, group))
            except (ArithmeticError, ValueError):
                continue  # another is out of its bounds, as `check` will say


def check(hypers: Sequence[Hyper], group: Mapping[str, Any], optimizer: str) -> None:
    """Raise for the first hyper of a group that is not what its declaration says."""
    for hyper in hypers:
        value = group[hyper.name]
        if hyper.type in ("tuple", "list"):
            _check_length(hyper, value, optimizer)
            names = hyper.items or tuple(f"{hyper.name}[{k}]" for k in range(len(value)))
            for name, item in zip(names, value, strict=True):
                _check_number(hyper, name, item, optimizer)
        elif hyper.type == "choice":
            if value not in hyper.choices:
                known = ", ".join(map(repr, hyper.choices))
                raise ValueError(f"{optimizer}: {hyper.name} = {value!r} is not one of {known}")
        elif hyper.type == "bool":
            if not isinstance(value, bool):
                raise TypeError(f"{optimizer}: {hyper.name} = {value!r} is not True or False")
        else:
            _check_number(hyper, hyper.name, value, optimizer)


def _check_length(hyper: Hyper, value: Any, optimizer: str) -> None:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{optimizer}: {hyper.name} = {value!r} is not a {hyper.type} of numbers")
    if hyper.type == "tuple" and len(value) != len(hyper.items):  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError(
            f"{optimizer}: {hyper.name} = {value!r} must have {len(hyper.items)} parts, "
            f"({', '.join(hyper.items)})"
        )


def _check_number(hyper: Hyper, name: str, value: Any, optimizer: str) -> None:
    if isinstance(value, torch.Tensor) and value.numel() != 1:
        raise ValueError(f"{optimizer}: Tensor {name} must be 1-element, not {value.numel()}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{optimizer}: {name} = {value!r} is not a number") from None
    if hyper.type == "int" and not number.is_integer():
        raise ValueError(f"{optimizer}: {name} = {value!r} is not a whole number")
    above = number >= hyper.low if hyper.low_closed else number > hyper.low
    below = number <= hyper.high if hyper.high_closed else number < hyper.high
    if not (above and below):
        raise ValueError(f"{optimizer}: {name} = {value!r} is outside {interval(hyper)}")


def interval(hyper: Hyper) -> str:
    """The interval as the spec writes it; infinity is never reached, so its bracket is round."""
    left = "[" if hyper.low_closed and hyper.low != float("-inf") else "("
    right = "]" if hyper.high_closed and hyper.high != float("inf") else ")"
    return f"{left}{hyper.low:g}, {hyper.high:g}{right}"


def check_agreement(
    hypers: Sequence[Hyper], groups: Sequence[Mapping[str, Any]], optimizer: str
) -> None:
    """Raise if groups differ in a hyper that reaches a value they all share."""
    for hyper in hypers:
        if not hyper.agree:
            continue
        for number, group in enumerate(groups):
            if group[hyper.name] != groups[0][hyper.name]:
                raise ValueError(
                    f"{optimizer}: {hyper.name} must be the same in all parameter groups, for it "
                    f"reaches a value they share; group 0 has {groups[0][hyper.name]!r}, "
                    f"group {number} has {group[hyper.name]!r} (E601)"
                )


def numbers(hypers: Sequence[Hyper], group: Mapping[str, Any]) -> dict[str, Any]:
    """A group's hypers as `host` reads them: tensors (a tensor `lr`) as Python numbers."""
    return {
        hyper.name: value
        if type(value := group[hyper.name]) is float
        else _number(hyper.name, value)
        for hyper in hypers
    }


def _number(name: str, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element, not {value.numel()}")
        return value.item()
    if isinstance(value, (tuple, list)):
        return tuple([x if type(x) is float else _number(name, x) for x in value])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value
