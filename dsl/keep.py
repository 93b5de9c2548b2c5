"""Where states are kept between steps: one `Keep` for each tensor, each group, and all together.

    keep.stored["m"]     what the storage reads back, the value a step begins with
    keep.present["m"]    what the name stands for during a step, unrounded

What belongs in storage, and when, is said by writeback.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .cells import Value


@dataclass(slots=True, eq=False)
class Keep:
    """`before` is what a name stood for when the step began, `present` what it stands for now;
    `written` and `blocked` (by a guard that did not hold) are of the present step."""

    stored: dict[str, Value] = field(default_factory=dict[str, Value])
    before: dict[str, Value] = field(default_factory=dict[str, Value])
    present: dict[str, Value] = field(default_factory=dict[str, Value])
    written: set[str] = field(default_factory=set[str])
    hosted: set[str] = field(default_factory=set[str])  # the states that live on the host
    blocked: bool = False

    def begin(self) -> None:
        self.before = dict(self.stored)
        self.present = dict(self.stored)
        self.written = set()
        self.blocked = False
