"""What a command says when its input is wrong: a message with advice, as text or as JSON."""

from __future__ import annotations

import json

from ..dsl.diagnostics import Diagnostic, SpecError


class Failure(Exception):
    """The input is wrong in a way that no place in a spec can show; exits with 1."""

    def __init__(self, message: str, advice: str = ""):
        super().__init__(f"error: {message}" + (f"\n  help: {advice}" if advice else ""))
        self.message = message
        self.advice = advice


def as_json(error: SpecError | Failure) -> str:
    """The error for a program to read."""
    if isinstance(error, SpecError):
        return json.dumps(
            {"ok": False, "diagnostics": [entry(d) for d in error.diagnostics]}, indent=2
        )
    return json.dumps({"ok": False, "message": error.message, "help": error.advice}, indent=2)


def entry(diagnostic: Diagnostic) -> dict[str, str | int]:
    """One diagnostic as a flat record; lines and columns count from 1."""
    record: dict[str, str | int] = {
        "code": diagnostic.code,
        "severity": "error" if diagnostic.is_error else "warning",
        "message": diagnostic.message,
        "help": diagnostic.help,
    }
    span = diagnostic.span
    if span is not None:
        record |= {
            "file": span.source.name,
            "line": span.line,
            "column": span.column,
            "end_line": span.end_line,
            "end_column": span.end_column,
        }
    return record
