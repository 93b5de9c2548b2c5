"""Whether anything has changed since the last step, besides gradients that lie elsewhere.

A step may be repeated without deciding it anew while the groups hold the same parameters, the same
ones have gradients, and every parameter, gradient and state has the dtype, device, shape, strides
and (but for gradients) address that it had. All of that is compared in every step, by `look`; no
reference to a state is kept, so states that somebody moves away are freed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from torch import Tensor

from .batch import Numbers
from .look import AHEAD, HINTS, NO_HINTS, Looker, hints, pointer


class Watch:
    """What a step found; `counted` are the names of numbers that steps change. `grad_at` says where
    gradients lie after `same` has looked, in the order of all parameters."""

    def __init__(
        self,
        looker: Looker,
        groups: Sequence[Mapping[str, Any]],
        state: Mapping[Tensor, dict[str, Any]],
        cohort_of: Mapping[Tensor, int],
        aligned: set[Tensor],
        counted: Collection[str],
    ) -> None:
        self._looker = looker
        self._forms: dict[object, int] = {}  # what Python sees of a form -> its place in the table
        self._table: list[int] = []
        self._params = [param for group in groups for param in group["params"]]
        items, entries = self._items(state, cohort_of)
        cohorts = max(cohort_of.values(), default=-1) + 1
        firsts, numbers = self._counted(counted, cohorts)
        grads = [param.grad for param in self._params]
        params = self._params
        if any(param.is_inference() for param in params):
            raise OSError("autograd does not count changes of inference tensors")
        columns = {
            "lengths": _numbers(len(group["params"]) for group in groups),
            "params": _numbers(map(id, params)),
            "param_form": _numbers(map(self._form, params)),
            "param_at": _numbers(param.data_ptr() for param in params),
            "param_hints": _padded([hints(param) for param in params], HINTS),
            "grad_form": _numbers(-1 if grad is None else self._form(grad) for grad in grads),
            "grad_mask": _numbers(15 if param in aligned else 0 for param in params),
            "grad_at": np.zeros(len(params), dtype=np.int64),
            "grads": np.zeros(len(params), dtype=np.int64),
            "entries": entries,
            "items": items,
            "slots": self._slots,
            "first_number": firsts,
            "numbers": numbers,
            "forms": _numbers(self._table),
        }
        self.grad_at = columns["grad_at"]
        self._columns = columns
        places = (column.ctypes.data for column in columns.values())
        columns["seen"] = _numbers([len(groups), len(params), len(state), *places])
        self._seen = pointer(columns["seen"])

    def _items(
        self, state: Mapping[Tensor, dict[str, Any]], cohort_of: Mapping[Tensor, int]
    ) -> tuple[Numbers, Numbers]:
        """What stands in every parameter's state."""
        self._keys: list[str] = []  # owned, so that no other string comes to lie there
        self._objects: list[object] = []  # likewise: numbers, and whatever else is no tensor
        self._places: dict[tuple[int, str], int] = {}
        items: list[tuple[int, ...]] = []
        entries: list[tuple[int, ...]] = []
        for param, found in state.items():
            cohort = cohort_of.get(param)
            if cohort is None:
                entries.append((id(param), 0, -1, 0, *NO_HINTS))
                continue
            entries.append(
                (id(param), len(items), len(found), cohort, *self._looker.hints(param, found))
            )
            for key, value in found.items():
                self._keys.append(key)
                if isinstance(value, Tensor):
                    form = self._form(value)
                    items.append((id(key), form, value.data_ptr(), *hints(value)))
                else:
                    items.append((id(key), -1, self._place(cohort, key, value), *NO_HINTS))
        self._slots = _numbers(map(id, self._objects))
        return _padded(items, 3 + HINTS), _padded(entries, 4 + HINTS)

    def _place(self, cohort: int, key: str, value: object) -> int:
        """The slot of a number: one for a cohort, if its tensors hold the same object."""
        place = self._places.setdefault((cohort, key), len(self._objects))
        if place < len(self._objects) and self._objects[place] is value:
            return place
        self._objects.append(value)
        return len(self._objects) - 1

    def _counted(self, names: Collection[str], cohorts: int) -> tuple[Numbers, Numbers]:
        """By cohort, which of its slots belong to numbers of these names."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(cohorts)]
        for (cohort, key), place in self._places.items():
            if key in names:
                found[cohort].append((id(key), place))
        firsts = _numbers(accumulate(map(len, found), initial=0))
        return firsts, _padded(list(chain.from_iterable(found)), 2)

    def count(self, state: Mapping[Any, Any], news: Iterable[Mapping[str, object]]) -> None:
        """Give the states of every cohort its new `counted` numbers, and let autograd know that the
        parameters have changed."""
        for cohort, new in enumerate(news):
            for key, value in new.items():
                place = self._places[cohort, key]
                self._objects[place] = value
                self._slots[place] = id(value)
        self._looker.count(self._seen, state)

    def _form(self, tensor: Tensor) -> int:
        key = (type(tensor), tensor.dtype, tensor.device, tensor.shape, tensor.stride())
        place = self._forms.get(key)
        if place is None:
            place = self._forms[key] = len(self._table)
            self._table += self._looker.form(tensor)
        return place

    def same(self, groups: Iterable[Mapping[str, Any]], state: Mapping[Any, Any]) -> bool:
        """Whether all is as it was. Looks where gradients lie now."""
        lists = [group["params"] for group in groups]
        if not isinstance(state, dict) or any(type(params) is not list for params in lists):
            return False
        return self._looker.look(self._seen, state, lists)


def _numbers(values: Iterable[Any]) -> Numbers:
    return np.array(list(values), dtype=np.int64)


def _padded(rows: Sequence[Sequence[int]], width: int) -> Numbers:
    """Rows of numbers, and as many empty ones as C looks ahead."""
    return _numbers([*rows, *[(0,) * width] * AHEAD])
