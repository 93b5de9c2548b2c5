"""What `host` may know of a tensor: its shape, its name and role, and how often it has stepped.

    fact.t, fact.first        the number of this step (from 1), and whether its states are new
    fact.rows, fact.cols      the first axis, and all the others together; a vector is one row
    fact.grad_scale           what the gradient is multiplied by when it is loaded
    fact.width, fact.depth    the model's, as the parameter group gives them

Also what can be read off a generated `host` itself: which facts its answer depends on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import CellType
from typing import Any

from torch import Tensor

from .scalar import Number, choose

OWN_KEY: Any = object()  # in the place of a scalar: each tensor has its own number there


class Facts:
    """One tensor's facts. Shape and name are fixed, the others are set anew for every call."""

    __slots__ = (
        "base_lr", "cols", "first", "given_role", "grad_scale", "homes", "index", "lr", "name",
        "ndim", "numel", "optimizer", "param_is_narrow", "role", "rows", "seed", "shape", "sound",
        "t",
    )  # fmt: skip
    worker, workers = 0, 1

    def __init__(
        self, optimizer: str, index: int, shape: tuple[int, ...], name: str, role: str
    ) -> None:
        self.optimizer, self.index, self.shape, self.name = optimizer, index, shape, name
        self.given_role = self.role = role  # the group's; a spec may tell roles by names as well
        self.ndim = len(shape)
        self.rows = shape[0] if self.ndim >= 2 else 1
        self.cols = 1
        for size in shape[1:] if self.ndim >= 2 else shape:
            self.cols *= size
        self.numel = self.rows * self.cols
        self.param_is_narrow = False  # whether its dtype has 16 bits
        self.t: Number = 1
        self.first = True
        self.grad_scale = 1.0
        self.lr: Number = 0.0
        self.base_lr: Number = 0.0
        self.seed = 0
        self.homes: dict[str, Mapping[str, object]] = {}  # where states are kept, by level
        self.sound: object = None  # what `allocate` last found right

    def size(self, axis: int) -> int:
        """The length of one axis."""
        return self.shape[axis]

    def lacks(self, state: str, level: str) -> bool:
        """Whether a state of the tensor, its group or all is not there yet."""
        return state not in self.homes[level]

    @property
    def lr_scale(self) -> Number:
        """How far a schedule has brought lr from where it began."""
        if isinstance(self.base_lr, Tensor):
            return choose(self.base_lr != 0, self.lr / self.base_lr, 1.0)
        return self.lr / self.base_lr if self.base_lr else 1.0

    @property
    def width(self) -> float:
        """The model's width; ValueError if the parameter group does not give it."""
        return self._given("width")

    @property
    def depth(self) -> float:
        """The model's depth; ValueError if the parameter group does not give it."""
        return self._given("depth")

    def _given(self, name: str) -> float:
        group = self.homes["group"]
        if name not in group:
            raise ValueError(
                f"{self}: the rule reads the fact `{name}`, which its group does not give; "
                f'pass [{{"params": parameters, "{name}": 512}}] to {self.optimizer}'
            )
        value = group[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{self}: the group's {name} = {value!r} is not a number")
        return value

    @property
    def rounding_key(self) -> Any:
        """Stands for where this tensor's random bits begin in this step: a hash of seed, t and
        index, which is put in later, so that tensors differing in nothing else have one answer."""
        return OWN_KEY

    def __str__(self) -> str:
        known = f"`{self.name}`" if self.name else f"number {self.index}"
        return f"{self.optimizer}: parameter {known} of shape {self.shape}"


# What tells tensors of one group apart, by the name under which `host` reads it; and what is the
# same for all of them, or part of every key.
_TELLING = {
    name: name for name in "ndim rows cols numel role shape name index param_is_narrow".split()
}
_TELLING["size"] = "shape"
_COMMON = frozenset(
    "t first grad_scale lr base_lr lr_scale width depth worker workers lacks rounding_key".split()
)

_NAMES = frozenset(dir(Facts))


@cache
def facts_read(host: Any) -> tuple[str, ...] | None:
    """The facts by which a `host` function can tell tensors of one group apart, read off the names
    in its code: equal ones mean an equal answer. None if it reads what is not listed here, or may
    hand its facts on to another function."""
    read: tuple[str, ...] = host.__code__.co_names
    names: set[str] = {name for name in read if name in _NAMES}
    kept: tuple[CellType, ...] = host.__closure__ or ()
    hands_on = "host" in read or any(callable(cell.cell_contents) for cell in kept)
    if hands_on or names - _TELLING.keys() - _COMMON:
        return None
    return tuple(sorted({_TELLING[name] for name in names & _TELLING.keys()}))


@cache
def is_ordered(host: object) -> bool:
    """Whether the step draws random bits by the place of each element."""
    return "rounding_key" in host.__code__.co_names  # type: ignore[attr-defined]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(pattern: str, name: str) -> bool:
    """Whether a name has a place that the (generated) regular expression fits."""
    return _compiled(pattern).search(name) is not None
