"""What a step moves, launches, keeps and needs for a while, and what the host spends on it.

work(SGD(params)).moved   ->   bytes of its plan for these tensors: 12 per float32 number
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor

from ..runtime import CompiledOptimizer, Matrix, Stream, Sweep
from ..runtime.batch import Bucket, Member
from ..runtime.cells import shape
from ..runtime.dtypes import stored
from ..runtime.family import Family
from .build import Built, build
from .contestants import Contestant
from .parameters import Parameters

_HOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Work:
    """A step of ours as planned: bytes moved between memory and processor (None if matrix
    products, which run through torch, are among it), and launches."""

    moved: int | None
    launches: int


def work(optimizer: CompiledOptimizer) -> Work:
    """What one more step moves, on the paths that the tensors really take."""
    buckets: list[Bucket] = []
    begin: Any = Family.__init__

    def watched(family: Family, found: list[Bucket], *rest: Any) -> None:
        buckets.extend(found)
        begin(family, found, *rest)

    optimizer._forget()  # pyright: ignore[reportPrivateUsage] - else it repeats what it did before
    with patch.object(Family, "__init__", watched):
        optimizer.step(loss=1.0 if optimizer.reads_loss else None)
    moved, launches, products = 0, 0, False
    for bucket in buckets:
        for step in bucket.path.steps:
            if isinstance(step, Matrix):
                products = True
                continue
            launches += 1
            if isinstance(step, Sweep):
                streams = {stream.name: stream for stream in bucket.path.streams}
                touched = [streams[name] for name in (*step.loads, *step.stores)]
                moved += sum(_bytes(s, m, bucket) for s in touched for m in bucket.members)
    return Work(None if products else moved, launches)


def _bytes(stream: Stream, member: Member, bucket: Bucket) -> int:
    """Of a stream of one tensor."""
    numel = prod(shape(stream.level, member.fact, member.choice.sizes))
    return numel * stored(stream.dtype, *bucket.dtypes).itemsize


# ---------------------------------------------------------------- memory


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of everything the optimizer keeps beside parameters and gradients, once each."""
    given = {
        p.untyped_storage().data_ptr() for group in optimizer.param_groups for p in group["params"]
    }
    kept: dict[int, int] = {}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    for tensor in _plain([*optimizer.state.values(), *groups]):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            kept[storage.data_ptr()] = storage.nbytes()
    return sum(kept.values())


def _plain(value: Any) -> Iterator[Tensor]:
    """The plain tensors inside, also those that a tensor subclass is made of."""
    if isinstance(value, Tensor):
        inner = getattr(value, "__tensor_flatten__", None)
        if inner is None:
            yield value.detach()
        else:
            for name in inner()[0]:
                yield from _plain(getattr(value, name))
    elif isinstance(value, dict):
        for item in cast("dict[Any, Any]", value).values():
            yield from _plain(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _plain(item)


class Memory:
    """The most memory that was in use since this was made, beside what was in use then."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            _forget_peak()
            self.before = _resident("VmRSS")

    def most(self) -> int | None:
        """None where the system does not say."""
        if self.cuda:
            return torch.cuda.max_memory_allocated() - self.before
        peak = _resident("VmHWM")
        return peak - self.before if peak else None


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _resident(field: str) -> int:
    """`VmRSS` or `VmHWM` of this process in bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


# ---------------------------------------------------------------- the host's part


def host_seconds(c: Contestant, listed: Parameters, dtype: torch.dtype, device: str) -> float:
    """The median time of a step of as many tensors with next to nothing in them, until it returns
    (a GPU may still be busy)."""
    tiny = Parameters(listed.name, tuple((n, _tiny(shape)) for n, shape in listed.shapes))
    step = build(c, tiny, dtype, device).step
    times: list[float] = []
    for _ in range(3 + _HOST_STEPS):
        synchronize(device)
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def _tiny(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(min(axis, 2) for axis in shape)


def synchronize(device: str) -> None:
    """Wait until the device has done all it was told; a CPU always has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def kernels(built: Built, device: str) -> int | None:
    """Launches of a step on a GPU, counted by torch's profiler; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as seen:
        built.step()
        torch.cuda.synchronize()
    events: Any = seen.events()
    on_device = [e.name for e in events if "CUDA" in str(e.device_type)]
    return sum(1 for name in on_device if not name.startswith(("Memcpy", "Memset")))
