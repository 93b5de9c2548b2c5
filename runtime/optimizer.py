"""`CompiledOptimizer`: what every generated class is a subclass of, a `torch.optim.Optimizer`.

A generated class is data (`hypers`, `paths`, the kernels) and one function, `host`, which says for
a tensor which path it takes in this call and with which numbers. Here: groups and their hypers, and
one step of a `scene`: all tensors that have a gradient, sorted by what `host` can know of them.

Everything that must survive copying, pickling and checkpoints is in `param_groups` and `state`;
what else an instance holds can be made again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from . import capture, checkpoint, conversions, hyper
from .batch import Kept
from .collect import refuse_param
from .facts import Facts
from .loss import keep_loss
from .path import Choice, Coded, Hyper, Path
from .scene import Scene
from .watch import Watch


class CompiledOptimizer(Optimizer):
    """The part of a generated optimizer that is the same for all of them."""

    hypers: ClassVar[tuple[Hyper, ...]]
    paths: ClassVar[tuple[Path, ...]]
    coded: ClassVar[tuple[Coded, ...]] = ()
    remainders: ClassVar[tuple[str, ...]] = ()  # states that only keep what rounding cuts off
    host_states: ClassVar[Mapping[str, str]] = {}  # name -> level
    values: ClassVar[int] = 0
    totals: ClassVar[int] = 0
    partials: ClassVar[int] = 0
    c_source: ClassVar[str] = ""
    reads_loss: ClassVar[bool] = False
    on_device: ClassVar[Callable[..., Choice] | None] = None  # `host` of 0-d tensors, if it can be
    uncapturable: ClassVar[str] = "it was generated without `on_device`"

    hidden_by: Watch | None = None  # it saw that nobody else has any state, and nobody has asked

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor takes in this call, and its host scalars; every class has its own."""
        raise NotImplementedError

    @staticmethod
    def role_of(fact: Facts) -> str:
        """The role of a tensor where its group gives none; a spec may tell it by the name."""
        return ""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._forget()
        self.held_by_graphs: list[object] = []  # what captured CUDA graphs go on reading
        super().__init__(params, {"capturable": False, **defaults})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After unpickling, copying or loading: hypers that an older version did not have yet get
        their defaults."""
        self.reveal()
        super().__setstate__(state)
        self._forget()
        self.held_by_graphs = getattr(self, "held_by_graphs", [])
        self.defaults.setdefault("capturable", False)
        for group in self.param_groups:
            for name in (*(h.name for h in self.hypers), "maximize", "capturable"):
                group.setdefault(name, self.defaults[name])
            hyper.fill(self.hypers, group)
        checkpoint.unpack(self.state, self.param_groups)

    def _forget(self) -> None:
        """Drop what is only remembered to save time."""
        self._scene: Scene | None = None
        self._kept = Kept()
        self._facts: dict[Tensor, Facts] = {}

    # ------------------------------------------------------------ states

    @property
    def state(self) -> defaultdict[Tensor, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the optimizer keeps of every parameter. Who asks may change any of it, so the next
        step looks at all."""
        self.reveal()
        return self.own_states

    @state.setter
    def state(self, states: defaultdict[Tensor, Any]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.reveal()
        vars(self)["state"] = states

    @property
    def own_states(self) -> defaultdict[Tensor, Any]:
        """The same for a step, which keeps no part of it. While they are hidden, only the first
        state of a cohort has the numbers that steps count."""
        return vars(self)["state"]

    def reveal(self) -> None:
        """Bring states up to date, for others to have."""
        watch, self.hidden_by = self.hidden_by, None
        if watch is not None:
            watch.catch_up(self.own_states)

    # ------------------------------------------------------------ groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own hypers; refused as a whole if anything in it is wrong."""
        super().add_param_group(param_group)
        try:
            group = self.param_groups[-1]
            for param in group["params"]:
                refuse_param(param, type(self).__name__)
            hyper.fill(self.hypers, group)
            hyper.check(self.hypers, group, type(self).__name__)
            hyper.check_agreement(self.hypers, self.param_groups, type(self).__name__)
            capture.check(self, group)
        except (ValueError, TypeError):
            self.param_groups.pop()
            raise
        self._forget()

    # ------------------------------------------------------------ checkpoints

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict()` returned, after checking all of it. States keep their dtypes.
        Where both sides name their parameters, states go by name, else by position."""
        with checkpoint.checked(self):
            super().load_state_dict(state_dict)

    def plain_state_dict(self) -> dict[str, Any]:
        """`state_dict()` with every coded state as the float32 numbers it stands for, and without
        what roundings keep: as the same rule has it in plain precision, which can load it. This
        optimizer can load either."""
        return conversions.plain_state_dict(self)

    # ------------------------------------------------------------ the step

    @overload
    def step(self, closure: None = None, *, loss: Tensor | float | None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch._disable_dynamo  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    @torch.no_grad()
    def step(
        self, closure: Callable[[], float] | None = None, *, loss: Tensor | float | None = None
    ) -> float | None:
        """One step of every parameter that has a gradient. `closure` computes the loss anew; a rule
        that reads the loss takes it from there, or as `loss` (a tensor is not waited for)."""
        found = None
        if closure is not None:
            with torch.enable_grad():
                found = closure()
        if self.reads_loss:
            keep_loss(self.param_groups, found if loss is None else loss, type(self).__name__)
        if capture.is_capturing():
            capture.check_groups(self.param_groups, type(self).__name__)
        elif len(self.param_groups) > 1:
            hyper.check_agreement(self.hypers, self.param_groups, type(self).__name__)
        scene, self._scene = self._scene, None  # forgotten if this step fails
        if scene is not None and scene.same(self):
            scene.step(self, will_repeat=True)
        else:
            if capture.is_capturing():
                self._scene = scene
                raise capture.not_warm(type(self).__name__)
            before = [] if scene is None else scene.params
            scene = Scene(self, self._facts, self._kept)
            again = list(map(id, before)) == list(map(id, scene.params))
            scene.step(self, will_repeat=again)
        self._scene = scene
        return found
