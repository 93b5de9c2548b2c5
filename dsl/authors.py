"""The names that a rule and its modifiers declare, before anything is worked out.

    AdamW + Lookahead(k = 10)   two authors: AdamW's frame, and Lookahead's, whose `slow` is the
                                state Lookahead.slow and whose `k` is a hyper with default 10

`needs v` makes the rule's `v` a name of the modifier.
"""

from __future__ import annotations

from . import members
from . import syntax as s
from .compose import Argument, Composed, Owned, Part
from .context import Context, DeclaredLet, DeclaredState, Frame, Named, poison
from .hypers import Pending, declare_hypers, finish, give
from .limits import SECTIONS
from .model import Hyper
from .names import declarable
from .sections import Author
from .suites import names_assigned


def modifier_author(c: Context, part: Part) -> Author:
    frame = Frame(part.node.name, part.prefix + ".")
    return Author(frame, [Owned(node, part.node.name) for node in part.node.members], part)


def understand_hypers(c: Context, composed: Composed, authors: list[Author]) -> list[Hyper]:
    """The hypers of the rule and its modifiers, with the arguments of the composition."""
    everything: list[Pending] = []
    for author in authors:
        own: list[Pending] = []
        nodes = [(o.node, o.origin) for o in author.members if isinstance(o.node, s.Hyper)]
        if author.part is not None:
            parameters = author.part.node.params
            declare_hypers(c, author.frame, parameters, author.name, own)
        for node, origin in nodes:
            declare_hypers(c, author.frame, (node,), origin, own)
        if author.part is None:
            give(c, own, composed.arguments)
        else:
            lr = c.frame.names.get("lr")
            if lr is not None and "lr" not in author.frame.names:
                author.frame.names["lr"] = lr
            term = author.part.term
            give(c, own, [Argument(arg, term) for arg in term.args])
        everything += own
    return finish(c, everything)


def find_roles(c: Context, composed: Composed) -> s.RuleTable | None:
    """The rule's own `roles:`, or those of the file it is in, or of the file of a parent."""
    table: s.RuleTable | None = None
    for owned in composed.members:
        if isinstance(owned.node, s.RuleTable) and owned.node.kind == "roles":
            table = owned.node
    for source in reversed(composed.sources):
        table = table or c.library.roles(source)
    if table is not None:
        c.roles = members.role_words(table)
    return table


def declare(c: Context, author: Author) -> None:
    """States, lets, inputs and tables: names now, meanings later."""
    frame = author.frame
    for owned in author.members:
        node = owned.node
        match node:
            case s.State(name=name, span=span) if declarable(c, name, span, frame):
                frame.names[name] = Named("state", frame.prefix + name)
                c.declared_states[frame.prefix + name] = DeclaredState(node, frame, owned.origin)
            case s.Let(name=name, span=span) if declarable(c, name, span, frame):
                frame.names[name] = Named("let", frame.prefix + name)
                c.declared_lets[frame.prefix + name] = DeclaredLet(node, frame)
            case s.Input(name=name, span=span) if declarable(c, name, span, frame):
                frame.names[name] = Named("input", name)
            case s.Needs(names=names):
                c.loss |= any(name.id == "loss" for name in names)
            case s.RuleTable(kind="partition" | "grouping", name=name):
                if declarable(c, name, node.span, frame):
                    c.tables[name] = node
                    c.table_frames[name] = frame
            case _:
                pass


def meet_needs(c: Context, author: Author, before: list[Author]) -> None:
    """What a modifier needs of the rule becomes a name of the modifier; the section it needs may
    be the rule's or that of a modifier further left."""
    rule = before[0]
    assigned: set[str] = set()
    for owned in rule.members:
        if isinstance(owned.node, s.Section):
            assigned |= names_assigned(owned.node.body)
    sections = {o.node.name for a in before for o in a.members if isinstance(o.node, s.Section)}
    for owned in author.members:
        if not isinstance(owned.node, s.Needs):
            continue
        for name in owned.node.names:
            if name.id in sections:
                continue
            if name.id in author.frame.names and name.id != "lr":
                c.error(
                    "E206",
                    f"`{name.id}` is needed of the rule and declared here too",
                    name.span,
                    "rename the modifier's own",
                )
            elif name.id == "loss":
                pass
            elif name.id in rule.frame.names:
                author.frame.names[name.id] = rule.frame.names[name.id]
            elif name.id in assigned:
                author.frame.names[name.id] = Named("local", name.id)
            else:
                term = author.part.term if author.part is not None else None
                what = f"{name.id}:" if name.id in SECTIONS else name.id
                c.error(
                    "E404",
                    f"`{author.name}` needs `{what}`, which `{rule.name}` does not have",
                    term.span if term is not None else name.span,
                    f"add it to a rule that has a `{what}`",
                    ("needed here", name.span),
                )
                author.frame.names[name.id] = poison(name.span)
