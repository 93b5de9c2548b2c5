"""Compiling a Triton kernel ahead of time, down to machine code, on a machine without a GPU.

    kernel = assemble(adamw, ("float32", "float32"), "sm_90", block=1024)
    kernel.stages["sass"]              every stage as text: ttir, ttgir, llir, ptx, sass (or amdgcn)
    kernel.registers, kernel.shared    what a block of it needs

What the listing says about speed (bytes and instructions per element) is `audit.py`'s.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_TRITON: Any = triton  # its own types do not know all of this
_FLOAT_TABLES = frozenset({"scalars", "values", "totals", "partials"})
_TEXT_STAGES = ("ttir", "ttgir", "llir", "ptx", "amdgcn")
_DTYPES = {
    "float64": tl.float64,
    "float32": tl.float32,
    "bfloat16": tl.bfloat16,
    "float16": tl.float16,
}


@dataclass(frozen=True, slots=True)
class Assembly:
    """One kernel compiled for one target. `stages` in the order of compilation. `spills` counts the
    machine instructions (NVIDIA) or registers (AMD) that go to local memory for want of registers;
    `stack` and `shared` are bytes of a thread and of a block."""

    target: str
    threads: int
    block: int
    stages: dict[str, str]
    registers: int
    spills: int
    stack: int
    shared: int

    @property
    def listing(self) -> str:
        """The machine code as text."""
        return self.stages["amdgcn" if family(self.target) == "gfx" else "sass"]


def assemble(
    function: Any,
    dtypes: tuple[str, str],
    target: str,
    *,
    block: int,
    warps: int = 4,
    aligned: bool = True,
) -> Assembly:
    """Compile a generated kernel (a `triton.jit` function whose arguments are the runtime's tables)
    for parameters and gradients of `dtypes` and a target such as sm_90 or gfx942."""
    param, grad = dtypes
    real = "float64" if param == "float64" else "float32"
    constants: dict[str, Any] = {
        "PARAM": _DTYPES[param],
        "GRAD": _DTYPES[grad],
        "REAL": _DTYPES[real],
        "ALIGNED": aligned,
        "BLOCK": block,
    }
    names: list[str] = function.arg_names
    signature = {name: _kind(name, constants) for name in names}
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={name: constants[name] for name in names if name in constants},
    )
    compiled = _TRITON.compile(source, target=_target(target), options={"num_warps": warps})
    stages = {name: str(compiled.asm[name]) for name in _TEXT_STAGES if name in compiled.asm}
    shared = int(compiled.metadata.shared)
    threads = warps * warp(target)
    if family(target) == "gfx":
        return _amd(target, threads, block, stages, shared)
    return _nvidia(target, threads, block, stages, compiled.asm["cubin"], shared)


def family(target: str) -> str:
    """`gfx` for AMD's chips, `sm` for NVIDIA's."""
    return "gfx" if target.startswith("gfx") else "sm"


def warp(target: str) -> int:
    """Threads to a warp."""
    return {"gfx": 64, "sm": 32}[family(target)]


def _kind(name: str, constants: Mapping[str, Any]) -> str:
    if name in constants:
        return "constexpr"
    if name == "count":
        return "i32"
    return "*fp64" if name in _FLOAT_TABLES else "*i64"


def _target(name: str) -> GPUTarget:
    if family(name) == "gfx":
        return GPUTarget("hip", name, warp(name))
    return GPUTarget("cuda", int(name.removeprefix("sm_")), warp(name))


def _nvidia(
    target: str, threads: int, block: int, stages: dict[str, str], cubin: bytes, shared: int
) -> Assembly:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run(_TRITON.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(path))
        sass = _run(_TRITON.knobs.nvidia.nvdisasm.path, "-c", "-ndf", str(path))
    stages["sass"] = sass
    return Assembly(
        target, threads, block, stages,
        registers=_number(r"REG:(\d+)", usage),
        spills=len(re.findall(r"\b(?:LDL|STL)\b", sass)),
        stack=_number(r"STACK:(\d+)", usage),
        shared=shared,
    )  # fmt: skip


def _amd(target: str, threads: int, block: int, stages: dict[str, str], shared: int) -> Assembly:
    text = stages["amdgcn"]
    return Assembly(
        target, threads, block, stages,
        registers=_number(r"\.vgpr_count:\s+(\d+)", text),
        spills=_number(r"\.vgpr_spill_count:\s+(\d+)", text),
        stack=_number(r"\.private_segment_fixed_size:\s+(\d+)", text),
        shared=shared,
    )  # fmt: skip


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"the compiler's listing has no {pattern}")
    return int(found.group(1))


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
