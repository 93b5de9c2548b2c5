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
    # names
    "E201": "an unknown name",
    "E202": "an unknown function",
    "E203": "a name read before it is assigned",
    "E204": "a name assigned on one branch only",
    "E205": "a predeclared name declared again",
    "E206": "a name declared twice",
    "E207": "an unknown optimizer or modifier, or a failing import",
    "E208": "a wrong number of arguments",
    "E209": "an unknown option or argument",
    "E210": "an unknown role or choice",
    "E211": "an unknown level or shape",
    "E212": "an unknown attribute or dtype",
    "E213": "a name that cannot be assigned here",
    "E214": "a hyper that is never used",
    "E215": "a state that is never used",
    "E216": "a text where there is no place for one",
    # levels and places
    "E301": "shapes that do not go together",
    "E302": "a reduction of what is not finer",
    "E303": "a state assigned a finer value",
    "E304": "data where a host value is needed",
    "E305": "`skip` under a condition on data",
    "E306": "`max` or `min` of one argument without `per`",
    "E307": "a matrix operation on what is no matrix, or does not fit",
    "E308": "a matrix operation on what may be a vector",
    "E309": "a state where it may not exist",
    "E310": "something read before it is known",
    "E311": "a loop or period that is counted on data",
    "E312": "a host state assigned data",
    "E313": "a guard finer than a tensor",
    "E314": "`per` on what is no reduction",
    "E315": "a wrong number of values",
    "E316": "`sync` of more than one number",
    "E317": "an index into what has no items",
    "E318": "a shape that cannot be kept so",
    "E319": "a fraction that is not between 0 and 1",
    # rules, composition and storage
    "E401": "a rule that assigns neither `direction` nor `param`",
    "E402": "a rule that assigns both `direction` and `param`",
    "E403": "a `direction:` section where there is no direction",
    "E404": "a modifier on a rule without what it needs",
    "E405": "a rule list without one last `else`",
    "E406": "`replace` that does not find one statement",
    "E407": "a def that calls itself",
    "E408": "an optimizer that extends itself, or files that import each other",
    "E409": "storage of what is not stored so",
    "E410": "an unknown codec or rounding",
    "E411": "a default outside its interval",
    "E412": "a division by zero",
    "E413": "a value of one worker that reaches all",
    "E414": "views that are not inverses",
    "E415": "a bad pattern",
    "E416": "a spec that is too large to work out",
    "E417": "a wrong `return`",
    "E418": "a statement that cannot stand in a def",
    "E419": "a member that cannot stand beside `route:`",
    "E420": "a wrong default or interval",
    "E421": "no hyper `lr`",
    "E422": "`replace` of a section that is not there",
    "E423": "a composition of the wrong things",
    "E424": "an unknown word after `layout:`, `gradients` or `arithmetic`",
    "E425": "a text without an optimizer",
    # understood, not compiled yet
    "E501": "workers: collectives, local gradients and states",
    "E502": "the loss, and rules without gradients",
    "E503": "matrix factorisations and sparse operations",
    "E504": "chance",
    "E505": "slots",
    "E506": "events",
    "E507": "views",
    "E508": "inputs",
    "E509": "active sets",
    "E510": "too many paths through a step",
    "E511": "an operation that is not compiled",
    "E512": "a loop whose count is not known when compiling",
    "E513": "a codec that is not compiled",
    "E514": "a rounding that does not exist",
    "E516": "a step for which no order of passes over memory exists",
    "E520": "transient states",
    "E521": "layouts",
    "E522": "indexing; quantiles and positions per block or over several tensors",
    "E523": "groupings",
    "E524": "values as stored",
    "E525": "values per axis",
    "E526": "shapes of states that are not compiled",
    # in use: raised by the runtime, with its own exceptions
    "E601": "parameter groups that differ in what they share",
    # warnings
    "W401": "a state that only its own update reads",
    "W402": "a small value stored as zero, under a root that is divided by",
    "W403": "something inherited that is never used",
    "W404": "a `let` that is never used",
    "W405": "a state that may be negative, in codes without a sign",
    "W406": "a state with a sign, in codes of which none is 0",
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

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def error(
        self,
        code: str,
        message: str,
        span: Span | None,
        help: str = "",
        *notes: tuple[str, Span],
    ) -> None:
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
            if d.span is None:
                return "", 0, 0
            return d.span.source.name, d.span.line, d.span.column

        return sorted(self.found, key=place)

    def check(self) -> None:
        """Raise `SpecError` with every error found so far, if there is one."""
        if self.errors:
            raise SpecError(*self.errors)
