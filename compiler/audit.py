"""What a kernel's machine code says about its speed, read from the listing alone.

    report = audit(assemble(...))
    report.full.bytes_per_element      28.0 for AdamW in float32
    report.full.loads                  Counter({16: 8}): eight 16-byte loads a thread and tile
    report.barriers, report.registers

A sweep's fast path is its innermost loops: they run over full tiles, without masks. All else (the
reads of tables, the tail of a tensor) is counted apart. ptxas may unroll a loop; the PTX before it
is not unrolled, so the ratio of the bytes that both move tells how often, and what is counted is
divided by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from typing import Any

from .assembly import Assembly, family
from .loops import innermost
from .machine_code import Op, amdgcn, ptx, sass

_REGISTER_FILE = {"sm": 65536, "gfx": 131072}  # of 32 bits: of a multiprocessor, of a compute unit
_THREADS = 2048  # that one of either holds at most
_CALMEST = 8  # registers are given out in eights


@dataclass(frozen=True, slots=True)
class Stretch:
    """Accesses to global memory by their width in bytes, and instructions, of one thread for one
    tile; `elements` of the tile are the thread's (0 outside loops). `special` names the ops of the
    special-function and conversion units, of which there are few; `doubles` counts float64 ones."""

    loads: Counter[int]
    stores: Counter[int]
    instructions: float
    special: Counter[str]
    doubles: int
    elements: float

    @property
    def bytes_per_element(self) -> float:
        return (_bytes(self.loads) + _bytes(self.stores)) / self.elements if self.elements else 0.0

    @property
    def instructions_per_element(self) -> float:
        return self.instructions / self.elements if self.elements else 0.0

    @property
    def special_per_element(self) -> float:
        return self.special.total() / self.elements if self.elements else 0.0

    def __add__(self, other: Stretch) -> Stretch:
        """Two loops over the same elements."""
        return Stretch(
            self.loads + other.loads,
            self.stores + other.stores,
            self.instructions + other.instructions,
            self.special + other.special,
            self.doubles + other.doubles,
            self.elements,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What a kernel holds, and `full`: all its loops over full tiles."""

    target: str
    registers: int
    spills: int
    stack: int
    shared: int
    barriers: int
    atomics: int
    full: Stretch

    @property
    def flight(self) -> float:
        """Bytes that a multiprocessor full of such threads has asked memory for at once."""
        room = -(-self.registers // _CALMEST) * _CALMEST
        threads = min(_THREADS, _REGISTER_FILE[family(self.target)] // room)
        return _bytes(self.full.loads) * threads

    @property
    def figures(self) -> dict[str, Any]:
        """What is held against budgets and kept in docs/kernels.json: of full tiles per element,
        but the accesses of one thread and tile."""
        full = self.full
        return {
            "registers": self.registers,
            "spills": self.spills,
            "stack": self.stack,
            "shared": self.shared,
            "barriers": self.barriers,
            "atomics": self.atomics,
            "doubles": full.doubles,
            "loads": {str(width): number for width, number in sorted(full.loads.items())},
            "stores": {str(width): number for width, number in sorted(full.stores.items())},
            "bytes": round(full.bytes_per_element, 3),
            "instructions": round(full.instructions_per_element, 1),
            "special": round(full.special_per_element, 1),
            "units": sorted(full.special),
            "flight": round(self.flight),
        }


def audit(kernel: Assembly) -> Report:
    """Read the report off a kernel's listing."""
    amd = family(kernel.target) == "gfx"
    code = amdgcn(kernel.listing) if amd else sass(kernel.listing)
    loops = innermost(code)
    elements = kernel.block / kernel.threads
    full = _once(loops, loops if amd else innermost(ptx(kernel.stages["ptx"])), elements)
    return Report(
        kernel.target, kernel.registers, kernel.spills, kernel.stack, kernel.shared,
        barriers=sum(op.name.startswith(("BAR", "s_barrier")) for op in code),
        atomics=sum(op.atomic for op in code),
        full=full,
    )  # fmt: skip


def _once(loops: list[list[Op]], rolled: list[list[Op]], elements: float) -> Stretch:
    """All loops together, each as though it were not unrolled. Where the loops are not the same
    ones in both (one was unrolled wholly), only their sum can be compared."""
    if len(loops) != len(rolled):
        loops, rolled = [list(chain(*loops))], [list(chain(*rolled))]
    stretches = [
        _stretch(loop, elements, max(1, round(_moved(loop) / max(_moved(once), 1))))
        for loop, once in zip(loops, rolled, strict=True)
    ]
    return reduce(Stretch.__add__, stretches, _stretch([], elements, 1))


def _stretch(code: list[Op], elements: float, unrolled: int) -> Stretch:
    def count(widths: Iterable[int]) -> Counter[int]:
        return Counter({w: -(-n // unrolled) for w, n in Counter(widths).items() if w})

    special = Counter(_unit(op.name) for op in code if op.special)
    return Stretch(
        count(op.load for op in code),
        count(op.store for op in code),
        sum(not op.label for op in code) / unrolled,
        Counter({name: -(-number // unrolled) for name, number in special.items()}),
        sum(op.double for op in code),
        elements,
    )


def _unit(name: str) -> str:
    """`MUFU.RCP`, `F2I`, `v_rcp_f32`: the op without how it rounds."""
    parts = name.split(".")
    return ".".join(parts[:2] if parts[0] == "MUFU" else parts[:1])


def _moved(code: list[Op]) -> int:
    return sum(op.load + op.store for op in code)


def _bytes(counts: Counter[int]) -> int:
    return sum(width * number for width, number in counts.items())
