"""What can be wrong with a spec: one table of codes, one form of message.

    my.opt:4:17: error E201: `grda` is not a name here
      4 |     m = lerp(m, grda, 1 - beta1)
        |                 ^^^^
      help: did you mean `grad`?

A checker reports into a `Report` and goes on; `Report.check()` raises everything at once, in
source order. Codes by hundreds: E0 files, E1 text, E2 names, E3 levels and places, E4 rules and
composition, E5 not yet compiled, E6 use at run time; W are warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .source import Span

CODES: dict[str, str] = {
    # files
    "E001": "there is no such file",
    "E002": "a directory where a file is expected",
    "E003": "a file that is not text",
    "E004": "an empty spec",
    "E005": "a spec that is too large",
    "E006": "a file that cannot be read",
    # text
    "E101": "a character without meaning",
    "E102": "a tab",
    "E103": "wrong indentation",
    "E104": "a block is missing",
    "E105": "a string without an end",
    "E106": "a keyword where a name is expected",
    "E107": "something else is expected here",
    "E108": "`:` is missing",
    "E109": "a chain of comparisons",
    "E110": "a bracket that is never closed",
    "E111": "a bracket that closes nothing, or another kind of bracket",
    "E112": "a number that is none, or is out of range",
    "E113": "nesting that is too deep",
    "E114": "a line that ends too early",
    "E115": "an attribute other than `.T`",
    "E116": "a line or section that begins with an unknown word",
    "E117": "`=` where nothing can be assigned",
    "E118": "a word or operator of another language",
    "E119": "a line that assigns nothing",
    "E120": "a rule that is not `condition -> value`",
    "E121": "a keyword on the wrong level",
    "E122": "a second `per` in one call",
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message. `span` is None only where there is no text (a missing file)."""

    code: str
    message: str
    span: Span | None = None
    help: str = ""
    notes: tuple[tuple[str, Span], ...] = ()

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def __str__(self) -> str:
        kind = "error" if self.is_error else "warning"
        head = f"{kind} {self.code}: {self.message}"
        lines = [head] if self.span is None else [f"{self.span}: {head}", self.span.draw()]
        if self.help:
            lines.append(f"  help: {self.help}")
        for text, span in self.notes:
            lines += [f"  note: {text}, {span}", span.draw()]
        return "\n".join(lines)


class SpecError(Exception):
    """A spec, or its use, is wrong: carries all diagnostics, in source order."""

    def __init__(self, *diagnostics: Diagnostic):
        super().__init__("\n\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


@dataclass(slots=True)
class Report:
    """Collects diagnostics, so that one run shows every mistake."""

    found: list[Diagnostic] = field(default_factory=list)

    def error(self, code: str, message: str, span: Span | None, help: str = "", *notes: tuple[str, Span]) -> None:
        """Add a diagnostic; the same words at the same place are said once."""
        diagnostic = Diagnostic(code, message, span, help, notes)
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    warn = error

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.ordered() if d.is_error]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.ordered() if not d.is_error]

    def ordered(self) -> list[Diagnostic]:
        def place(d: Diagnostic) -> tuple[str, int, int]:
            return ("", 0, 0) if d.span is None else (d.span.source.name, d.span.line, d.span.column)

        return sorted(self.found, key=place)

    def check(self) -> None:
        """Raise `SpecError` with every error found so far, if there is one."""
        if self.errors:
            raise SpecError(*self.errors)
