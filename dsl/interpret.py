"""The naive interpreter: it defines what a spec means.

    tensors = [Tensor("weight", np.ones((3, 4))), Tensor("bias", np.zeros(3))]
    run = Interpreter(load("AdamW"), tensors, [{"lr": 1e-2}])
    run.step([grad_of_weight, None])          # None: no gradient, the tensor is left untouched
    tensors[0].value, run.states[0]["m"]

Everything is float64, in the order of the text, for all tensors in lockstep: a statement runs for
every tensor that reaches it before the next one runs, so a reduction `per global` sees them all.
Values are rounded to their storage once, at the end of the step. It is meant to be read: nothing is
fused, cached or reused, and it shares no code with the compiler.

Read on in stages.py (the order of a step), lockstep.py (statements), visit.py (names and
expressions of one tensor), cells.py (levels), evaluate.py (operations), writeback.py and storage.py
(what is kept).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .cells import ELEMENT, GLOBAL, Array, Shape, Value
from .hyper_values import GROUP_FACTS, hyper_values
from .keep import Keep
from .lockstep import evaluate, run
from .model import Model, State
from .stages import STAGES, refuse, stage_of, statements
from .storage import round_to
from .visit import Visit
from .writeback import create_state, read_param, write_param, write_state


@dataclass(slots=True)
class Tensor:
    """A parameter. `value` holds numbers that `dtype` has; `group` is the place of its group in
    the list of groups; without a `role` it has the one that the spec's rules find."""

    name: str
    value: Array
    dtype: str = "float32"
    group: int = 0
    role: str | None = None


class Interpreter:
    """Runs a model step by step. `groups` are dicts of hypers by the constructor's names; they may
    be changed between steps, as a schedule does, and may hold `initial_lr`, `maximize`, and the
    facts `width` and `depth`."""

    def __init__(
        self,
        model: Model,
        tensors: Sequence[Tensor],
        groups: Sequence[dict[str, Any]] = ({},),
        seed: int = 0,
    ):
        refuse(model)
        for group in groups:
            hyper_values(model, group)
        for tensor in tensors:
            tensor.value = round_to(tensor.value, tensor.dtype)
        self.model, self.tensors, self.groups, self.seed = model, tensors, groups, seed
        self.t = [0] * len(tensors)  # the steps that each tensor has taken
        self._called = [False] * len(tensors)
        self._own = [Keep() for _ in tensors]
        self._group = [Keep() for _ in groups]
        self._common = Keep()

    # ------------------------------------------------------------ what is kept

    @property
    def states(self) -> list[dict[str, Array | float]]:
        """Per tensor what storage reads back: states like the parameter in its shape, others as
        one number per cell or in their own shape, host states as floats."""
        own = zip(self._own, self.tensors, strict=True)
        return [_shown(keep, tensor.value.shape) for keep, tensor in own]

    @property
    def group_states(self) -> list[dict[str, Array | float]]:
        """The states that exist once per group."""
        return [_shown(keep, ()) for keep in self._group]

    @property
    def global_states(self) -> dict[str, Array | float]:
        """The states that exist once."""
        return _shown(self._common, ())

    # ------------------------------------------------------------ a step

    def step(self, grads: Sequence[Array | None], loss: float | None = None) -> None:
        """One call of the optimizer. Tensors without a gradient, and empty ones, are left alone.
        A rule that reads the loss must be given one."""
        if loss is not None:
            self._common.stored["loss"] = Value(GLOBAL, np.asarray(loss, dtype=np.float64))
        for keep in (*self._own, *self._group, self._common):
            keep.begin()
        with np.errstate(all="ignore"):
            called = {
                index: self._visit(index, np.asarray(grad, dtype=np.float64))
                for index, (tensor, grad) in enumerate(zip(self.tensors, grads, strict=True))
                if grad is not None and tensor.value.size
            }
            visits = list(called.values())
            models = {id(visit.model): visit.model for visit in visits}
            for stage in STAGES:
                self._begin_states(visits, stage)
                run(
                    [
                        ([v for v in visits if v.model is model], statements(model, stage))
                        for model in models.values()
                    ]
                )
            for index, visit in called.items():
                self._finish(index, visit)

    def _visit(self, index: int, grad: Array) -> Visit:
        """A tensor as the step finds it, with the model it follows."""
        tensor = self.tensors[index]
        group, shape = self.groups[tensor.group], Shape(tensor.value.shape)
        if grad.shape != shape.axes:
            raise ValueError(f"{tensor.name}: a gradient {grad.shape} for a tensor {shape.axes}")
        hypers = hyper_values(self.model, group)
        initial_lr = group.get("initial_lr")
        facts = {
            "t": self.t[index] + 1,
            "first": not self._called[index],
            "base_lr": hypers.get("lr") if initial_lr is None else initial_lr,
            "name": tensor.name,
            "numel": shape.numel,
            "rows": shape.rows,
            "cols": shape.cols,
            "ndim": len(shape.axes),
            "worker": 0,
            "workers": 1,
            **{name: group[name] for name in GROUP_FACTS if name in group},
        }
        visit = Visit(
            self.model,
            tensor.name,
            shape,
            facts,
            tensor.role,
            hypers,
            start=Value(ELEMENT, tensor.value.reshape(-1)),
            grad=Value(ELEMENT, (-grad if group.get("maximize") else grad).reshape(-1)),
            own=self._own[index],
            group=self._group[tensor.group],
            common=self._common,
        )
        visit.follow_route()
        rounding = visit.model.rounding  # of the branch that was taken
        visit.start = read_param(self._own[index], tensor.value, tensor.dtype, rounding)
        visit.param = visit.start
        return visit

    def _begin_states(self, visits: Sequence[Visit], stage: str) -> None:
        """Give their initial values to the states that are not there yet."""
        missing: dict[str, list[tuple[Visit, State]]] = {}
        for visit in visits:
            for state in visit.model.states:
                if stage_of(visit.model, state) == stage and visit.lacks(state):
                    missing.setdefault(state.name, []).append((visit, state))
        for wanted in missing.values():
            values = evaluate((visit, partial(visit.initial, state)) for visit, state in wanted)
            for (visit, state), value in zip(wanted, values, strict=True):
                create_state(visit, state, value, self._dtype(visit, state))

    def _finish(self, index: int, visit: Visit) -> None:
        """Store what was written, and count the step."""
        tensor = self.tensors[index]
        for state in visit.model.states:
            write_state(visit, state, self._dtype(visit, state))
        tensor.value = write_param(visit, tensor.value, tensor.dtype, self.seed, index)
        self._called[index] = True
        self.t[index] += not visit.ended

    def _dtype(self, visit: Visit, state: State) -> str:
        """Of a state that names none: float32, or float64 beside a float64 parameter."""
        keep = visit.keep(state)
        beside = {
            tensor.dtype
            for tensor, own in zip(self.tensors, self._own, strict=True)
            if keep in (own, self._group[tensor.group], self._common)
        }
        return "float64" if "float64" in beside else "float32"


def _shown(keep: Keep, shape: tuple[int, ...]) -> dict[str, Array | float]:
    """Stored values as arrays; a state `identity` stores nothing."""
    shown: dict[str, Array | float] = {}
    for name, value in keep.stored.items():
        if name in keep.hosted:
            shown[name] = float(value.data)
        elif value.cells.kind == "element":
            shown[name] = value.data.reshape(shape)
        elif value.cells.kind != "identity":
            shown[name] = value.data
    return shown
