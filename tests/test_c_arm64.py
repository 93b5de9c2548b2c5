"""Generated C on the other architecture: built by a cross compiler, run by an emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from contract import classes

import stepc.generated as generated
from stepc.runtime import c as target
from stepc.runtime import c_compiler

CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
crosses = pytest.mark.skipif(CROSS is None, reason="no aarch64-linux-gnu-gcc here")
runs = pytest.mark.skipif(EMULATOR is None, reason="no qemu-aarch64 here")
NAMES = [cls.__name__ for cls in classes() if cls.__module__.startswith("stepc.generated")]

# Two steps of AdamW on one tensor of 1000 values, printed exactly.
MAIN = """
#include <stdio.h>
int main(void)
{
    static PARAM param[1000], grad[1000];
    static REAL m[1000], v[1000];
    for (int i = 0; i < 1000; i++) {
        param[i] = STORE(PARAM, (REAL)(i - 500) / 300);
        grad[i] = STORE(GRAD, (REAL)(7 * i % 1000 - 400) / 900);
    }
    const int64_t tasks[] = {0, 0, 600, 0, 600, 1000};
    const int64_t pointers[] = {(int64_t)param, (int64_t)grad, (int64_t)m, (int64_t)v};
    const double scalars[] = {0.999, 0.01, 10, 0.9, 0.1, 1, 1000, 0.999, 0.001, 1e-8};
    adamw(2, tasks, pointers, scalars);
    adamw(2, tasks, pointers, scalars);
    for (int i = 0; i < 1000; i++)
        printf("%.9g %.9g %.9g\\n", (double)LOAD(PARAM, param[i]), (double)m[i], (double)v[i]);
}
"""


def cross(tmp_path: Path, source: str, dtype: str, *flags: str) -> Path:
    """An arm64 binary of a text."""
    path, made = tmp_path / "kernels.c", tmp_path / "arm64"
    path.write_text(source)
    words = [*c_compiler.BASE, *flags, f"-DPARAM={dtype}", f"-DGRAD={dtype}"]
    subprocess.run([str(CROSS), *words, "-Werror", "-o", str(made), str(path), "-lm"], check=True)
    return made


@crosses
@pytest.mark.parametrize("name", NAMES)
def test_every_module_builds(name: str, tmp_path: Path) -> None:
    source = f"{target._OPENMP}{getattr(generated, name).c_source}\n{target._THREADS}"
    made = cross(tmp_path, source, "bf16", "-fopenmp", "-O1", "-DPARAM_BYTES=2")
    assert made.read_bytes()[18:20] == b"\xb7\x00"  # the header's word for arm64


@crosses
@runs
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_a_kernel_computes_the_same(dtype: str, tmp_path: Path) -> None:
    source = generated.AdamW.c_source + MAIN
    made = cross(tmp_path, source, dtype, "-fno-PIC", "-no-pie", "-static", "-fopenmp")
    compiler = c_compiler.find_compiler()
    assert compiler is not None
    here, path = tmp_path / "here", tmp_path / "kernels.c"
    flags = ["-O1", "-ffp-contract=fast", f"-DPARAM={dtype}", f"-DGRAD={dtype}"]
    subprocess.run([*compiler, *flags, "-o", str(here), str(path), "-lm"], check=True)
    found, want = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for command in ([str(EMULATOR), str(made)], [str(here)])
    )
    found, want = (np.array(words, dtype=np.float64).reshape(1000, 3) for words in (found, want))
    unit = {"f32": 2e-7, "bf16": 2**-8}[dtype]  # contraction may round the other way
    error = np.abs(found - want).max(axis=0) / np.abs(want).max(axis=0)
    assert (error <= unit * np.array([1, 2e-7 / unit, 2e-7 / unit])).all(), error
