"""Which target runs a step on a device: Triton on a GPU, C on a CPU, torch elsewhere.

    with use_target("torch"):       for tests, and to see the readable form run
        optimizer.step()

Which is chosen never changes what a state holds or where it is kept.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_TARGETS = ("triton", "c", "torch")
_forced: ContextVar[str | None] = ContextVar("stepc_target", default=None)


@contextmanager
def use_target(name: str) -> Generator[None, None, None]:
    """Run steps inside on one target, whatever the device."""
    if name not in _TARGETS:
        raise ValueError(f"no target {name!r}; there are {', '.join(_TARGETS)}")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def forced_target() -> str | None:
    """The target that `use_target` asks for, if any."""
    return _forced.get()


def target_of(device: torch.device) -> str:
    """The target for tensors on a device."""
    forced = forced_target()
    if forced is not None:
        return forced
    return {"cuda": "triton", "cpu": "c"}.get(device.type, "torch")
