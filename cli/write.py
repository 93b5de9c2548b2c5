"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> bool:
    """Put `text` at `path` in one move; False if it was there already, untouched.

    The directory must exist. A reader sees the old file or the new one, never a part.
    """
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def umask() -> int:
    """The mask that an ordinary `open` would respect."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
