"""The end of a step: what was written goes to storage, rounded once.

    m (float64, exact)   ->   float32, or through the codec that `quantize m: ...` names
    param                ->   its dtype; `round param:` says how: nearest, stochastic, kahan, master

Where a guard did not hold, nothing is written (host states go on: the host, like `t`, does not know
of the guard). What a state reads back as is the value that the next step begins with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import ELEMENT, Array, Value
from .codes import read_back
from .keep import Keep
from .model import Rounding, State, Storage
from .storage import joined, kahan, round_to, split, stochastic
from .visit import Visit

KAHAN, MASTER, REMAINDER = "param.kahan", "param.master", "param.remainder"


def real(dtype: str) -> str:
    """The dtype of a state that names none, beside a parameter of that dtype."""
    return "float64" if dtype == "float64" else "float32"


def create_state(visit: Visit, state: State, value: Value, dtype: str) -> None:
    """A state begins: `dtype` is what it has if it names none."""
    keep = visit.keep(state)
    if state.host:
        keep.hosted.add(state.name)
    keep.before[state.name] = keep.present[state.name] = value
    keep.stored[state.name] = _as_stored(visit, state, value, dtype)


def write_state(visit: Visit, state: State, dtype: str) -> None:
    """Store the present value, once for all tensors that share the state."""
    keep = visit.keep(state)
    if state.name in keep.written and (state.host or not keep.blocked):
        keep.stored[state.name] = _as_stored(visit, state, keep.present[state.name], dtype)
        keep.written.remove(state.name)


def _as_stored(visit: Visit, state: State, value: Value, dtype: str) -> Value:
    if state.host:
        return value
    codec, options = "none", dict[str, Any]()
    line = _storage_line(visit, state)
    if line is not None:
        codec = line.codec
        options = {name: int(visit.size(option)) for name, option in line.options}
    cols = int(visit.facts["cols"]) if codec != "none" else 1
    data = read_back(value.data, state.dtype or dtype, codec, options, cols)
    return Value(value.cells, data)


def _storage_line(visit: Visit, state: State) -> Storage | None:
    """The last line that names the state and holds."""
    for line in reversed(visit.model.storage):
        if line.names(state) and (line.condition is None or visit.holds(line.condition)):
            return line
    return None


# ---------------------------------------------------------------- the parameter


def read_param(keep: Keep, value: Array, dtype: str, rounding: Rounding) -> Value:
    """What `param` stands for as a step begins: the stored value, with what was split off it, or
    its master copy."""
    value = value.reshape(-1)
    if REMAINDER in keep.stored:
        value = joined(value, keep.stored[REMAINDER].data, dtype, rounding.bits)
    return keep.stored.get(MASTER, Value(ELEMENT, value))


def write_param(visit: Visit, old: Array, dtype: str, seed: int, index: int) -> Array:
    """The parameter's new stored values; `old` are the present ones, `index` its place."""
    rounding, keep, shape = visit.model.rounding, visit.own, old.shape
    how = "split" if rounding.bits < 32 else rounding.how
    if how in ("master", "split") and real(dtype) == dtype:
        how = "nearest"  # nothing is lost that could be kept
    new, old = visit.param.data, old.reshape(-1)
    if how == "kahan" and KAHAN not in keep.stored:
        keep.stored[KAHAN] = Value(ELEMENT, np.zeros(old.size))
    if how == "master" and MASTER not in keep.stored:
        keep.stored[MASTER] = Value(ELEMENT, old)
    if how == "split" and REMAINDER not in keep.stored:
        keep.stored[REMAINDER] = Value(ELEMENT, np.zeros(old.size))
    if not visit.wrote_param or keep.blocked:
        return old.reshape(shape)
    match how:
        case "stochastic":
            rounded = stochastic(new, dtype, seed, visit.facts["t"], index)
        case "kahan":
            rounded, lost = kahan(old, new, keep.stored[KAHAN].data, dtype)
            keep.stored[KAHAN] = Value(ELEMENT, lost)
        case "master":
            exact = round_to(new, real(dtype))
            keep.stored[MASTER] = Value(ELEMENT, exact)
            rounded = round_to(exact, dtype)
        case "split":
            rounded, rest = split(new, dtype, rounding.bits)
            keep.stored[REMAINDER] = Value(ELEMENT, rest)
        case _:
            rounded = round_to(new, dtype)
    return rounded.reshape(shape)
