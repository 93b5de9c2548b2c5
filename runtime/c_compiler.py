"""The system's C compiler: which it is, what it can build here, and the OpenMP library to link to.

find_compiler()                       ("/usr/bin/gcc",), or $CC with its arguments
processor(compiler, flags)            all that a binary depends on besides text and flags
machine(compiler)                     what shows, without asking, that all of that is as it was
build(compiler, flags, text, target)  text to a shared object
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
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

_PIECE = 20_000  # letters, compiled in about half a second

# No flag here changes what arithmetic means (NaN, infinities and the order of sums are kept); the
# two -fno- flags only give up errno and floating-point traps, which nobody reads.
BASE: Command = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
                 "-ffp-contract=fast", "-w")  # fmt: skip
_BOOT = "/proc/sys/kernel/random/boot_id"  # Linux: a new one whenever a kernel starts
_FEATURES = "/sys/devices/system/cpu/modalias"
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
    processor is never taken for another's).

    Raises:
        subprocess.CalledProcessError: the compiler does not know these flags.
    """
    command = [*compiler, *variant, "-dM", "-E", "-x", "c", os.devnull]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return f"{platform.machine()}\n{macros}"


def machine(compiler: Command) -> str | None:
    """What `processor` answers, it answers again while this is the same: the kernel that runs, the
    processor's model and features, the compiler's file. None where the system tells no such thing.

    A compiler behind a script may change without the script: what it built before is still right.
    """
    try:
        found = os.stat(compiler[0])
        told = [Path(path).read_text(encoding="utf-8") for path in (_BOOT, _FEATURES)]
    except OSError:
        return None
    return "\n".join((*told, os.path.realpath(compiler[0]), f"{found.st_size} {found.st_mtime_ns}"))


def build(compiler: Command, flags: Command, text: str, target: Path) -> None:
    """Compile in a folder beside the target, then move it there at once: two processes may do so
    together, and neither sees half a file.

    Raises:
        subprocess.CalledProcessError: the compiler's complaint in `stderr`.
        OSError: the folder cannot be written to.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        result = Path(folder) / "kernels.so"
        parts = pieces(text)
        try:
            _build(compiler, flags, parts, Path(folder), result)
        except subprocess.CalledProcessError:
            if len(parts) == 1:
                raise
            _build(compiler, flags, [text], Path(folder), result)
        seal(result)
        os.replace(result, target)


def pieces(text: str) -> list[str]:
    """A long text as several of about equal length: what stands before the first kernel, and some
    of the kernels. The text alone says how many, so that every machine builds the same."""
    begin, *kernels = re.split(r"^(?=void \w+\(int64_t count)", text, flags=re.MULTILINE)
    parts: list[list[str]] = [[begin] for _ in range(max(1, len(text) // _PIECE))]
    for kernel in sorted(kernels, key=len, reverse=True):
        min(parts, key=lambda part: sum(map(len, part))).append(kernel)
    return ["".join(part) for part in parts] if len(parts) > 1 else [text]


def _build(compiler: Command, flags: Command, parts: list[str], folder: Path, result: Path) -> None:
    """Compile texts side by side, and link them."""
    sources = [folder / f"kernels{number or ''}.c" for number in range(len(parts))]
    for source, part in zip(sources, parts, strict=True):
        source.write_text(part, encoding="utf-8")
    inputs = sources
    if len(parts) > 1:
        inputs = [source.with_suffix(".o") for source in sources]
        words = [*compiler, *(flag for flag in flags if flag != "-shared"), "-c", "-o"]
        _run([[*words, str(o), str(c)] for o, c in zip(inputs, sources, strict=True)])
    _run([[*compiler, *flags, "-o", str(result), *map(str, inputs), *openmp(flags), "-lm"]])


def _run(commands: list[list[str]]) -> None:
    """Run commands side by side; raise the first complaint once all are done."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    said = [process.communicate() for process in running]
    for process, (out, error) in zip(running, said, strict=True):
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args, out, error)


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


def openmp(flags: Command) -> Command:
    """Link to torch's OpenMP library and to no other: two would wait for each other's processors,
    each with threads of its own that spin."""
    found = openmp_of_torch() if "-fopenmp" in flags and sys.platform == "linux" else None
    return ("-Wl,--as-needed", found) if found else ()
