"""How large a Triton kernel's tiles and tasks are: decided here, and only here.

Memory is kept busy by what has been asked of it and has not yet come. At 4.8 TB/s and 0.7 us a
multiprocessor of an H200 must have about 25 KB under way at all times, and threads also compute and
store; so aim at twice that. Each thread asks for a tile's worth of each stream at once:

    bytes in flight = threads on a multiprocessor * values per thread * bytes loaded per element

    AdamW in float32 (56 registers, so 1,152 threads): 1152 * 8 * 16 = 147 KB
    AdamW8bit beside bfloat16 (72 registers, 896 threads): 896 * 8 * 6 = 43 KB

- A thread takes 8 values of each stream: bfloat16 then moves 16 bytes of a stream per thread,
  float32 32 bytes, in accesses as wide as the widest stream allows. More would cost registers;
  fewer would spend more instructions per element on addresses and loops.
- It takes 4 where 8 would need more than 64 registers, with which 1,024 threads fit. The compiler
  counts the values of one element that are alive at once, totals among them; two more are what a
  tile adds to totals of the sweep. 53 registers are left for all its elements' values and for the
  tensor's own numbers (AdamW: 8 * 4 + 10), the others hold addresses and counters. With more than
  four streams 4 values are enough bytes anyway. Over cells it is so with four already, for the ends
  of cells take registers too: 44 are left where totals stay for all cells (of Ranger21's norms, 64
  were too few for 4 values of 5 totals and 3 streams).
- It takes 2 where they fit and 4 would not, in a sweep over cells: totals stay, while a flat
  sweep's thread can be done with one element before it begins the next. Elements of a column lie
  apart: a value there, its mask and two addresses of 64 bits count as six.
- A thread of AMD's, twice as many to a warp and with twice the registers, takes 4 always.
- Four warps to a program: small enough that a program's end leaves little idle, and a reduction
  over its threads is short. A cell that is one tile takes one warp for 256 elements, so that its
  reductions need no shared memory.
- A task is 8,192 elements: AdamW's share of memory takes 60 us for that, which hides its three
  dependent reads of tables (0.7 us). 10 million parameters still occupy every multiprocessor (1,220
  tasks for 1,188 places), and of 1 billion the last wave is 1 % of the time.
- The interpreter (TRITON_INTERPRET=1) pays per operation, not per element: large tiles.
"""

from __future__ import annotations

import os

import torch

from .path import Finish, Sweep

WARP = 32 if torch.version.hip is None else 64
"""Threads to a warp on this machine."""

_WARPS = 4
_MOST_STREAMS = 4  # of 8 values each; one fewer over cells
_REGISTERS = 53  # of 64, for values and numbers
_OVER_CELLS = 44  # of them, beside totals of a sweep over cells
_PER_WARP = 256  # elements of a cell that is one tile
_TASK = 8192
_INTERPRETED_BLOCK = 16384


def interpreted() -> bool:
    """Whether Triton kernels run in its interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")


def block_of(step: Sweep | Finish, warp: int = WARP) -> int:
    """The tile's length, on a device with `warp` threads to a warp."""
    if isinstance(step, Sweep) and step.triton_block:
        return step.triton_block
    if interpreted():
        return _INTERPRETED_BLOCK
    return _WARPS * warp * _values(step, warp)


def _values(step: Sweep | Finish, warp: int) -> int:
    """Values of each stream that a thread takes at once."""
    if warp > 32:
        return 4
    if isinstance(step, Finish):
        return 8
    lone = step.cell == "cols"
    alive = 6 * step.triton_alive if lone else step.triton_alive + 2 * bool(step.partials)
    numbers = len(step.scalars) + len(step.values) + len(step.totals)
    streams = len(step.loads) + (step.cell is not None)
    most = 8 if streams <= _MOST_STREAMS else 4
    least = 4 if step.cell is None else 2
    room = _OVER_CELLS if step.cell is not None and step.partials and not lone else _REGISTERS
    fitting = (n for n in (8, 4, 2) if least <= n <= most and n * alive + numbers <= room)
    return next(fitting, 4)


def warps_of(step: Sweep | Finish) -> int:
    """Warps per program."""
    if isinstance(step, Sweep) and step.triton_block:
        return max(1, step.triton_block // _PER_WARP)
    return _WARPS


def task_size(sweep: Sweep) -> int:
    """Elements per task; a multiple of the tile's length."""
    return max(_TASK, 8 * block_of(sweep))
