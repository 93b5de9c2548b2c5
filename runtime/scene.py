"""What there is to step: which parameters have gradients, their cohorts, and the layouts so far.

    scene.same(optimizer)       whether all is as it was when the scene was made
    scene.step(optimizer)       ask every cohort, then run the layout of the paths they take

Asking costs as much as there are cohorts, not tensors; a scene that stays the same keeps the step's
cost on the host to what `look` takes, and to one upload where a number or a gradient's address is
new. Whatever else changes makes a new scene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import capture
from .batch import Kept
from .cohorts import ask, settle, sort_out
from .facts import Facts
from .held import is_held_once
from .layout import Layout
from .look import ALONE, OTHER, looker
from .path import Choice, Path
from .target import forced_target
from .watch import Watch

if TYPE_CHECKING:
    from .optimizer import CompiledOptimizer

_MOST_LAYOUTS = 8  # a rule takes few paths; more would be sizes that change in every step


class Scene:
    """The parameters that have gradients, in order, and their cohorts."""

    def __init__(
        self, optimizer: CompiledOptimizer, facts: dict[Tensor, Facts], kept: Kept
    ) -> None:
        self._kept = kept
        self._entries, self._cohorts = sort_out(optimizer, facts)
        capture.place(optimizer, self._cohorts)
        self.params = [entry.param for entry in self._entries]
        self._groups = [(group, _told(group)) for group in optimizer.param_groups]
        self._facts = [cohort.fact for cohort in self._cohorts]
        self._firsts = [cohort.params[0] for cohort in self._cohorts]
        self._shared_names = _shared_names(optimizer.paths)
        self._layouts: dict[object, Layout] = {}
        self._aligned: set[Tensor] = set()
        self._watch: Watch | None = None

    def same(self, optimizer: CompiledOptimizer) -> bool:
        """Whether parameters, gradients and states are as they were."""
        groups = optimizer.param_groups
        if self._watch is None or len(groups) != len(self._groups):
            return False
        for group, (known, told) in zip(groups, self._groups, strict=True):
            if group is not known or _told(group) != told:
                return False
        if self._looks_same(self._watch, optimizer):
            return not self._shared_names or self._shared == self._lies(groups)
        return False

    @staticmethod
    def _looks_same(watch: Watch, optimizer: CompiledOptimizer) -> bool:
        """Looks at states only where somebody else may have them."""
        groups, holder = optimizer.param_groups, vars(optimizer)
        if optimizer.hidden_by is watch and is_held_once(holder):
            return watch.look(groups, None) != OTHER
        found = watch.look(groups, optimizer.state)
        if found == ALONE and is_held_once(holder):
            optimizer.hidden_by = watch
        return found != OTHER

    def step(self, optimizer: CompiledOptimizer, *, will_repeat: bool) -> None:
        """One step. `will_repeat`: remember what there is, so that `same` can say yes."""
        states = optimizer.own_states
        choices = ask(optimizer, states, self._cohorts)
        way = (forced_target(), *((choice.path, choice.sizes) for choice in choices))
        layout = self._layouts.get(way) if self._watch is not None else None
        if layout is None or self._watch is None:
            if capture.is_capturing():
                raise capture.not_warm(type(optimizer).__name__)
            layout = Layout(optimizer, self._entries, self._cohorts, choices, self._kept)
            self._settle_first(optimizer, choices)
            layout.run()
            if self.params:
                torch.autograd.graph.increment_version(self.params)
            self._watch = None
            if will_repeat and layout.is_repeatable:
                self._remember(optimizer, way, layout)
        else:
            news = list(map(partial(settle, optimizer, states), self._cohorts, choices))
            later = optimizer.hidden_by is self._watch
            self._watch.count(states, self._firsts, news, later)
            layout.run_again(optimizer, choices, self._facts, self._watch.grads)
            if capture.is_capturing():
                optimizer.held_by_graphs.append(layout)

    # ------------------------------------------------------------ numbers in states

    def _settle_first(self, optimizer: CompiledOptimizer, choices: Sequence[Choice]) -> None:
        for cohort, choice in zip(self._cohorts, choices, strict=True):
            new = settle(optimizer, optimizer.state, cohort, choice)
            states = [optimizer.state[param] for param in cohort.params]
            for state in states:
                state.update(new)
            for name in ("step", *optimizer.host_states):  # equal numbers become one object
                if name in states[0]:
                    value = states[0][name]
                    for state in states:
                        state[name] = value
        capture.place(optimizer, self._cohorts)

    # ------------------------------------------------------------ what is remembered

    def _remember(self, optimizer: CompiledOptimizer, way: object, layout: Layout) -> None:
        found = looker()
        params = [param for group in optimizer.param_groups for param in group["params"]]
        if found is None or len(set(params)) < len(params):
            return
        if len(self._layouts) == _MOST_LAYOUTS:
            self._layouts.clear()
        self._layouts[way] = layout
        self._aligned.update(self.params[place] for place in layout.aligned)
        cohort_of = {entry.param: entry.cohort for entry in self._entries}
        groups, state = optimizer.param_groups, optimizer.state
        self._shared = self._lies(groups)
        try:
            counted = ("step", *optimizer.host_states)
            watch = Watch(found, groups, state, cohort_of, self._aligned, counted)
        except OSError:  # a kind of tensor that `look` does not see as Python does
            return
        if watch.look(groups, state) != OTHER:
            self._watch = watch

    def _lies(self, groups: Sequence[Mapping[str, Any]]) -> list[object]:
        """The states of groups, and of all: where they lie, and as what."""
        return [
            (name, value.data_ptr(), value.dtype, value.device, value.shape, value.stride())
            for name in self._shared_names
            for group in groups
            if isinstance(value := group.get(name), Tensor)
        ]


def _told(group: Mapping[str, Any]) -> tuple[object, ...]:
    """What a group says of its tensors, besides hypers."""
    return group.get("role", ""), group["capturable"]


@cache
def _shared_names(paths: tuple[Path, ...]) -> tuple[str, ...]:
    streams = (stream for path in paths for stream in path.streams)
    return tuple(dict.fromkeys(s.name for s in streams if s.level in ("group", "global")))
