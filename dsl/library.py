"""Finding declarations by name: the file itself, then what it imports, then the shipped specs.

    library.find("AdamW", at=source)  ->  the syntax.Optimizer in specs/adamw.opt

The shipped `specs/*.opt` and `specs/lib/*.opt` are indexed by a scan for lines that declare
something; a file is parsed only when a name in it is wanted. Every node's span knows its source,
so a name is always looked up from the file it was written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .diagnostics import Report
from .files import is_file, read_source
from .parser import parse
from .source import Source, Span
from .syntax import Declaration, Definition, File, Import, Modifier, Optimizer, RuleTable

SPECS = Path(__file__).resolve().parent.parent / "specs"
_DECLARES = re.compile(r"^(optimizer|modifier|def|schedule|partition|grouping)\s+([A-Za-z_]\w*)")

Named = Optimizer | Modifier | Definition | RuleTable


@dataclass(slots=True)
class Scope:
    """One file: what it declares and what it imports."""

    source: Source
    file: File
    names: dict[str, Named] = field(default_factory=dict[str, Named])
    imports: dict[str, Import] = field(default_factory=dict[str, Import])
    roles: RuleTable | None = None


@dataclass(slots=True)
class Library:
    """All files seen so far. `report` collects what is wrong with their imports."""

    report: Report
    scopes: dict[Source, Scope] = field(default_factory=dict[Source, Scope])
    opened: dict[Path, Scope] = field(default_factory=dict[Path, Scope])
    shipped: dict[str, Path] = field(default_factory=dict[str, Path])
    _asked: set[Path] = field(default_factory=set[Path])  # files that import one another

    def __post_init__(self) -> None:
        for _, name, path in declared():
            self.shipped.setdefault(name, path)

    def add(self, source: Source) -> Scope:
        """Parse a text and make its declarations known."""
        if source in self.scopes:
            return self.scopes[source]
        file = parse(source)
        scope = Scope(source, file)
        self.scopes[source] = scope
        for declaration in file.declarations:
            self._declare(scope, declaration)
        self._check_imports(scope)
        return scope

    def open(self, path: Path) -> Scope:
        path = path.resolve()
        if path not in self.opened:
            source = read_source(path)
            if path.is_relative_to(SPECS):  # the same name on every machine
                source = Source(f"specs/{path.relative_to(SPECS).as_posix()}", source.text)
            self.opened[path] = self.add(source)
        return self.opened[path]

    def find(self, name: str, at: Source) -> Named | None:
        """The declaration `name` means in the file `at`."""
        scope = self.scopes.get(at)
        if scope is not None:
            if name in scope.names:
                return scope.names[name]
            if name in scope.imports:
                path = self._path(scope, scope.imports[name])
                return None if path is None else self.open(path).names.get(name)
        if name in self.shipped:
            return self.open(self.shipped[name]).names.get(name)
        return None

    def roles(self, at: Source) -> RuleTable | None:
        """The `roles:` of a file, or else of the first file it imports from that has them; those of
        a file without `else` go on there."""
        scope = self.scopes.get(at)
        own = None if scope is None else scope.roles
        if scope is None or (own is not None and any(r.condition is None for r in own.rules.rules)):
            return own
        inherited: RuleTable | None = None
        for imported in scope.imports.values():
            path = self._path(scope, imported)
            if path is not None and path.resolve() not in self._asked:
                self._asked.add(path.resolve())
                inherited = inherited or self.roles(self.open(path).source)
                self._asked.remove(path.resolve())
        if own is None or inherited is None:
            return own or inherited
        both = own.rules.rules + inherited.rules.rules
        return replace(own, rules=replace(own.rules, rules=both))

    def known(self, at: Source) -> list[str]:
        """Every name that `find` would find, for suggestions."""
        scope = self.scopes.get(at)
        own = [] if scope is None else [*scope.names, *scope.imports]
        return own + list(self.shipped)

    def _declare(self, scope: Scope, declaration: Declaration) -> None:
        match declaration:
            case Import(names=names):
                for name in names:
                    scope.imports[name.id] = declaration
            case RuleTable(kind="roles"):
                if scope.roles is not None:
                    self._twice("roles", declaration.span, scope.roles.span)
                scope.roles = declaration
            case _:
                if declaration.name in scope.names:
                    self._twice(
                        declaration.name, declaration.span, scope.names[declaration.name].span
                    )
                scope.names[declaration.name] = declaration

    def _twice(self, name: str, span: Span, before: Span) -> None:
        self.report.error(
            "E206", f"`{name}` is declared twice", span, "remove one", ("the first is here", before)
        )

    def _path(self, scope: Scope, imported: Import) -> Path | None:
        relative = imported.path if imported.path.endswith(".opt") else imported.path + ".opt"
        beside = Path(scope.source.name).parent / relative
        places = (beside, SPECS / relative)
        if scope in self.opened.values():  # a shipped spec imports shipped ones
            places = (SPECS / relative, beside)
        return next((path for path in places if is_file(path)), None)

    def _check_imports(self, scope: Scope) -> None:
        """Files exist, names are in them, and no file imports itself in the end."""
        for name, imported in scope.imports.items():
            path = self._path(scope, imported)
            if path is None:
                self.report.error(
                    "E207",
                    f'there is no file "{imported.path}" to import from',
                    imported.span,
                    'paths are relative to this file, or to the shipped specs: "lib/matrix"',
                )
                continue
            if path.resolve() not in self.opened:
                known = {path for _, _, path in declared()}
                if path.resolve() in known:
                    continue
            other = self.open(path)
            if name not in other.names:
                where = next(n.span for n in imported.names if n.id == name)
                self.report.error(
                    "E207", f'"{imported.path}" declares no `{name}`', where, _offers(other)
                )
            if self._reaches(other, scope.source, set()):
                self.report.error(
                    "E408",
                    f'"{imported.path}" imports this file in turn',
                    imported.span,
                    "move what both need into a third file",
                )

    def _reaches(self, scope: Scope, goal: Source, seen: set[Source]) -> bool:
        if scope.source == goal:
            return True
        if scope.source in seen:
            return False
        seen.add(scope.source)
        paths = (self._path(scope, imported) for imported in scope.imports.values())
        return any(
            self._reaches(self.opened[path.resolve()], goal, seen)
            for path in paths
            if path is not None and path.resolve() in self.opened
        )


def _offers(scope: Scope) -> str:
    return "it declares " + ", ".join(f"`{name}`" for name in scope.names) if scope.names else ""


def spec_paths() -> list[Path]:
    """The shipped specs, in a fixed order; optimizers before lib/."""
    return sorted(SPECS.glob("*.opt")) + sorted((SPECS / "lib").glob("*.opt"))


def declared() -> Iterator[tuple[str, str, Path]]:
    """(kind, name, path) of everything the shipped specs declare."""
    for path in spec_paths():
        for line in path.read_text(encoding="utf-8").splitlines():
            found = _DECLARES.match(line)
            if found is not None:
                yield found[1], found[2], path


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `stepc list`."""

    name: str
    kind: str
    doc: str
    paper: str
    family: str
    path: Path


def catalogue() -> list[Entry]:
    """Every shipped optimizer and modifier, by a scan of the texts (nothing is parsed).

    The doc is the string above the declaration or, failing that, the file's first one.
    """
    entries: list[Entry] = []
    for path in spec_paths():
        lines = path.read_text(encoding="utf-8").splitlines()
        title = next((line.strip().strip('"') for line in lines if line.strip()), "")
        for number, line in enumerate(lines):
            found = _DECLARES.match(line)
            if found is None or found[1] not in ("optimizer", "modifier"):
                continue
            body = _body(lines[_after_head(lines, number) :])
            doc = next((text.strip('"') for text in body[:1] if text.startswith('"')), title)
            entries.append(
                Entry(found[2], found[1], doc, _said(body, "paper"), _said(body, "family"), path)
            )
    return entries


def _after_head(lines: list[str], number: int) -> int:
    """The line after the head that begins in line `number`: it goes on while a bracket is open."""
    open_brackets = 0
    for at, line in enumerate(lines[number:], number + 1):
        open_brackets += sum((c in "([") - (c in ")]") for c in line)
        if open_brackets <= 0:
            return at
    return len(lines)


def _body(lines: list[str]) -> list[str]:
    """The indented lines that follow, stripped."""
    body: list[str] = []
    for line in lines:
        if line.strip() and not line.startswith(" "):
            break
        body.append(line.strip())
    return [line for line in body if line]


def _said(body: list[str], member: str) -> str:
    """What a declaration says in its line `paper "..."` or `family ...`; "" if it has none."""
    lines = (line for line in body if line.startswith(member + " "))
    return next(lines, member).removeprefix(member).strip().strip('"')
