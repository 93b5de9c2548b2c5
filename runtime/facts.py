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

from .random import hash32


class Facts:
    """One tensor's facts. Shape and name are fixed, the others are set anew for every call."""

    __slots__ = (
        "base_lr", "cols", "first", "grad_scale", "homes", "index", "lr", "name", "ndim", "numel",
        "optimizer", "role", "rows", "seed", "shape", "sound", "t",
    )  # fmt: skip
    worker, workers = 0, 1

    def __init__(
        self, optimizer: str, index: int, shape: tuple[int, ...], name: str, role: str
    ) -> None:
        self.optimizer, self.index, self.shape, self.name = optimizer, index, shape, name
        self.role = role
        self.ndim = len(shape)
        self.rows = shape[0] if self.ndim >= 2 else 1
        self.cols = 1
        for size in shape[1:] if self.ndim >= 2 else shape:
            self.cols *= size
        self.numel = self.rows * self.cols
        self.t = 1
        self.first = True
        self.grad_scale = 1.0
        self.lr = self.base_lr = 0.0
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
    def lr_scale(self) -> float:
        """How far a schedule has brought lr from where it began."""
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
    def rounding_key(self) -> int:
        """Where this tensor's random bits begin in this step."""
        return hash32(self.seed, self.t, self.index)

    def __str__(self) -> str:
        known = f"`{self.name}`" if self.name else f"number {self.index}"
        return f"{self.optimizer}: parameter {known} of shape {self.shape}"


# What `host` can read without asking which tensor it is: equal values mean an equal answer.
UNIFORM = frozenset(
    "t first grad_scale lr base_lr lr_scale ndim rows cols numel role worker workers".split()
)
_SINGULAR = frozenset({"name", "shape", "size", "lacks", "rounding_key", "index", "role_of"})


@cache
def facts_read(host: object) -> tuple[str, ...] | None:
    """The facts that a `host` function reads, by the names in its code; None if its answer depends
    on which tensor it is (its name, its axes, a host state)."""
    names: set[str] = set(host.__code__.co_names)  # type: ignore[attr-defined]
    if names & _SINGULAR or "get" in names:
        return None
    return tuple(sorted(names & UNIFORM))


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
