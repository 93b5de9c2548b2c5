"""The order of a step: the rule's sections and its modifiers', and the standard ending.

    grad: (modifiers, then the rule)  update:  direction:  decay:  param -= lr * direction
    param:  after: (each the rule, then the modifiers from left to right)

A rule that assigns `step` ends with `param -= step`; one that assigns `param` has no ending and
takes no `direction:` modifiers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import syntax as s
from .compose import Owned, Part, unreplaceable
from .context import Context, Frame, is_poison
from .infer import apply, fits
from .levels import ELEMENT
from .model import Assign, Section, Stmt
from .names import read
from .source import Span
from .statements import statements
from .suites import assignments, names_assigned, substitute, target_of


@dataclass(slots=True)
class Written:
    """One author's section: the text and the frame it is read in."""

    title: str
    origin: str
    frame: Frame
    body: s.Suite
    span: Span
    own: bool  # of the rule


@dataclass(slots=True)
class Author:
    """The rule, or one modifier: its frame and members. `part` is None for the rule."""

    frame: Frame
    members: list[Owned]
    part: Part | None = None
    hypers: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        return self.frame.origin


def written_sections(c: Context, authors: list[Author]) -> list[Written]:
    """All sections as written, after the modifiers' `replace`."""
    found: list[Written] = []
    for author in authors:
        for owned in author.members:
            node = owned.node
            if isinstance(node, s.Section):
                origin = owned.origin if author.part is None else author.name
                found.append(
                    Written(
                        node.name, origin, author.frame, node.body, node.span, author.part is None
                    )
                )
    for author in authors:
        for owned in author.members:
            if author.part is not None and isinstance(owned.node, s.Replace):
                _replace(c, found, author, owned.node)
            elif author.part is not None and isinstance(owned.node, s.ReplaceSection):
                _replace_section(c, found, author, owned.node.section)
    return found


def _replace(c: Context, found: list[Written], author: Author, node: s.Replace) -> None:
    target = target_of(node.assign)
    old = [
        statement
        for section in found
        if section.own
        for statement in assignments(section.body)
        if target_of(statement) == target
    ]
    if len(old) != 1:
        code, message, span, help = unreplaceable(target, old, node.assign.span)
        c.error(code, message, span, help)
        return
    c.framed[id(node.assign)] = author.frame
    for section in found:
        if section.own:
            section.body = substitute(section.body, old[0], node.assign)


def _replace_section(c: Context, found: list[Written], author: Author, node: s.Section) -> None:
    for position, section in enumerate(found):
        if section.own and section.title == node.name:
            found[position] = Written(
                node.name, author.name, author.frame, node.body, node.span, True
            )
            return
    c.error(
        "E422",
        f"the rule has no `{node.name}:` to replace",
        node.span,
        f"write `{node.name}:` without `replace`",
    )


def rule_kind(c: Context, sections: list[Written], span: Span) -> str:
    """What the rule assigns: direction, step or param."""
    own = [section for section in sections if section.own]
    names: set[str] = set()
    for section in own:
        if section.title in ("grad", "update", "direction", "inactive"):
            names |= names_assigned(section.body)
            for node in assignments(section.body):
                names |= {
                    target.value.id
                    for target in node.targets
                    if isinstance(target, s.Index) and isinstance(target.value, s.Name)
                }
    kinds = [kind for kind in ("direction", "step", "param") if kind in names]
    if not kinds:
        c.error(
            "E401",
            "this rule assigns neither `direction` nor `param`",
            span,
            "end `update:` with `direction = ...`; the step is then `param -= lr * direction`",
        )
        return "none"
    if len(kinds) > 1:
        c.error(
            "E402",
            f"this rule assigns both `{kinds[0]}` and `{kinds[1]}`",
            _assigning(own, kinds[1]) or span,
            "assign `direction`, and write decay in `decay:` or `param:`",
        )
    return kinds[0]


def _assigning(sections: list[Written], name: str) -> Span | None:
    for section in sections:
        for node in assignments(section.body):
            for target in node.targets:
                if isinstance(target, s.Name) and target.id == name:
                    return target.span
    return None


def check_direction(c: Context, authors: list[Author], sections: list[Written], name: str) -> None:
    """No `direction:` where there is no direction."""
    if c.kind != "param":
        return
    where = _assigning([section for section in sections if section.own], "param")
    notes = [("the rule assigns `param` here", where)] if where is not None else []
    for section in sections:
        if section.title != "direction":
            continue
        part = next((a.part for a in authors if a.frame is section.frame), None)
        if part is None:
            message = "a `direction:` section in a rule that has no direction"
            c.error("E403", message, section.span, "assign `direction` in `update:`", *notes)
        else:
            c.error(
                "E403",
                f"`{part.node.name}` changes the direction, and `{name}` has none: "
                "it assigns `param` itself",
                part.term.span,
                f"leave out `{part.node.name}`, or write the rule with `direction = ...`",
                *notes,
            )


def ordered(sections: list[Written], title: str) -> list[Written]:
    own = [section for section in sections if section.title == title and section.own]
    others = [section for section in sections if section.title == title and not section.own]
    return others + own if title == "grad" else own + others


def step_sections(c: Context, sections: list[Written], name: str, span: Span) -> list[Section]:
    """The step from `grad:` to `after:`, with the ending in its place."""
    c.later = frozenset(
        section.frame.prefix + local
        for section in sections
        for local in names_assigned(section.body)
    ) - {"direction", "step"}
    made: list[Section] = []
    for title in ("grad", "update", "direction", "decay", "ending", "param", "after"):
        if title == "ending":
            made += _ending(c, sections, name, span)
            continue
        if title == "direction" and c.kind == "param":
            continue  # check_direction has said so
        for section in ordered(sections, title):
            made.append(Section(title, section.origin, _read(c, section)))
    for section in ordered(sections, "inactive"):
        c.not_compiled("E509", "inactive", section.span)
        _read(c, section)
    return made


def _read(c: Context, section: Written) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    saved, c.out = c.out, out
    with c.framed_as(section.frame):
        statements(c, section.body)
    c.out = saved
    if c.flow.ended:
        c.flow.ended = False
    return tuple(out)


def _ending(c: Context, sections: list[Written], name: str, span: Span) -> list[Section]:
    if c.kind not in ("direction", "step"):
        return []
    span = _assigning([s for s in sections if s.own], c.kind) or span
    value = read(c, s.Name(c.kind, span=span))
    if is_poison(value):
        return []
    if not fits(c, value.level, ELEMENT, span):
        c.error("E301", f"`{c.kind}` does not have the parameter's shape", span)
        return []
    if c.kind == "direction":
        lr = c.frame.names.get("lr")
        if lr is None:
            c.error(
                "E421",
                "the step is `param -= lr * direction`, and there is no hyper `lr`",
                span,
                "declare `hyper lr = 1e-3`",
            )
            return []
        value = apply(c, "mul", (read(c, s.Name("lr", span=span)), value), span)
    param = read(c, s.Name("param", span=span))
    moved = apply(c, "sub", (param, value), span)
    return [Section("ending", name, (Assign("param", "param", moved, span=span),))]
