"""From a spec to a class in memory, or to a file: what `stepc.compile` and the commands call."""

from __future__ import annotations

import builtins
import errno
import hashlib
import linecache
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..dsl.load import load
from .pipeline import build


def compile(
    what: str | Path,
    *,
    quantize: str | Mapping[str, str] | None = None,
    rounding: str | None = None,
) -> type[Any]:
    """The `torch.optim.Optimizer` class that a spec describes.

    Args:
        what: a path to a spec, a spec's text, or a composition such as
            ``"AdamW + Cautious + Lookahead(k=5)"``.
        quantize: a codec for all states (``"dynamic8"``) or one per state
            (``{"m": "dynamic8(block=256)"}``).
        rounding: how the parameter is written: ``"nearest"``, ``"stochastic"``, ``"kahan"``,
            ``"master"`` or ``"master(bits = 8)"``.

    Raises:
        SpecError: if the spec is wrong, with every mistake in it.
    """
    made = build(load(what, quantize=quantize, rounding=rounding))
    return class_from_text(made.model.name, made.module)


def class_from_text(name: str, text: str) -> type[Any]:
    """The class `name` of a generated module's text."""
    return getattr(_module_from_text(name, text), name)


def _module_from_text(name: str, text: str) -> ModuleType:
    """A module with this text, as if imported: its source can be read by inspect and Triton."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    full = f"stepc.compiled.{name.lower()}_{digest}"
    known = sys.modules.get(full)
    if known is not None:
        return known
    path = f"<{full}>"
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    module = ModuleType(full)
    module.__file__ = path
    sys.modules[full] = module
    try:
        exec(builtins.compile(text, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[full]
        raise
    return module


def write(path: Path, text: str) -> bool:
    """Write a file whole or not at all; False if it already says so.

    Raises OSError where the place cannot be written.
    """
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path = path.resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True
