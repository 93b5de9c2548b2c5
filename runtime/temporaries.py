"""Memory for what one sweep of a step leaves to the next.

Per stream there is one piece for all members of a bucket, each beginning at a multiple of 64
numbers. It is taken anew in every step and given back after it: nothing is held in between.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod

import numpy as np
import torch
from torch import Tensor

from .batch import Bucket
from .cells import shape
from .dtypes import stored
from .path import Stream
from .target import target_of


class Temporaries:
    """A bucket's temporary streams, and where in their pieces each member begins."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._streams = [
            _Stream(column, stream, bucket)
            for column, stream in enumerate(bucket.path.streams)
            if stream.kind in ("temporary", "bands")
        ]
        self._pieces: list[Tensor] = []

    def take(self) -> None:
        """Memory for this step."""
        for stream in self._streams:
            total = stream.firsts[-1]
            self._pieces.append(torch.empty(total, dtype=stream.dtype, device=self._bucket.device))

    def show(self) -> None:
        """Let members see it, as tensors."""
        for piece, stream in zip(self._pieces, self._streams, strict=True):
            for member, first, form in zip(
                self._bucket.members, stream.firsts[:-1], stream.shapes, strict=True
            ):
                member.tensors[stream.name] = piece[first : first + prod(form)].view(form)

    def write(self) -> bool:
        """Write where it lies into the table of addresses; whether it has moved."""
        moved = False
        for piece, stream in zip(self._pieces, self._streams, strict=True):
            column = self._bucket.addresses[:, stream.column]
            now = piece.data_ptr() + stream.offsets
            if not np.array_equal(now, column):
                column[:] = now
                moved = True
        return moved

    def give_back(self) -> None:
        """Forget this step's memory."""
        self._pieces.clear()


class _Stream:
    def __init__(self, column: int, stream: Stream, bucket: Bucket) -> None:
        self.column, self.name = column, stream.name
        self.dtype = stored(stream.dtype, *bucket.dtypes)
        here = stream.kind == "temporary" or target_of(bucket.device) == "c"
        self.shapes = [
            shape(stream.level, m.fact, m.choice.sizes) if here else (0,) for m in bucket.members
        ]
        padded = [-(-prod(form) // 64) * 64 for form in self.shapes]
        self.firsts = list(accumulate(padded, initial=0))
        self.offsets = np.array(self.firsts[:-1], dtype=np.int64) * self.dtype.itemsize
