"""Listings of machine code as instructions: what each moves, and which unit runs it.

    sass(text), ptx(text), amdgcn(text)    ->   [Op("LDG.E.128", load=16), Op("FFMA"), ...]

Only what tells about speed is read: accesses to global memory and their width, the instructions of
the special-function and conversion units, those in float64, atomics, labels and jumps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Op:
    """One instruction; a branch is called `... always` or `bra.uni` where it depends on nothing.
    `label` is set on a label line, `jump` on a branch; `load` and `store` are
    bytes of global memory. `special`: of the special-function or a conversion unit; `double`: of
    float64; `atomic`: reads and writes memory at once."""

    name: str
    label: str = ""
    jump: str = ""
    load: int = 0
    store: int = 0
    special: bool = False
    double: bool = False
    atomic: bool = False


_SASS = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ +)?([A-Z][\w.]*)(.*)$")
_SASS_ALWAYS = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(BRA\s+`\(|EXIT\b)")
_SASS_SPECIAL = re.compile(r"^(MUFU|F2F|F2I|I2F|F2FP|FRND)\b(?!.*PACK_AB)")
_SASS_DOUBLE = re.compile(r"^D(ADD|MUL|FMA|SETP|MNMX|MMA)\b|\.F64\b|64H\b")
_SASS_ATOMIC = re.compile(r"^(ATOM\w*|REDG?)(\.|$)")


def sass(text: str) -> list[Op]:
    code: list[Op] = []
    for line in text.splitlines():
        if line.startswith(".L"):
            code.append(Op("", label=line.rstrip(":")))
        elif match := _SASS.match(line):
            name, rest = match.groups()
            jump = re.search(r"`\((\.L\w+)\)", rest) if name.startswith("BRA") else None
            width = _sass_width(name)
            code.append(
                Op(
                    f"{name} always" if _SASS_ALWAYS.match(line) else name,
                    jump=jump.group(1) if jump else "",
                    load=width if name.startswith("LDG") else 0,
                    store=width if name.startswith("STG") else 0,
                    special=bool(_SASS_SPECIAL.match(name)),
                    double=bool(_SASS_DOUBLE.search(name)),
                    atomic=bool(_SASS_ATOMIC.match(name)),
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


def ptx(text: str) -> list[Op]:
    code: list[Op] = []
    for line in text.splitlines():
        if line.startswith("$L__BB"):
            code.append(Op("", label=line.split(":")[0]))
        elif match := _PTX.match(line):
            kind, lanes, bits, jump = match.groups()
            width = int(lanes or 1) * int(bits) // 8 if kind else 0
            code.append(
                Op(
                    kind or ("bra.uni" if "bra.uni" in line else "bra"),
                    jump=jump or "",
                    load=width if kind == "ld" else 0,
                    store=width if kind == "st" else 0,
                )
            )
    return code


_AMD_WIDTH = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "short": 2, "ushort": 2}
_AMD_SPECIAL = re.compile(r"^v_(sqrt|rcp|rsq|exp|log|sin|cos|cvt)_")
_AMD = re.compile(r"^\t([a-z]\w+)(?:\s+(.*))?$")


def amdgcn(text: str) -> list[Op]:
    code: list[Op] = []
    for line in text.split(".section\t.AMDGPU", 1)[0].splitlines():
        if line.startswith(".LBB"):
            code.append(Op("", label=line.split(":")[0]))
        elif match := _AMD.match(line):
            name, rest = match.group(1), match.group(2) or ""
            access = re.match(r"^(?:global|buffer|flat)_(load|store)_(\w+)", name)
            width = _amd_width(access.group(2)) if access else 0
            code.append(
                Op(
                    name,
                    jump=rest.strip() if name.startswith(("s_cbranch", "s_branch")) else "",
                    load=width if access and access.group(1) == "load" else 0,
                    store=width if access and access.group(1) == "store" else 0,
                    special=bool(_AMD_SPECIAL.match(name)),
                    double="f64" in name,
                    atomic="atomic" in name,
                )
            )
    return code


def _amd_width(kind: str) -> int:
    first = kind.split("_")[0]
    return _AMD_WIDTH.get(first, 1)
