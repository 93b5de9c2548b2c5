"""The other end of a worker: orders given, answers awaited, deaths explained."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Freed memory stays with the process. Else libraries that allocate in every step also pay for
# getting pages from the system each time, which a training run, with its activations, would not.
_HEAP = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"

_PATIENCE = 600.0  # seconds for an answer: a first step may have much to compile


class Failed(Exception):
    """A contestant that cannot take part, and why."""


@dataclass(frozen=True, slots=True)
class Caches:
    """Where compilers keep what they made: a folder of this run alone, so first steps are cold."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """The variables by which compilers are told."""
        names = {
            "STEPC_CACHE_DIR": "stepc",
            "TRITON_CACHE_DIR": "triton",
            "TORCHINDUCTOR_CACHE_DIR": "inductor",
            "PYTHONPYCACHEPREFIX": "python",
        }
        told = {variable: str(self.folder / name) for variable, name in names.items()}
        return told | {"PYTHONDONTWRITEBYTECODE": ""}  # one of the compilers is Python's own


class Process:
    """A running worker."""

    def __init__(self, caches: Caches) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"GLIBC_TUNABLES": _HEAP} | caches.environment(),
        )

    def ask(self, do: str, order: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to an order; Failed if it is an error, or none comes in time."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write((json.dumps({"do": do, **(order or {})}) + "\n").encode())
            stdin.flush()
            ready, _, _ = select.select([stdout], [], [], _PATIENCE)
            line = stdout.readline() if ready else b""
        except BrokenPipeError:
            ready, line = [stdout], b""
        if not ready:
            raise Failed(f"no answer within {_PATIENCE:.0f} s")
        if not line:
            raise Failed(f"the process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(" ".join(answer["error"].split())[:300])
        return answer

    def close(self) -> None:
        """End it, and free its memory before the next one needs it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {code}"
