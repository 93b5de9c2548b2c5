"""The CPU target: a module's C text, compiled once by the system's compiler and kept.

    library = compiled(AdamW.c_source, torch.float32, torch.float32)    None without a compiler
    library.launch("adamw", count, [tasks, pointers, scalars], elements)

A shared object is named by everything it depends on: text, flags, compiler, processor
(`c_compiler.py`), and kept where `c_cache.py` says.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .c_cache import folders, is_whole, noted
from .c_compiler import BASE, VARIANTS, Command, build, find_compiler, machine, openmp, processor
from .dtypes import FLOATS

__all__ = ["Library", "compiled", "find_compiler"]

_WORTH_SHARING = 65536  # elements; below, one thread is done within the time others need to wake
_OPENMP = """\
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_set_num_threads(count) (void)(count)
#endif
"""
_THREADS = "void stepc_threads(int count) { omp_set_num_threads(count); }\n"


class Library:
    """A loaded shared object. The functions release the GIL while they run."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        self._threads = self._library.stepc_threads
        self._threads.argtypes = [ctypes.c_int]
        self._functions: dict[str, Any] = {}

    def launch(self, name: str, count: int, tables: Sequence[Tensor], elements: int) -> None:
        """Call a kernel with as many threads as torch uses, or with one if there is little to do:
        waking others would take longer. The number is torch's own too (one OpenMP library serves
        both), so it is put back."""
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._library[name]
            function.argtypes = [ctypes.c_int64, *(ctypes.c_void_p for _ in tables)]
        threads = torch.get_num_threads()
        shared = elements >= _WORTH_SHARING and may_share()
        self._threads(threads if shared else 1)
        function(count, *[table.data_ptr() for table in tables])
        self._threads(threads)


_forked = False


def _fork() -> None:
    """The parent's threads are not in a forked child, yet its OpenMP library would wait for them:
    kernels there run on one thread."""
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork)


def may_share() -> bool:
    """Whether threads may share work here."""
    return not _forked


@cache
def compiled(source: str, param: torch.dtype, grad: torch.dtype) -> Library | None:
    """The library of a module for one pair of dtypes; None, and one warning, without a compiler."""
    compiler = find_compiler()
    if compiler is None:
        _warn("no C compiler was found (gcc, clang or cc; or name one in $CC)")
        return None
    text = f"{_OPENMP}{source}\n{_THREADS}"
    size = f"-DPARAM_BYTES={param.itemsize}"
    defines = (f"-DPARAM={FLOATS[param]}", f"-DGRAD={FLOATS[grad]}", size)
    complaint = ""
    for variant in VARIANTS:
        for folder in folders():
            try:
                return _load_or_build(compiler, variant, defines, text, folder)
            except subprocess.CalledProcessError as error:
                complaint = error.stderr
                break  # another folder would not help, other flags may
            except OSError as error:
                complaint = str(error)
    _warn(f"`{' '.join(compiler)}` cannot build them: {complaint.strip()[:2000]}")
    return None


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"stepc: optimizers run on the CPU as plain torch code, several times slower, for {reason}",
        stacklevel=2,
    )


def _load_or_build(
    compiler: Command, variant: Command, defines: Command, text: str, folder: Path
) -> Library:
    flags = (*BASE, *variant, *defines)
    linked = [Path(word).name for word in openmp(variant)]
    question = "\0".join((*compiler, *variant))
    told = noted(folder, question, machine(compiler), lambda: processor(compiler, variant))
    parts = (text, *flags, *linked, told)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    target = folder / f"{key}.so"
    if is_whole(target):
        try:
            return Library(target)
        except OSError:
            pass  # it cannot be loaded here after all: build it again
    build(compiler, flags, text, target)
    return Library(target)
