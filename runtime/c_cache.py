"""Where shared objects are kept: $STEPC_CACHE_DIR, else $XDG_CACHE_HOME/stepc, else ~/.cache/stepc.

Code is only loaded from a folder that nobody else can write to, and only if it is whole: each file
ends with a checksum of itself, so a damaged one is built again. Where no such folder can be had,
a temporary one serves this process. Notes beside them spare later processes a question.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

_CHECKSUM = 32  # bytes


def folders() -> Iterator[Path]:
    """Where shared objects may be kept, best first; the last one is this process's own."""
    named = os.environ.get("STEPC_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(named) if named else Path(base or Path.home() / ".cache") / "stepc"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_safe(folder):
            yield folder
    except (OSError, RuntimeError):
        pass
    yield temporary()


def _is_safe(folder: Path) -> bool:
    """Whether only we, or the system's administrator, can write to a folder."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022


@cache
def temporary() -> Path:
    """A folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix="stepc-")
    atexit.register(_remove, folder, os.getpid())
    return Path(folder)


def _remove(folder: str, owner: int) -> None:
    """A forked child that ends must not remove what its parent uses."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def seal(path: Path) -> None:
    """Add a file's checksum at its end, where a loader does not look."""
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(hashlib.sha256(content).digest())


def is_whole(path: Path) -> bool:
    """Whether a file is there and ends with its own checksum."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_CHECKSUM]).digest() == content[-_CHECKSUM:]


def noted(folder: Path, question: str, machine: str | None, ask: Callable[[], str]) -> str:
    """The hash of what `ask` answers to a question; kept in a note that is right as long as this
    machine is the same. Machines that share the folder have a note each."""
    if machine is None:
        return _hash(ask())
    path = folder / f"{_hash(platform.node(), question)[:32]}.note"
    right = _hash(question, machine)
    try:
        known, answer = path.read_text(encoding="utf-8").split()
        if known == right and len(answer) == len(right):
            return answer
    except (OSError, ValueError):
        pass
    answer = _hash(ask())
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=folder) as beside:
        new = Path(beside) / "note"
        new.write_text(f"{right} {answer}\n", encoding="utf-8")
        os.replace(new, path)
    return answer


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
