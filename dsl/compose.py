"""Composition, on syntax: `extends`, redeclaring, `replace`, and what modifiers are applied.

    optimizer AdamMini extends AdamW:      ->  AdamW's members, with `state v` redeclared and one
        state v: per rows                      statement of its `update:` replaced
        replace v = ...

A `Composed` has the members of the base rule after all that, and its modifiers in order. What
the members mean, and where the modifiers' sections go, is for understand.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from . import syntax as s
from .diagnostics import Report
from .library import Library, Named
from .source import Source, Span
from .suggest import nearest
from .suites import assignments, substitute, target_of


@dataclass(frozen=True, slots=True)
class Owned:
    """A member and the optimizer that wrote it."""

    node: s.Member
    origin: str


@dataclass(frozen=True, slots=True)
class Part:
    """One modifier of a composition; `prefix` names its states and locals."""

    node: s.Modifier
    term: s.Applied
    prefix: str


@dataclass(frozen=True, slots=True)
class Argument:
    """`AdamW(lr = 1e-4)`: a new default, written in a composition."""

    arg: s.Arg
    term: s.Applied


@dataclass(slots=True)
class Composed:
    """An optimizer with its parents merged in."""

    name: str
    span: Span
    doc: str = ""
    paper: str = ""
    lineage: tuple[str, ...] = ()
    members: list[Owned] = field(default_factory=list[Owned])
    parts: list[Part] = field(default_factory=list[Part])
    arguments: list[Argument] = field(default_factory=list[Argument])
    sources: list[Source] = field(default_factory=list[Source])
    broken: bool = False  # what it extends was not found: no more is said about it


@dataclass(slots=True)
class Composer:
    library: Library
    report: Report
    stack: list[str] = field(default_factory=list[str])

    def optimizer(self, node: s.Optimizer) -> Composed:
        """The optimizer with everything it extends."""
        own = Composed(node.name, node.span, lineage=(node.name,))
        if node.extends is not None:
            base = None
            if node.name in self.stack:
                chain = " extends ".join(f"`{name}`" for name in [*self.stack, node.name])
                self.report.error(
                    "E408", f"{chain}: it extends itself", node.extends.span, "break the circle"
                )
            else:
                self.stack.append(node.name)
                base = self.composition(node.extends)
                self.stack.pop()
            own.broken = base is None
            if base is not None:
                own = base
                own.name, own.span = node.name, node.span
                own.lineage = (*own.lineage, node.name) if node.members else own.lineage
        own.sources.append(node.span.source)
        own.doc = self.library.scopes[node.span.source].file.doc or own.doc
        self._merge(own, node)
        return own

    def composition(self, node: s.Composition) -> Composed | None:
        """A base and its modifiers; None (and a diagnostic) where there is no base."""
        first, *others = node.terms
        base = self._term(first)
        if base is None:
            return None
        if not isinstance(base, s.Optimizer):
            kind = _kind(base)
            self.report.error(
                "E423",
                f"a composition begins with an optimizer, and `{first.name}` is {kind}",
                first.span,
                f"write `AdamW + {first.name}`" if isinstance(base, s.Modifier) else "",
            )
            return None
        composed = self.optimizer(base)
        composed.arguments += [Argument(arg, first) for arg in first.args]
        for term in others:
            self._add(composed, term)
        return composed

    def _add(self, composed: Composed, term: s.Applied) -> None:
        node = self._term(term)
        if node is None:
            return
        if not isinstance(node, s.Modifier):
            help = "only modifiers are added; `route:` joins several optimizers"
            if isinstance(node, s.RuleTable) and node.kind == "schedule":
                help = f"apply a schedule in a rule: `lr *= {node.name}(...)`"
            self.report.error(
                "E423", f"`{term.name}` is {_kind(node)} and cannot be added", term.span, help
            )
            return
        used = sum(part.node.name == node.name for part in composed.parts)
        prefix = node.name if not used else f"{node.name}{used + 1}"
        composed.parts.append(Part(node, term, prefix))
        composed.lineage = (*composed.lineage, node.name)
        composed.sources.append(node.span.source)

    def _term(self, term: s.Applied) -> Named | None:
        found = self.library.find(term.name, term.span.source)
        if found is None:
            known = self.library.known(term.span.source)
            self.report.error(
                "E207",
                f"there is no optimizer or modifier `{term.name}`",
                term.span,
                nearest(term.name, known) or "`stepc list` shows all there are",
            )
        return found

    # ------------------------------------------------------------ merging

    def _merge(self, composed: Composed, node: s.Optimizer) -> None:
        seen: dict[tuple[str, str], Span] = {}
        for member in node.members:
            key = _key(member)
            if key is not None and key in seen:
                self.report.error(
                    "E206",
                    f"`{' '.join(word for word in key if word)}` is declared twice",
                    member.span,
                    "remove one",
                    ("the first is here", seen[key]),
                )
                continue
            if key is not None:
                seen[key] = member.span
            self._member(composed, member, node.name)

    def _member(self, composed: Composed, member: s.Member, origin: str) -> None:
        match member:
            case s.Doc(text=text):
                composed.doc = text
            case s.Paper(text=text):
                composed.paper = text
            case s.Family():
                pass
            case s.Replace(assign=assign):
                self._replace(composed, assign)
            case s.ReplaceSection(section=section):
                owned = Owned(section, origin)
                if not _put(composed.members, owned):
                    self.report.error(
                        "E422",
                        f"there is no `{section.name}:` to replace",
                        member.span,
                        f"write `{section.name}:` without `replace`",
                    )
            case _:
                owned = Owned(member, origin)
                if not _put(composed.members, owned):
                    composed.members.append(owned)

    def _replace(self, composed: Composed, assign: s.Assign) -> None:
        target = target_of(assign)
        found = [
            statement
            for owned in composed.members
            if isinstance(owned.node, s.Section)
            for statement in assignments(owned.node.body)
            if target_of(statement) == target
        ]
        if len(found) != 1:
            self.report.error(*unreplaceable(target, found, assign.span))
            return
        for index, owned in enumerate(composed.members):
            if isinstance(owned.node, s.Section):
                body = substitute(owned.node.body, found[0], assign)
                composed.members[index] = Owned(replace(owned.node, body=body), owned.origin)


def unreplaceable(target: str, found: list[s.Assign], span: Span) -> tuple[str, str, Span, str]:
    """The diagnostic of a `replace` that does not find exactly one statement."""
    if not found:
        message = f"`replace` finds no statement that assigns `{target}`"
        return "E406", message, span, "redeclare the section instead"
    lines = ", ".join(str(statement.span.line) for statement in found)
    message = f"`replace` finds {len(found)} statements that assign `{target}` (lines {lines})"
    return "E406", message, span, "redeclare the section instead"


def _put(members: list[Owned], owned: Owned) -> bool:
    """Put a member in the place of the one it redeclares; False if there is none."""
    key = _key(owned.node)
    for index, other in enumerate(members):
        if key is not None and _key(other.node) == key:
            members[index] = owned
            return True
    return False


def _key(member: s.Member) -> tuple[str, str] | None:
    """What a member declares; None for those that add up (`quantize`, `requires`, ...)."""
    match member:
        case s.Hyper(name=name):
            return "hyper", name
        case s.State(name=name):
            return "state", name
        case s.Let(name=name):
            return "let", name
        case s.Input(name=name):
            return "input", name
        case s.View(name=name):
            return "view", name
        case s.Section(name=name):
            return "section", name
        case s.RuleTable(kind=kind, name=name):
            return kind, name
        case s.Round(target=target):
            return "round", target
        case s.Route():
            return "route", ""
        case s.Gradients():
            return "gradients", ""
        case s.Doc():
            return "doc", ""
        case s.Paper():
            return "paper", ""
        case s.Family():
            return "family", ""
        case s.Arithmetic():
            return "arithmetic", ""
        case _:
            return None


def _kind(node: Named) -> str:
    match node:
        case s.Optimizer():
            return "an optimizer"
        case s.Modifier():
            return "a modifier"
        case s.Definition():
            return "a def"
        case s.RuleTable(kind=kind):
            return f"a {kind}"
