"""Loading checkpoints: checked before anything changes, and with every dtype kept.

torch casts floating-point states to the parameter's dtype when it loads them, which would round
float32 moments beside bfloat16 parameters. So tensors pass through its code wrapped up: a hook that
runs last wraps and checks them, `__setstate__` unwraps them on the parameter's device.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import capture, cells, hyper
from .cells import kind
from .dtypes import stored
from .facts import Facts
from .path import Coded, Path, Stream

if TYPE_CHECKING:
    from .optimizer import CompiledOptimizer

StateDict = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Wrapped:
    """A tensor that torch must not cast, and the dtype it will have."""

    tensor: Tensor
    dtype: torch.dtype


@contextmanager
def checked(optimizer: CompiledOptimizer) -> Generator[None, None, None]:
    """Inside, what the optimizer loads is matched by name, checked, and wrapped."""

    def hook(_: object, state_dict: StateDict) -> StateDict:
        return _prepare(optimizer, state_dict)

    handle = optimizer.register_load_state_dict_pre_hook(hook)  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        handle.remove()


def unpack(state: Mapping[Any, Any], groups: Sequence[dict[str, Any]]) -> None:
    """Unwrap what `checked` wrapped: a copy on the parameter's device."""
    for param, entries in state.items():
        for name, value in entries.items() if isinstance(entries, dict) else ():  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            if isinstance(value, _Wrapped):
                entries[name] = _placed(value, param)
    for group in groups:
        devices = [param.device for param in group["params"]]
        for name, value in group.items():
            if isinstance(value, _Wrapped) and devices:
                group[name] = value.tensor.to(devices[0], value.dtype, copy=True)


def _placed(value: _Wrapped, param: Tensor) -> Tensor:
    """A copy on the parameter's device; its elements lie in memory as the parameter's do."""
    tensor = value.tensor
    if tensor.shape == param.shape and tensor.stride() != param.stride():
        return torch.empty_like(param, dtype=value.dtype, requires_grad=False).copy_(tensor)
    return tensor.to(param.device, value.dtype, copy=True)


def _prepare(optimizer: CompiledOptimizer, state_dict: StateDict) -> StateDict:
    groups: list[dict[str, Any]] = [dict(group) for group in state_dict["param_groups"]]
    _check_sizes(optimizer, groups)
    _check_hypers(optimizer, groups)
    state = _by_name(optimizer, groups, dict(state_dict["state"]))
    known = _streams(optimizer.paths)
    for codec in optimizer.coded:  # numbers are encoded when a path wants codes
        known[codec.state].append(Stream(codec.state))
    places = [place for group in groups for place in group["params"]]
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for place, param in zip(places, params, strict=True):
        if place in state:
            label = f"{type(optimizer).__name__}: the state of parameter {place}"
            state[place] = _entries(state[place], param, known, optimizer.host_states, label)
            _check_codes(optimizer.coded, state[place], label)
    for group in groups:
        for name, value in group.items():
            if isinstance(value, Tensor) and name in known:
                group[name] = _Wrapped(value, stored(known[name][0].dtype, params[0].dtype))
    return {**state_dict, "param_groups": groups, "state": state}


def _check_hypers(optimizer: CompiledOptimizer, groups: list[dict[str, Any]]) -> None:
    name = type(optimizer).__name__
    merged = [{**optimizer.defaults, **group} for group in groups]
    for group in merged:
        hyper.fill(optimizer.hypers, group)
        hyper.check(optimizer.hypers, group, name)
        capture.check(optimizer, group)
    hyper.check_agreement(optimizer.hypers, merged, name)


def _check_sizes(optimizer: CompiledOptimizer, groups: list[dict[str, Any]]) -> None:
    ours = optimizer.param_groups
    if len(groups) != len(ours):
        raise ValueError(
            f"loaded state dict has a different number of parameter groups: {len(groups)}, "
            f"not {len(ours)}"
        )
    for number, (theirs, mine) in enumerate(zip(groups, ours, strict=True)):
        if len(theirs["params"]) != len(mine["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {number} has {len(theirs['params'])} parameters, "
                f"not {len(mine['params'])}"
            )


# ---------------------------------------------------------------- names


def _by_name(
    optimizer: CompiledOptimizer, groups: list[dict[str, Any]], state: dict[Any, Any]
) -> dict[Any, Any]:
    """The saved states keyed as if saved in our order, where both sides know the names."""
    saved = _names(groups)
    wanted = _names(optimizer.param_groups)
    if saved is None or wanted is None or saved == wanted or not set(saved) & set(wanted):
        return state
    if set(saved) != set(wanted):
        missing = ", ".join(sorted(set(wanted) - set(saved))) or "none"
        surplus = ", ".join(sorted(set(saved) - set(wanted))) or "none"
        raise ValueError(
            f"{type(optimizer).__name__}: the loaded state dict names other parameters; "
            f"only here: {missing}; only there: {surplus}"
        )
    places = [place for group in groups for place in group["params"]]
    place_of = dict(zip(saved, places, strict=True))
    for group, mine in zip(groups, optimizer.param_groups, strict=True):
        group["param_names"] = list(mine["param_names"])
    moved = {
        place: state[place_of[name]]
        for place, name in zip(places, wanted, strict=True)
        if place_of[name] in state
    }
    return {**{k: v for k, v in state.items() if k not in place_of.values()}, **moved}


def _names(groups: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """All names in order; None if some parameter has none, or two have the same."""
    names: list[str] = []
    for group in groups:
        if "param_names" not in group:
            return None
        names += group["param_names"]
    return names if len(set(names)) == len(names) else None


# ---------------------------------------------------------------- entries


def _streams(paths: Sequence[Path]) -> dict[str, list[Stream]]:
    """Every state a path may have, by name; a name may be stored in different ways."""
    found: dict[str, list[Stream]] = {}
    for path in paths:
        for stream in path.streams:
            if stream.kind == "state" and stream not in found.setdefault(stream.name, []):
                found[stream.name].append(stream)
    return found


def _entries(
    entries: Mapping[str, Any],
    param: Tensor,
    known: Mapping[str, list[Stream]],
    hosts: Mapping[str, str],
    label: str,
) -> dict[str, Any]:
    """One tensor's states, each checked against its declaration and wrapped."""
    checked: dict[str, Any] = {}
    for name, value in entries.items():
        if name == "step":
            checked[name] = _step(value, label)
        elif name in known:
            checked[name] = _fitting(name, value, param, known[name], label)
        elif name in hosts:
            checked[name] = float(value)
        else:
            there = ", ".join(sorted([*known, *hosts])) or "none besides step"
            raise ValueError(f"{label} has `{name}`, which is no state of it; they are: {there}")
    if checked and "step" not in checked:
        raise ValueError(f"{label} lacks `step`")
    return checked


def _check_codes(coded: Sequence[Coded], entries: Mapping[str, Any], label: str) -> None:
    """Raise for codes without their scales, which would read back as nothing."""
    for codec in coded:
        held = entries.get(codec.state)
        if held is None or held.dtype.is_floating_point:
            continue
        parts = [c for c in coded if c.state == codec.state]
        needed = [{stream.name for stream in c.streams} for c in parts]
        if not any(names <= set(entries) for names in needed):
            missing = ", ".join(sorted(min(needed, key=len) - set(entries)))
            raise ValueError(f"{label} has codes of `{codec.state}` without their {missing}")


def _step(value: Any, label: str) -> int:
    try:
        step = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{label} has a `step` that is no number: {value!r}") from None
    if not step.is_integer() or step < 0:
        raise ValueError(f"{label} has a `step` that counts nothing: {value!r}")
    return int(step)


def _fitting(
    name: str, value: Any, param: Tensor, streams: Sequence[Stream], label: str
) -> _Wrapped:
    if not isinstance(value, Tensor):
        raise ValueError(f"{label} has a `{name}` that is no tensor: {type(value).__name__}")
    problems: list[str] = []
    for stream in streams:
        dtype = stored(stream.dtype, param.dtype)
        problem = _problem(value, stream, dtype, param)
        if not problem:
            return _Wrapped(value, dtype)
        problems.append(problem)
    raise ValueError(f"{label} has a `{name}` of {'; or of '.join(problems)}")


def _problem(value: Tensor, stream: Stream, dtype: torch.dtype, param: Tensor) -> str:
    """What is wrong with a loaded state, in words; empty if nothing."""
    if value.is_floating_point() != dtype.is_floating_point or value.is_complex():
        return f"dtype {value.dtype}, not {dtype}"
    if not dtype.is_floating_point and value.dtype != dtype:
        return f"dtype {value.dtype}, not {dtype}"
    shape = _shape(stream, param)
    if shape is not None and tuple(value.shape) != shape:
        return f"shape {tuple(value.shape)}, not {shape}"
    if shape is None and value.ndim != (2 if kind(stream.level) == "matrix" else 1):
        what = "a matrix" if kind(stream.level) == "matrix" else "one number per cell"
        return f"shape {tuple(value.shape)}, not {what}"
    return ""


def _shape(stream: Stream, param: Tensor) -> tuple[int, ...] | None:
    """The shape a state must have; None if only the host can say."""
    sizes = () if isinstance(stream.level, str) else stream.level[1:]
    if any(isinstance(size, str) for size in sizes):
        return None
    return cells.shape(stream.level, Facts("", 0, tuple(param.shape), "", ""))
