"""Whether anything has changed since the last step, besides gradients that lie elsewhere.

A step may be repeated without deciding it anew while the groups hold the same parameters, the same
ones have gradients, and every parameter, gradient and state has the dtype, device, shape, strides
and (but for gradients) address that it had. All of that is compared in every step, by `look`; no
reference to a state is kept, so states that somebody moves away are freed. States that nobody else
has (`held`) are not compared, and count their steps only when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Gradients, Numbers
from .c import may_share
from .look import FURTHER, MOVED, OTHER, Looker, pointer

_PARAM, _ITEM, _PLACE, _ENTRY = 11, 3, 5, 8  # numbers in a row, as in C
_FEW = 2000  # tensors; fewer are looked at before other threads would be awake


class Watch:
    """What a step found; `counted` are the names of numbers that steps change. `grads` says where
    gradients lie after a `look`, in the order of the parameters that have one: another object when
    one of them has moved."""

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
        self._forms: dict[tuple[int, ...], int] = {}  # -> its row in the table
        self._params = [param for group in groups for param in group["params"]]
        items, places, entries = self._items(state, cohort_of)
        cohorts = max(cohort_of.values(), default=-1) + 1
        firsts, numbers = self._counted(counted, cohorts)
        if any(param.is_inference() for param in self._params):
            raise OSError("autograd does not count changes of inference tensors")
        number = count()
        params = [self._param(param, aligned, number) for param in self._params]
        columns = {
            "lengths": _numbers(len(group["params"]) for group in groups),
            "objects": _numbers(map(id, self._params)),
            "params": _padded(params, _PARAM),
            "grads": np.zeros(len(params) + FURTHER, dtype=np.int64),
            "grad_at": np.zeros(next(number), dtype=np.int64),
            "entries": entries,
            "items": items,
            "places": places,
            "slots": self._slots,
            "first_number": firsts,
            "numbers": numbers,
            "forms": _numbers(self._forms),
        }
        self._grad_at = columns["grad_at"]
        self.grads = Gradients(self._grad_at)
        self._is_behind, self._is_large = False, len(params) > _FEW
        self._columns = columns
        begins = (column.ctypes.data for column in columns.values())
        columns["seen"] = _numbers([len(groups), len(params), len(state), *begins])
        self._seen = pointer(columns["seen"])

    def _param(self, param: Tensor, aligned: set[Tensor], number: Iterator[int]) -> tuple[int, ...]:
        """A parameter, and what its gradient must be like."""
        looker = self._looker
        there = *looker.place(param), self._form(param), *looker.autograd(param)
        if param.grad is None:
            return *there, -1, 0, 0
        looker.place(param.grad)  # that it has one is enough
        return *there, next(number), self._form(param.grad), 15 if param in aligned else 0

    def _items(
        self, state: Mapping[Tensor, dict[str, Any]], cohort_of: Mapping[Tensor, int]
    ) -> tuple[Numbers, Numbers, Numbers]:
        """What stands in every parameter's state; states with the same keys, forms and numbers
        share their items."""
        self._keys: list[str] = []  # owned, so that no other string comes to lie there
        self._objects: list[object] = []  # likewise: numbers, and whatever else is no tensor
        self._places: dict[tuple[int, str], int] = {}
        items: list[tuple[int, ...]] = []
        shared: dict[tuple[tuple[int, ...], ...], int] = {}
        places: list[tuple[int, ...]] = []
        entries: list[tuple[int, ...]] = []
        for next_, (param, found) in zip(self._looker.walk(state), state.items(), strict=True):
            cohort = cohort_of.get(param)
            if cohort is None:
                entries.append((id(param), next_, 0, -1, 0, 0, 0, 0))
                continue
            mine = tuple(self._item(cohort, key, value) for key, value in found.items())
            if mine not in shared:
                shared[mine] = len(items)
                items += mine
            hints = self._looker.hints(found)
            entries.append((id(param), next_, shared[mine], len(mine), len(places), cohort, *hints))
            tensors = (value for value in found.values() if isinstance(value, Tensor))
            places += map(self._looker.place, tensors)
        self._slots = _numbers(map(id, self._objects))
        return _padded(items, _ITEM), _padded(places, _PLACE), _padded(entries, _ENTRY)

    def _item(self, cohort: int, key: str, value: object) -> tuple[int, ...]:
        self._keys.append(key)
        if isinstance(value, Tensor):
            return id(key), self._form(value), 0
        return id(key), -1, self._slot(cohort, key, value)

    def _slot(self, cohort: int, key: str, value: object) -> int:
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

    def count(
        self,
        states: Mapping[Any, dict[str, Any]],
        firsts: Iterable[Tensor],
        news: Iterable[Mapping[str, object]],
        later: bool,
    ) -> None:
        """Give the states of every cohort its new `counted` numbers; `later`: only its first one's,
        until `catch_up`."""
        for cohort, (first, new) in enumerate(zip(firsts, news, strict=True)):
            for key, value in new.items():
                place = self._places[cohort, key]
                self._objects[place] = value
                self._slots[place] = id(value)
            if later and new:
                states[first].update(new)
        self._is_behind = later
        if not later:
            self._looker.count(self._seen, states)

    def catch_up(self, states: Mapping[Any, Any]) -> None:
        """Let all states have the numbers that only the first of each cohort has."""
        if self._is_behind:
            self._is_behind = False
            self._looker.count(self._seen, states)

    def _form(self, tensor: Tensor) -> int:
        form = self._looker.form(tensor)
        return self._forms.setdefault(form, len(self._forms))

    def look(self, groups: Iterable[Mapping[str, Any]], states: Mapping[Any, Any] | None) -> int:
        """Whether all is as it was: OTHER, SAME, or ALONE if nobody else holds any of the states.
        If there are none they are not looked at. Looks where gradients lie now, and lets autograd
        know that parameters change: a step comes next."""
        lists = [group["params"] for group in groups]
        for params in lists:
            if type(params) is not list:
                return OTHER
        threads = torch.get_num_threads() if self._is_large and may_share() else 1
        found = self._looker.look(self._seen, states, lists, threads)
        if found >= MOVED:
            self.grads = Gradients(self._grad_at)
            return found - MOVED
        return found


def _numbers(values: Iterable[Any]) -> Numbers:
    return np.array(list(values), dtype=np.int64)


def _padded(rows: Sequence[Sequence[int]], width: int) -> Numbers:
    """Rows of numbers, and as many empty ones as C looks ahead."""
    return _numbers([*rows, *[(0,) * width] * FURTHER])
