"""Syntax to model: everything a spec says, checked, in the order a step runs.

    understand(composed, library, report)  ->  Model

This file fixes the order: names and hypers first, then lets, states and requirements, then the
step section by section, then the checks that need all of it. Diagnostics are collected; the
model of a wrong spec is not meant to be used (`load` raises).
"""

from __future__ import annotations

from dataclasses import replace

from . import members, storage_lines
from . import syntax as s
from .affine import ARITHMETICS, affine_arithmetic
from .assume import assuming
from .authors import (
    declare,
    find_roles,
    meet_needs,
    modifier_author,
    understand_hypers,
)
from .compose import Composed
from .context import Context, Facts, Frame, TooLarge
from .diagnostics import Report
from .inline import inline
from .library import Library
from .locality import check_locality
from .model import Model, Rounding, Section, Stmt, Storage
from .names import assign_local
from .precision import check_zero_codes
from .sections import (
    Author,
    Written,
    check_direction,
    rule_kind,
    step_sections,
    written_sections,
)
from .signs import with_signs
from .slots import unpack_slots
from .states import shape_level, understand_partitions, understand_states
from .structure import finish_hypers, keep_used_lets, reads_role
from .usage import check_usage
from .views import check_views


def understand(
    composed: Composed,
    library: Library,
    report: Report,
    facts: Facts,
    roles: frozenset[str],
) -> Model:
    """The model of a composed optimizer. `facts` and `roles` are those of the route it is in."""
    c = Context(library, report, Frame(composed.name, ""), inline)
    c.facts, c.roles = facts, roles
    try:
        return _understand(c, composed)
    except TooLarge as stop:
        c.error("E416", "this spec is too large to work out", stop.span, "split or simplify it")
        return Model(composed.name, composed.doc, composed.paper, composed.lineage)


def _understand(c: Context, composed: Composed) -> Model:
    authors = [Author(c.frame, composed.members)]
    authors += [modifier_author(c, part) for part in composed.parts]
    hypers = understand_hypers(c, composed, authors)
    role_table = find_roles(c, composed)
    for author in authors:
        declare(c, author)
    for place, author in enumerate(authors[1:], 1):
        meet_needs(c, author, authors[:place])
    lets = _lets(c, authors)
    roles = members.roles(c, role_table) if role_table is not None else ()
    understand_states(c)
    _inputs(c, authors)
    requires = tuple(
        members.requirement(c, node)
        for author in authors
        for node in _nodes(c, author, s.Requires)
        if isinstance(node, s.Requires)
    )
    for requirement in requires:
        c.facts = assuming(c, requirement.condition, True)

    sections = written_sections(c, authors)
    c.kind = rule_kind(c, sections, composed.span)
    check_direction(c, authors, sections, composed.name)
    step = _step(c, composed, authors, sections, lets)
    storage, rounding = understand_storage(c, authors)
    views = tuple(
        members.view(c, node)
        for author in authors[:1]
        for node in _nodes(c, author, s.View)
        if isinstance(node, s.View)
    )
    layout = _others(c, authors)
    model = Model(
        composed.name,
        composed.doc,
        composed.paper,
        composed.lineage,
        tuple(hypers),
        tuple(c.states.values()),
        storage,
        rounding,
        understand_partitions(c),
        roles,
        layout,
        requires,
        tuple(step),
        views=views,
        unsupported=tuple(dict.fromkeys(c.unsupported)),
        files=tuple(dict.fromkeys(source.text for source in composed.sources)),
    )
    return _checked(c, composed, authors, model)


def _checked(c: Context, composed: Composed, authors: list[Author], model: Model) -> Model:
    """The checks that need the whole step, and what they find out about hypers."""
    if not c.report.errors:
        check_usage(c, composed, model)
        check_locality(c, model)
        check_views(c, model)
        model = with_signs(c, model)
        notes = check_zero_codes(c, model)
        if c.kind == "param":
            notes += ("assigns `param` itself: takes no `direction:` modifiers",)
        model = replace(model, notes=notes)
    model = replace(model, sections=keep_used_lets(c, model))
    if _arithmetic(c, authors) == "piecewise_affine":
        model = replace(model, sections=affine_arithmetic(model.sections))
    model = unpack_slots(replace(model, hypers=finish_hypers(c, model)))
    return model if reads_role(model) else replace(model, roles=())


def _lets(c: Context, authors: list[Author]) -> list[tuple[str, Stmt]]:
    """The lets' assignments, each with its model name."""
    found: list[tuple[str, Stmt]] = []
    for name, declared in c.declared_lets.items():
        stmt = members.let(c, name, declared.node, declared.frame)
        if stmt is not None:
            found.append((name, stmt))
    return found


def _arithmetic(c: Context, authors: list[Author]) -> str:
    """How products are made: of several lines the last that says."""
    said = ""
    for author in authors:
        for node in _nodes(c, author, s.Arithmetic):
            assert isinstance(node, s.Arithmetic)
            said = node.name
            if said not in ARITHMETICS:
                listed = " or ".join(f"`{name}`" for name in ARITHMETICS)
                c.error("E424", f"`arithmetic` is followed by {listed}", node.span)
    return said


def _inputs(c: Context, authors: list[Author]) -> None:
    for author in authors:
        for node in _nodes(c, author, s.Input):
            assert isinstance(node, s.Input)
            with c.aside("shape", author.frame):
                c.inputs[node.name] = shape_level(c, node.shape)
                if node.condition is not None:
                    members.input_condition(c, node.condition)
            c.not_compiled("E508", f"input {node.name}", node.span)


def _nodes(c: Context, author: Author, kind: type[s.Member]) -> list[s.Member]:
    return members.of_kind(author.members, kind)


# ---------------------------------------------------------------- the step


def _step(
    c: Context,
    composed: Composed,
    authors: list[Author],
    sections: list[Written],
    lets: list[tuple[str, Stmt]],
) -> list[Section]:
    made: list[Section] = []
    for name, stmt in lets:
        assign_local(c, name, c.lets[name])
        made = _with_hyper(made, composed.name, stmt)
    for author in authors:
        for owned in author.members:
            if isinstance(owned.node, s.Override):
                with c.framed_as(author.frame):
                    stmt = members.override(c, owned.node)
                if stmt is not None:
                    made = _with_hyper(made, owned.origin, stmt)
    return made + step_sections(c, sections, composed.name, composed.span)


def _with_hyper(made: list[Section], origin: str, stmt: Stmt) -> list[Section]:
    """One more statement in the `hyper` section of that origin."""
    if made and made[-1].origin == origin:
        return [*made[:-1], replace(made[-1], body=(*made[-1].body, stmt))]
    return [*made, Section("hyper", origin, (stmt,))]


def understand_storage(c: Context, authors: list[Author]) -> tuple[tuple[Storage, ...], Rounding]:
    found: list[Storage] = []
    rounding = Rounding()
    for author in authors:
        with c.framed_as(author.frame):
            for owned in author.members:
                if isinstance(owned.node, s.Quantize):
                    line = storage_lines.storage(c, owned.node)
                    found += [] if line is None else [line]
                elif isinstance(owned.node, s.Round):
                    rounding = storage_lines.rounding(c, owned.node)
    return tuple(found), rounding


def _others(c: Context, authors: list[Author]) -> tuple[members.Layout, ...]:
    """Members that are understood and not compiled."""
    layout: tuple[members.Layout, ...] = ()
    for author in authors:
        with c.framed_as(author.frame):
            for owned in author.members:
                match owned.node:
                    case s.RuleTable(kind="layout") as table:
                        layout += members.layout(c, table)
                    case s.Gradients(mode=mode, span=span):
                        members.gradients(c, mode, span)
                    case s.Active() as active:
                        members.active(c, active)
                    case s.Event() as event:
                        members.event(c, event)
                    case _:
                        pass
    return layout
