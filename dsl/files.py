"""Files to sources: the only place where spec text is read from disk.

    read_source("my.opt")  ->  Source("my.opt", "optimizer ...")

    error E001: there is no file "adamv.opt"
      help: did you mean "adamw.opt"?

What is inside is the parser's business, its size apart: nothing above 64 kB is read at all.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from .diagnostics import Diagnostic, SpecError
from .source import Source

MAX_BYTES = 64 * 1024


def read_source(path: str | Path) -> Source:
    """The text of a spec file, named as it was asked for; raises `SpecError` (E0xx)."""
    shown = str(path)
    path = Path(path)
    try:
        if path.is_dir():
            raise _wrong("E002", f'"{shown}" is a directory', _specs_inside(path))
        if path.stat().st_size > MAX_BYTES:
            raise _wrong("E005", f'"{shown}" is larger than 64 kB', "no spec needs that much")
        data = path.read_bytes()
    except FileNotFoundError:
        raise _wrong("E001", f'there is no file "{shown}"', _near(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _wrong("E006", f'"{shown}" cannot be read: {reason}', "") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise _wrong("E003", f'"{shown}" is not text', "a spec is text in UTF-8")
    return Source(shown, text.replace("\r\n", "\n"))


def is_file(path: Path) -> bool:
    """False also for what cannot be a path at all (too long, a zero byte)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _wrong(code: str, message: str, help: str) -> SpecError:
    return SpecError(Diagnostic(code, message, None, help))


def _near(path: Path) -> str:
    """Advice for a name that is not there: the nearest one that is."""
    if not path.parent.is_dir():
        return f'nor a directory "{path.parent}"'
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == ".opt")
    found = get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f'did you mean "{path.parent / found[0]}"?' if found else ""


def _specs_inside(path: Path) -> str:
    names = sorted(entry.name for entry in path.glob("*.opt"))
    return f"it has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else ""
