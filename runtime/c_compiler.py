"""The system's C compiler: which it is, what it can build here, and the OpenMP library to link to.

find_compiler()                       ("/usr/bin/gcc",), or $CC with its arguments
processor(compiler, flags)            all that a binary depends on besides text and flags
build(compiler, flags, text, target)  text to a shared object
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from .c_cache import seal

Command = tuple[str, ...]

# No flag here changes what arithmetic means (NaN, infinities and the order of sums are kept); the
# two -fno- flags only give up errno and floating-point traps, which nobody reads.
BASE: Command = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
                 "-ffp-contract=fast", "-w")  # fmt: skip
# What is tried, best first: this very processor's instructions and all threads, down to code that
# every processor of the architecture runs, on one thread.
VARIANTS: tuple[Command, ...] = (
    ("-march=native", "-fopenmp"), ("-fopenmp",), ("-march=native",), (),
)  # fmt: skip


@cache
def find_compiler() -> Command | None:
    """The C compiler and the arguments it always takes: $CC, else gcc, clang or cc on the path."""
    for words in (shlex.split(os.environ.get("CC", "")), ["gcc"], ["clang"], ["cc"]):
        if words and (found := shutil.which(words[0])):
            return (found, *words[1:])
    return None


@cache
def processor(compiler: Command, variant: Command) -> str:
    """What a binary depends on besides its text and flags: the macros that the compiler predefines
    (its version, the architecture, and every instruction set it may use, so that code for one
    processor is never taken for another's), and the name of the OpenMP library linked to.

    Raises:
        subprocess.CalledProcessError: the compiler does not know these flags.
    """
    command = [*compiler, *variant, "-dM", "-E", "-x", "c", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    linked = [Path(word).name for word in _openmp(variant)]
    return "\n".join((platform.machine(), *linked, macros))


def build(compiler: Command, flags: Command, text: str, target: Path) -> None:
    """Compile in a folder beside the target, then move it there at once: two processes may do so
    together, and neither sees half a file.

    Raises:
        subprocess.CalledProcessError: the compiler's complaint in `stderr`.
        OSError: the folder cannot be written to.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source, result = Path(folder) / "kernels.c", Path(folder) / "kernels.so"
        source.write_text(text, encoding="utf-8")
        command = [*compiler, *flags, "-o", str(result), str(source), *_openmp(flags), "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        seal(result)
        os.replace(result, target)


# ---------------------------------------------------------------- OpenMP


class _Place(ctypes.Structure):
    """What dladdr tells of an address; `file` is the library it lies in."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def library_of(function: object) -> str | None:
    """The file of the loaded library that a C function lies in; None where nobody can tell."""
    try:
        ask = ctypes.CDLL(None).dladdr
    except (AttributeError, OSError, TypeError):
        return None
    place = _Place()
    address = ctypes.cast(function, ctypes.c_void_p)  # type: ignore[arg-type]
    found = ask(address, ctypes.byref(place))
    return os.fsdecode(place.file) if found and place.file else None


@cache
def openmp_of_torch() -> str | None:
    """The OpenMP library whose threads torch uses, whatever its name and wherever it was found."""
    suffix = "dylib" if sys.platform == "darwin" else "so"
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"))
        return library_of(library.omp_get_max_threads)  # looked up in what that library links to
    except (AttributeError, OSError):
        return None


def _openmp(flags: Command) -> Command:
    """Link to torch's OpenMP library and to no other: two would wait for each other's processors,
    each with threads of its own that spin."""
    found = openmp_of_torch() if "-fopenmp" in flags and sys.platform == "linux" else None
    return ("-Wl,--as-needed", found) if found else ()
