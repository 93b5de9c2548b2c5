"""The tables of all buckets on one device: one piece of memory, sent there at once.

On the host everything is written in place, row by row or column by column. A GPU has a copy, which
is overwritten in stream order; what is sent passes through pinned memory that torch keeps until the
copy is done, so neither side waits. A CUDA graph sends in every replay what it was captured with:
from memory that was taken before and is never written again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .batch import Bucket
from .capture import is_capturing


class Tables:
    """Memory for the rows of some buckets, which find their parts of it in themselves."""

    def __init__(
        self, device: torch.device, buckets: Sequence[Bucket], capturable: bool = False
    ) -> None:
        widths = [_widths(bucket) for bucket in buckets]
        total = sum(
            len(bucket.members) * sum(width) for bucket, width in zip(buckets, widths, strict=True)
        )
        host = np.zeros(total, dtype=np.int64)
        self._host = torch.from_numpy(host)
        on_host = device.type == "cpu"
        self._there = (
            self._host if on_host else torch.empty(total, dtype=torch.int64, device=device)
        )
        self._spare = self._pinned() if capturable and not on_host else None
        self._sent_by_graphs: list[Tensor] = []
        end = 0
        for bucket, width in zip(buckets, widths, strict=True):
            arrays: list[np.ndarray] = []
            tensors: list[Tensor] = []
            for columns in width:
                rows = len(bucket.members)
                begin, end = end, end + rows * columns
                arrays.append(host[begin:end].reshape(rows, columns))
                tensors.append(self._there[begin:end].view(rows, columns))
            bucket.addresses, bucket.extents = arrays[0], arrays[1]
            bucket.numbers = arrays[2].view(np.float64)
            bucket.pointers, bucket.shapes = tensors[0], tensors[1]
            bucket.scalars = tensors[2].view(torch.float64)

    @property
    def always(self) -> bool:
        """Whether to send even what has not changed: a CUDA graph must, and replays of one may have
        come between."""
        return is_capturing() or bool(self._sent_by_graphs)

    def send(self) -> None:
        """Bring what was written to the device."""
        if self._there is self._host:
            return
        if is_capturing():
            if self._spare is None:
                raise RuntimeError("between two captures of an optimizer there must be a step")
            passing, self._spare = self._spare, None
            self._sent_by_graphs.append(passing)
        else:
            passing = self._pinned()
            if self._sent_by_graphs and self._spare is None:
                self._spare = self._pinned()
        self._there.copy_(passing.copy_(self._host), non_blocking=True)

    def _pinned(self) -> Tensor:
        pinned = self._there.device.type == "cuda"
        return torch.empty(len(self._host), dtype=torch.int64, pin_memory=pinned)


def _widths(bucket: Bucket) -> tuple[int, int, int]:
    """Columns of pointers, shapes and scalars."""
    choice = bucket.members[0].choice
    return len(bucket.path.streams), 3 + len(choice.sizes), len(choice.scalars)
