"""Asking `host`: once for all tensors of a group that it cannot tell apart.

    sort_out(optimizer)              every parameter with a gradient, and its cohort
    ask(optimizer, cohorts)          the answer for each cohort

A cohort's tensors have equal facts, as far as `host` reads them, the same number of steps behind
them and the same numbers on the host. So as long as they step together they stay a cohort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import capture, hyper
from .collect import usable_grad
from .facts import Facts, facts_read
from .path import Choice
from .scalar import number

if TYPE_CHECKING:
    from .optimizer import CompiledOptimizer

States = Mapping[Tensor, dict[str, Any]]

NOTHING = Choice(-1)  # for a tensor without elements: `host` may divide by its size


@dataclass(slots=True)
class Cohort:
    """Tensors of one group with equal answers; `fact` is the first one's."""

    place: int  # of the group
    fact: Facts
    params: list[Tensor] = field(default_factory=list[Tensor])


@dataclass(slots=True)
class Entry:
    """A parameter that has a gradient, and the number of its cohort."""

    param: Tensor
    fact: Facts
    cohort: int


def sort_out(
    optimizer: CompiledOptimizer, facts: dict[Tensor, Facts]
) -> tuple[list[Entry], list[Cohort]]:
    """Every parameter that has a gradient, in order, and the cohorts they form. `facts` are those
    of the steps before."""
    name = type(optimizer).__name__
    read = facts_read(optimizer.host)
    entries: list[Entry] = []
    cohorts: list[Cohort] = []
    places: dict[object, int] = {}
    waited: dict[int, float] = {}
    index = 0
    for group_place, group in enumerate(optimizer.param_groups):
        for place, param in enumerate(group["params"]):
            if param.grad is None:
                continue
            usable_grad(param, name)
            fact = _fact(optimizer, facts, param, group, place, index + place)
            state = optimizer.state.get(param, {})
            counted = [state[n] for n in ("step", *optimizer.host_states) if n in state]
            numbers = [capture.plain(value, waited) for value in counted]
            told = [getattr(fact, n) for n in read or ()]
            apart = (
                group_place,
                *state,
                *numbers,
                fact.numel > 0,
                *told,
                None if read is not None else index + place,
                param.device if group["capturable"] else None,
            )
            cohort = places.setdefault(apart, len(cohorts))
            if cohort == len(cohorts):
                cohorts.append(Cohort(group_place, fact))
            cohorts[cohort].params.append(param)
            entries.append(Entry(param, fact, cohort))
        index += len(group["params"])
    return entries, cohorts


def _fact(
    optimizer: CompiledOptimizer,
    kept: dict[Tensor, Facts],
    param: Tensor,
    group: dict[str, Any],
    place: int,
    index: int,
) -> Facts:
    """What is known of a tensor; kept while its shape and role are the same."""
    fact = kept.get(param)
    role = group.get("role", "")
    if fact is None or fact.shape != param.shape or fact.given_role != role:
        names = group.get("param_names")
        name = names[place] if names else ""
        fact = kept[param] = Facts(type(optimizer).__name__, index, tuple(param.shape), name, role)
        fact.role = role or optimizer.role_of(fact)
    fact.param_is_narrow = param.element_size() == 2
    return fact


def ask(optimizer: CompiledOptimizer, states: States, cohorts: Iterable[Cohort]) -> list[Choice]:
    """What `host` answers for each cohort, whose first tensor's state is up to date. Nothing is
    changed: a refusal must not leave half a step behind."""
    groups = optimizer.param_groups
    hypers: dict[object, dict[str, Any]] = {}
    answers: list[Choice] = []
    for cohort in cohorts:
        group, fact, param = groups[cohort.place], cohort.fact, cohort.params[0]
        device = param.device if group["capturable"] else None
        given = hypers.get((cohort.place, device))
        if given is None:
            given = hypers[cohort.place, device] = (
                hyper.numbers(optimizer.hypers, group)
                if device is None
                else capture.hypers(optimizer.hypers, group, device)
            )
        _tell(fact, group, groups[0], given, states.get(param, {}), device)
        answers.append(_answer(optimizer, given, fact, device) if fact.numel else NOTHING)
        fact.homes = {}  # so that nobody but the optimizer has a state
    return answers


def _tell(
    fact: Facts,
    group: dict[str, Any],
    first: dict[str, Any],
    hypers: dict[str, Any],
    state: dict[str, Any],
    device: torch.device | None,
) -> None:
    """Bring up to date what changes from step to step; on a `device` if it is to stay there."""
    fact.first = not state
    step, base_lr = state.get("step", 0), group.get("initial_lr", hypers.get("lr", 0.0))
    fact.t = int(step) + 1 if device is None else number(step + 1, device)
    fact.base_lr = float(base_lr) if device is None else base_lr
    fact.grad_scale = -1.0 if group["maximize"] else 1.0
    fact.seed = group.get("seed", 0)
    fact.lr = hypers.get("lr", 0.0)
    fact.homes = {"global": first, "group": group, "tensor": state}


def _answer(
    optimizer: CompiledOptimizer, hypers: dict[str, Any], fact: Facts, device: torch.device | None
) -> Choice:
    states: dict[str, Any] = {
        name: fact.homes[level][name]
        for name, level in optimizer.host_states.items()
        if name in fact.homes[level]
    }
    try:
        if device is None:
            return optimizer.host(hypers, fact, states)
        assert optimizer.on_device is not None
        return optimizer.on_device(hypers, fact, states)
    except ArithmeticError as error:
        raise ValueError(f"{fact}: a number of this step does not exist: {error}") from error


def settle(
    optimizer: CompiledOptimizer, states: States, cohort: Cohort, choice: Choice
) -> dict[str, Any]:
    """Count the step, and keep what `host` computed for groups; returns the numbers that each
    tensor's state is to hold. A number on a device is written where it lies."""
    group, first = optimizer.param_groups[cohort.place], optimizer.param_groups[0]
    state = states[cohort.params[0]]
    new: dict[str, Any] = {}
    if choice is NOTHING or optimizer.paths[choice.path].counts:
        new["step"] = cohort.fact.t
    for name, value in choice.hosts.items():
        match optimizer.host_states.get(name):
            case "global":
                first[name] = value
            case "group":
                group[name] = value
            case _:
                new[name] = value
    for name, value in list(new.items()):
        if isinstance(value, Tensor):
            if isinstance(held := state.get(name), Tensor):
                held.copy_(value)
                del new[name]
            else:
                new[name] = value.clone()
    return new
