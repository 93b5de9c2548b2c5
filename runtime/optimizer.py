"""`CompiledOptimizer`: what every generated class is a subclass of, a `torch.optim.Optimizer`.

A generated class is data (`hypers`, `paths`, the kernels) and one function, `host`, which says for
a tensor which path it takes in this call and with which numbers. Here: groups and their hypers,
states, and one step: ask `host` about every tensor that has a gradient, gather those that go the
same way into buckets, run them.

Everything that must survive copying, pickling and checkpoints is in `param_groups` and `state`;
what else an instance holds can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from . import allocate, checkpoint, hyper
from .batch import Bucket, Member, Tables
from .collect import gather, refuse_param, usable_grad, write_back
from .execute import Widths, run
from .facts import Facts, facts_read, is_ordered
from .path import Choice, Hyper, Path

_NOTHING = Choice(-1)


@dataclass(slots=True)  # not frozen: one is made per tensor and step, and frozen ones are slow
class _Decision:
    """What `host` said about a tensor that has a gradient."""

    param: Tensor
    grad: Tensor
    group: dict[str, Any]
    fact: Facts
    choice: Choice


class CompiledOptimizer(Optimizer):
    """The part of a generated optimizer that is the same for all of them."""

    hypers: ClassVar[tuple[Hyper, ...]]
    paths: ClassVar[tuple[Path, ...]]
    host_states: ClassVar[Mapping[str, str]] = {}  # name -> level
    values: ClassVar[int] = 0
    totals: ClassVar[int] = 0
    partials: ClassVar[int] = 0
    c_source: ClassVar[str] = ""

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor takes in this call, and its host scalars; every class has its own."""
        raise NotImplementedError

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._forget()
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After unpickling, copying or loading: hypers that an older version did not have yet get
        their defaults."""
        super().__setstate__(state)
        self._forget()
        for group in self.param_groups:
            for name in (*(h.name for h in self.hypers), "maximize"):
                group.setdefault(name, self.defaults[name])
            hyper.fill(self.hypers, group)
        checkpoint.unpack(self.state, self.param_groups)

    def _forget(self) -> None:
        """Drop what is only remembered to save time."""
        self._tables = Tables()
        self._facts: dict[Tensor, Facts] = {}

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

    # ------------------------------------------------------------ the step

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch._disable_dynamo  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every parameter that has a gradient; `closure` computes the loss anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if len(self.param_groups) > 1:
            hyper.check_agreement(self.hypers, self.param_groups, type(self).__name__)
        decided = list(self._decide())  # all questions first: a refusal must not leave half a step
        buckets = self._commit(decided)
        widths = Widths(self.values, self.totals, self.partials, self.c_source)
        run(buckets, widths, self._tables)
        write_back(buckets, [decision.param for decision in decided])
        return loss

    def _decide(self) -> Iterator[_Decision]:
        """What `host` says about every tensor that has a gradient."""
        name = type(self).__name__
        read = facts_read(self.host)
        key = attrgetter("t", "first", "grad_scale", *(read or ()))
        index = 0
        for group in self.param_groups:
            hypers = hyper.numbers(self.hypers, group)
            known: dict[object, Choice] = {}
            for place, param in enumerate(group["params"]):
                if param.grad is None:
                    continue
                grad = usable_grad(param, name)
                fact = self._fact(param, group, place, index + place, hypers)
                if not fact.numel:  # nothing to compute, and `host` may divide by its size
                    yield _Decision(param, grad, group, fact, _NOTHING)
                    continue
                answer = known.get(key(fact)) if read is not None else None
                if answer is None:
                    answer = known[key(fact)] = self._ask(hypers, fact)
                yield _Decision(param, grad, group, fact, answer)
            index += len(group["params"])

    def _fact(
        self, param: Tensor, group: dict[str, Any], place: int, index: int, hypers: dict[str, Any]
    ) -> Facts:
        fact = self._facts.get(param)
        if fact is None or fact.shape != param.shape or fact.role != group.get("role", ""):
            names = group.get("param_names")
            fact = self._facts[param] = Facts(
                type(self).__name__,
                index,
                tuple(param.shape),
                names[place] if names else "",
                group.get("role", ""),
            )
        state = self.state.get(param)
        fact.first = not state
        fact.t = state["step"] + 1 if state else 1
        fact.grad_scale = -1.0 if group["maximize"] else 1.0
        fact.seed = group.get("seed", 0)
        fact.lr = hypers.get("lr", 0.0)
        fact.base_lr = float(group.get("initial_lr", fact.lr))
        fact.homes = {"global": self.param_groups[0], "group": group, "tensor": state or {}}
        return fact

    def _ask(self, hypers: dict[str, Any], fact: Facts) -> Choice:
        try:
            return self.host(hypers, fact, self._hosts(fact))
        except ArithmeticError as error:
            raise ValueError(f"{fact}: a number of this step does not exist: {error}") from error

    def _hosts(self, fact: Facts) -> dict[str, Any]:
        """The states that live on the host, of this tensor, its group, and all."""
        return {
            name: fact.homes[level][name]
            for name, level in self.host_states.items()
            if name in fact.homes[level]
        }

    def _commit(self, decided: Sequence[_Decision]) -> list[Bucket]:
        """Make states, count the step, and sort the tensors into buckets."""
        ordered = is_ordered(self.host)
        numbers = {id(group): number for number, group in enumerate(self.param_groups)}
        buckets: dict[tuple[object, ...], Bucket] = {}
        for decision in decided:
            param, group, fact, choice = (
                decision.param, decision.group, decision.fact, decision.choice,
            )  # fmt: skip
            state = self.state[param]
            if choice is _NOTHING:
                state["step"] = fact.t
                continue
            path = self.paths[choice.path]
            state.setdefault("step", 0)
            tensors = allocate.tensors(
                path, choice, param, fact, state, group, self.param_groups[0]
            )
            if path.counts:
                state["step"] = fact.t
            for name, value in choice.hosts.items():
                match self.host_states.get(name):
                    case "global":
                        self.param_groups[0][name] = value
                    case "group":
                        group[name] = value
                    case _:
                        state[name] = value
            if path.steps:
                found = {"param": param, "grad": decision.grad, **tensors}
                member = Member(param, fact, choice, found)
                gather(buckets, choice.path, path, member, numbers[id(group)], ordered)
        return list(buckets.values())
