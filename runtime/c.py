"""The CPU target: a module's C text, compiled once by the system's compiler and kept.

    library = compiled(AdamW.c_source, torch.float32, torch.float32)    None without a compiler
    library.launch("adamw", count, [tasks, pointers, scalars])

Shared objects are kept in $STEPC_CACHE_DIR, else $XDG_CACHE_HOME/stepc, else ~/.cache/stepc, named
by everything they depend on: text, flags, compiler version, processor. Each ends with a checksum of
itself, so a damaged one is built again. Where that folder cannot be used (read-only, or another
user's) a temporary one is.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .dtypes import FLOATS

# No flag here changes what arithmetic means (NaN, infinities and the order of sums are kept); the
# two -fno- flags only give up errno and floating-point traps, which nobody reads.
_BASE = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
         "-ffp-contract=fast", "-w")  # fmt: skip
_EXTRAS = (("-march=native", "-fopenmp"), ("-fopenmp",), ("-march=native",), ())
_WORTH_SHARING = 65536  # elements; below, one thread is done within the time others need to wake
_THREADS = """
#ifdef _OPENMP
#include <omp.h>
void stepc_threads(int count) { omp_set_num_threads(count); }
#else
void stepc_threads(int count) { (void)count; }
#endif
"""


class Library:
    """A loaded shared object. The functions release the GIL while they run."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._threads = self._library.stepc_threads
        self._threads.argtypes = [ctypes.c_int]

    def launch(self, name: str, count: int, tables: Sequence[Tensor], elements: int) -> None:
        """Call a kernel with as many threads as torch uses, or with one if there is little to do:
        waking others would take longer. The number is torch's own too (one OpenMP library serves
        both), so it is put back."""
        threads = torch.get_num_threads()
        self._threads(threads if elements >= _WORTH_SHARING else 1)
        addresses = [ctypes.c_void_p(table.data_ptr()) for table in tables]
        self._library[name](ctypes.c_int64(count), *addresses)
        self._threads(threads)


@cache
def compiled(source: str, param: torch.dtype, grad: torch.dtype) -> Library | None:
    """The library of a module for one pair of dtypes; None, and one warning, without a compiler."""
    compiler = find_compiler()
    if compiler is None:
        _warn("no C compiler was found (gcc, clang or cc; or name one in $CC)")
        return None
    text = f"{source}\n{_THREADS}"
    defines = (f"-DPARAM={FLOATS[param]}", f"-DGRAD={FLOATS[grad]}")
    complaint = ""
    for extra in _EXTRAS:
        flags = (*_BASE, *extra, *_runtime_of_torch(extra), *defines)
        for folder in _folders():
            try:
                return _load_or_build(compiler, flags, text, folder)
            except subprocess.CalledProcessError as error:
                complaint = error.stderr
                break  # another folder would not help, other flags may
            except OSError as error:
                complaint = str(error)
    _warn(f"`{compiler}` cannot build them: {complaint.strip()[:2000]}")
    return None


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"stepc: optimizers run on the CPU as plain torch code, several times slower, for {reason}",
        stacklevel=2,
    )


@cache
def find_compiler() -> str | None:
    """The C compiler: $CC, else gcc, clang or cc on the path."""
    for name in (os.environ.get("CC", ""), "gcc", "clang", "cc"):
        if name and (found := shutil.which(name)):
            return found
    return None


@cache
def _machine(compiler: str) -> str:
    """What a binary depends on besides its text and flags."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        processor = platform.processor()
    return f"{version}\n{platform.platform()}\n{processor}"


@cache
def _runtime_of_torch(extra: tuple[str, ...]) -> tuple[str, ...]:
    """The OpenMP library that torch has loaded, if its name is not the usual one: linking to the
    same one shares its threads, two would compete for the processors."""
    if "-fopenmp" not in extra:
        return ()
    found = sorted(Path(torch.__file__).parent.parent.glob("torch*/lib*gomp*.so*"))
    found += sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return tuple(str(path) for path in found if path.name != "libgomp.so.1")[:1]


# ---------------------------------------------------------------- the cache


def _folders() -> Iterator[Path]:
    """Where shared objects may be kept, best first; the last one is this process's own."""
    named = os.environ.get("STEPC_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(named) if named else Path(base or Path.home() / ".cache") / "stepc"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours(folder):
            yield folder
    except (OSError, RuntimeError):
        pass
    yield _temporary()


def _is_ours(folder: Path) -> bool:
    """Code is only loaded from a folder that no other user can write to."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


@cache
def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="stepc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _load_or_build(compiler: str, flags: tuple[str, ...], text: str, folder: Path) -> Library:
    parts = (text, *flags, _machine(compiler))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    target = folder / f"{key}.so"
    if _is_whole(target):
        try:
            return Library(target)
        except OSError:
            pass  # it cannot be loaded here after all: build it again
    _build(compiler, flags, text, target)
    return Library(target)


def _build(compiler: str, flags: tuple[str, ...], text: str, target: Path) -> None:
    """Compile beside the target, then move it there at once: two processes may do so together."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source, result = Path(folder) / "kernels.c", Path(folder) / "kernels.so"
        source.write_text(text, encoding="utf-8")
        linked = [flag for flag in flags if flag.startswith("/")]
        plain = [flag for flag in flags if not flag.startswith("/")]
        command = [compiler, *plain, "-o", str(result), str(source), *linked, "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        with result.open("ab") as file:
            file.write(_checksum(result.read_bytes()))
        os.replace(result, target)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _is_whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return _checksum(content[:-32]) == content[-32:]
