"""What a kernel's machine code says about its speed, read from the listing alone.

    report = audit(assemble(...))
    report.full.bytes_per_element      28.0 for AdamW in float32
    report.full.loads                  Counter({16: 8}): eight 16-byte loads a thread and tile
    report.barriers, report.registers

A sweep's fast path is its innermost loops: they run over full tiles, without masks. All else (the
reads of tables, the tail of a tensor) is counted apart. ptxas may unroll a loop; the PTX before it
is not unrolled, so the ratio of the bytes both move tells how often.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .assembly import Assembly


@dataclass(frozen=True, slots=True)
class Stretch:
    """Accesses to global memory by their width in bytes and instructions, of one thread; and per
    element of the tile (0 outside loops)."""

    loads: Counter[int]
    stores: Counter[int]
    instructions: int
    special: int
    elements: float

    @property
    def bytes_per_element(self) -> float:
        moved = sum(width * count for width, count in (self.loads + self.stores).items())
        return moved / self.elements if self.elements else 0.0

    @property
    def instructions_per_element(self) -> float:
        return self.instructions / self.elements if self.elements else 0.0

    @property
    def special_per_element(self) -> float:
        """Ops of the special-function and conversion units, of which there are few."""
        return self.special / self.elements if self.elements else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    target: str
    registers: int
    spills: int
    stack: int
    shared: int
    barriers: int
    full: Stretch
    rest: Stretch

    def __str__(self) -> str:
        full = self.full
        lines = (
            f"{self.target}: {self.registers} registers, {self.spills} spills, "
            f"{self.stack} B stack, {self.shared} B shared memory, {self.barriers} barriers",
            f"  full tiles: {full.bytes_per_element:g} bytes, "
            f"{full.instructions_per_element:.1f} instructions and "
            f"{full.special_per_element:.1f} special-function ops per element",
            f"    loads  {_widths(full.loads)}",
            f"    stores {_widths(full.stores)}",
            f"  elsewhere: loads {_widths(self.rest.loads)}; stores {_widths(self.rest.stores)}",
        )
        return "\n".join(lines)


def audit(kernel: Assembly) -> Report:
    """Read the report off a kernel's listing."""
    amd = kernel.target.startswith("gfx")
    code = _amd_code(kernel.listing) if amd else _sass_code(kernel.listing)
    inner = _innermost_loops(code)
    elements = kernel.block / kernel.threads
    full = _stretch(inner, elements)
    if not amd:
        once = _stretch(_innermost_loops(_ptx_code(kernel.stages["ptx"])), elements)
        if once.bytes_per_element:
            unrolled = full.bytes_per_element / once.bytes_per_element
            full = _stretch(inner, elements * unrolled)
    inside = {id(op) for op in inner}
    return Report(
        kernel.target, kernel.registers, kernel.spills, kernel.stack, kernel.shared,
        barriers=sum(op.name.startswith(("BAR", "s_barrier")) for op in code),
        full=full,
        rest=_stretch([op for op in code if id(op) not in inside], 0.0),
    )  # fmt: skip


# ---------------------------------------------------------------- listings


@dataclass(frozen=True, slots=True)
class _Op:
    """One instruction. `label` is set on a label line, `jump` on a branch."""

    name: str
    label: str = ""
    jump: str = ""
    load: int = 0
    store: int = 0
    special: bool = False


_SASS = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ +)?([A-Z][\w.]*)(.*)$")
_SASS_SPECIAL = re.compile(r"^(MUFU|F2F|F2I|I2F|F2FP|FRND)\b(?!.*PACK_AB)")


def _sass_code(text: str) -> list[_Op]:
    code: list[_Op] = []
    for line in text.splitlines():
        if line.startswith(".L"):
            code.append(_Op("", label=line.rstrip(":")))
        elif match := _SASS.match(line):
            name, rest = match.groups()
            jump = re.search(r"`\((\.L\w+)\)", rest) if name.startswith("BRA") else None
            width = _sass_width(name)
            code.append(
                _Op(
                    name,
                    jump=jump.group(1) if jump else "",
                    load=width if name.startswith("LDG") else 0,
                    store=width if name.startswith("STG") else 0,
                    special=bool(_SASS_SPECIAL.match(name)),
                )
            )
    return code


def _sass_width(name: str) -> int:
    parts = name.split(".")
    for part, width in (("256", 32), ("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("U8", 1)):
        if part in parts:
            return width
    return 1 if "S8" in parts else 4


_PTX = re.compile(
    r"^\s*(?:@!?%p\d+\s+)?(?:(ld|st)\.global\S*?(?:\.v(\d))?\.[bfsu](\d+)\s|bra\S*\s+(\$\S+);)"
)


def _ptx_code(text: str) -> list[_Op]:
    code: list[_Op] = []
    for line in text.splitlines():
        if line.startswith("$L__BB"):
            code.append(_Op("", label=line.split(":")[0]))
        elif match := _PTX.match(line):
            kind, lanes, bits, jump = match.groups()
            width = int(lanes or 1) * int(bits) // 8 if kind else 0
            code.append(
                _Op(
                    kind or "bra",
                    jump=jump or "",
                    load=width if kind == "ld" else 0,
                    store=width if kind == "st" else 0,
                )
            )
    return code


_AMD_WIDTH = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "short": 2, "ushort": 2}
_AMD_SPECIAL = re.compile(r"^v_(sqrt|rcp|rsq|exp|log|sin|cos|cvt)_")
_AMD = re.compile(r"^\t([a-z]\w+)(?:\s+(.*))?$")


def _amd_code(text: str) -> list[_Op]:
    code: list[_Op] = []
    for line in text.split(".section\t.AMDGPU", 1)[0].splitlines():
        if line.startswith(".LBB"):
            code.append(_Op("", label=line.split(":")[0]))
        elif match := _AMD.match(line):
            name, rest = match.group(1), match.group(2) or ""
            access = re.match(r"^(?:global|buffer|flat)_(load|store)_(\w+)", name)
            width = _amd_width(access.group(2)) if access else 0
            code.append(
                _Op(
                    name,
                    jump=rest.strip() if name.startswith(("s_cbranch", "s_branch")) else "",
                    load=width if access and access.group(1) == "load" else 0,
                    store=width if access and access.group(1) == "store" else 0,
                    special=bool(_AMD_SPECIAL.match(name)),
                )
            )
    return code


def _amd_width(kind: str) -> int:
    first = kind.split("_")[0]
    return _AMD_WIDTH.get(first, 1)


# ---------------------------------------------------------------- loops


def _innermost_loops(code: list[_Op]) -> list[_Op]:
    """The instructions of the loops without a loop inside that touch global memory."""
    blocks = _blocks(code)
    follow = _edges(blocks)
    come = {k: [j for j in follow if k in follow[j]] for k in follow}
    loops: dict[int, set[int]] = {}
    for head in follow:
        after = _reach(follow, {head}, stop=-1)
        tails = {k for k in come[head] if k >= head and k in after}
        if tails:
            loops[head] = (_reach(come, tails, stop=head) & after) | {head}
    found: list[_Op] = []
    for head, body in loops.items():
        ops = [op for k in sorted(body) for op in blocks[k]]
        nested = any(other != head and other in body for other in loops)
        if not nested and any(op.load or op.store for op in ops):
            found += ops
    return found


def _blocks(code: list[_Op]) -> list[list[_Op]]:
    """Basic blocks: a label begins one, a jump ends one."""
    blocks: list[list[_Op]] = [[]]
    for op in code:
        if op.label or (blocks[-1] and blocks[-1][-1].jump):
            blocks.append([])
        blocks[-1].append(op)
    return blocks


def _edges(blocks: list[list[_Op]]) -> dict[int, list[int]]:
    """Which blocks may follow a block. (A branch is taken to be conditional: harmless here.)"""
    labels = {block[0].label: k for k, block in enumerate(blocks) if block and block[0].label}
    edges: dict[int, list[int]] = {}
    for k, block in enumerate(blocks):
        last = block[-1] if block else _Op("")
        falls = last.name not in ("s_branch", "s_endpgm") and k + 1 < len(blocks)
        edges[k] = ([k + 1] if falls else []) + ([labels[last.jump]] if last.jump in labels else [])
    return edges


def _reach(edges: dict[int, list[int]], start: set[int], stop: int) -> set[int]:
    """All blocks reachable from `start` without going through `stop`."""
    seen = set(start) - {stop}
    todo = list(seen)
    while todo:
        for k in edges[todo.pop()]:
            if k not in seen and k != stop:
                seen.add(k)
                todo.append(k)
    return seen


def _stretch(code: list[_Op], elements: float) -> Stretch:
    return Stretch(
        Counter(op.load for op in code if op.load),
        Counter(op.store for op in code if op.store),
        sum(not op.label for op in code),
        sum(op.special for op in code),
        elements,
    )


def _widths(count: Counter[int]) -> str:
    parts = [f"{number} x {width} B" for width, number in sorted(count.items(), reverse=True)]
    return ", ".join(parts) or "none"
