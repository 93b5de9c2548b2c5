"""The host's part of a step as Python: which path a tensor takes, and its scalar operands.

    def host(hyper, fact, state):
        beta1, beta2 = hyper["betas"]
        t = fact.t
        if t % hyper["k"] == 0:
            return Choice(0, scalars=(beta1, 1 - beta1, 1 / (1 - beta1**t)))
        return Choice(1, ...)

The decision tree becomes nested `if`s; scalars are computed in float64 where they are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...dsl.model import Expr, Model, Read, State
from ..hosts import needed_lets, reads
from ..ir import Decide, Program, Refuse, Tree
from ..plan import Plan
from .layout import WIDTH, Group, assignment, call, condition, lines, tuple_of
from .python import identifier, python, python_name, quoted
from .words import wrapped


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a leaf of the tree returns: the path's number and its plan."""

    path: int
    plan: Plan


# ---------------------------------------------------------------- the method


def host_method(
    model: Model,
    tree: Tree,
    leaf: Callable[[Program], Leaf],
    name: str = "host",
    doc: str = "Which path a tensor takes in this call, and its host scalars.",
) -> list[str]:
    """The lines of `host`, or of its like under another `name`, indented for a class body."""
    used = _reads(tree, leaf)
    state = f"state: dict[str, {'float' if name == 'host' else 'Any'}]"
    text = [
        "    @staticmethod",
        f"    def {name}(hyper: dict[str, Any], fact: Facts, {state}) -> Choice:",
        f'        """{doc}"""',
    ]
    text += [f"        {line}" for line in _unpack(model, used)]
    text += _branches(tree, leaf, frozenset(), 8)
    return text


def _reads(tree: Tree, leaf: Callable[[Program], Leaf]) -> list[Read]:
    found: dict[Read, None] = {}
    for expr in _exprs(tree, leaf):
        for read in reads(expr):
            found[read] = None
    return list(found)


def _exprs(tree: Tree, leaf: Callable[[Program], Leaf]) -> Iterator[Expr]:
    match tree:
        case Decide():
            yield tree.condition
            yield from (value for _, value in needed_lets([tree.condition], tree.lets))
            yield from _exprs(tree.then, leaf)
            yield from _exprs(tree.otherwise, leaf)
        case Program():
            results = _results(leaf(tree).plan)
            yield from results
            yield from (value for _, value in needed_lets(results, tree.lets))
        case Refuse():
            return


def _results(plan: Plan) -> list[Expr]:
    stored = [value for _, value in plan.program.host_stores]
    return [expr for _, expr in plan.scalars] + list(plan.sizes) + stored


def hyper_names(model: Model, names: set[str]) -> Iterator[str]:
    """Lines that unpack these hypers from `hyper`."""
    for hyper in model.hypers:
        if hyper.items and names & set(hyper.items):
            parts = [identifier(i) if i in names else f"_{i}" for i in hyper.items]
            comma = "," if len(parts) == 1 else ""
            yield f'{", ".join(parts)}{comma} = hyper["{hyper.name}"]'
        elif hyper.name in names:
            yield f'{identifier(hyper.name)} = hyper["{hyper.name}"]'


def _unpack(model: Model, used: Sequence[Read]) -> Iterator[str]:
    """Names for what the branches read: hypers, facts and host states."""
    yield from hyper_names(model, {read.name for read in used if read.kind == "hyper"})
    for read in used:
        if read.kind == "fact" and read.name != "role":
            yield f"{python_name(read)} = fact.{read.name}"
    if any(read.kind == "fact" and read.name == "role" for read in used):
        yield "role = fact.role"
    for read in used:
        if read.kind == "state":
            initial = next((s.initial for s in _states(model) if s.name == read.name), None)
            first = python(initial) if initial is not None and initial.host else "0.0"
            yield f'{python_name(read)} = state.get("{read.name}", {first})'


def roles_of(model: Model) -> tuple[tuple[Expr | None, str], ...]:
    """The role rules of a model, or those of the first routed model that has some."""
    if model.roles:
        return model.roles
    return next((roles for b in model.route if (roles := roles_of(b.model))), ())


def _states(model: Model) -> Iterator[State]:
    yield from model.states
    for branch in model.route:
        yield from _states(branch.model)


def _branches(
    tree: Tree, leaf: Callable[[Program], Leaf], done: frozenset[str], indent: int
) -> list[str]:
    match tree:
        case Refuse(message=message):
            return _raise("{fact}: " + message.replace("{", "{{").replace("}", "}}"), indent)
        case Decide():
            lets = needed_lets([tree.condition], tree.lets, done)
            done |= {name for name, _ in lets}
            return [
                *_let_lines(lets, indent),
                *condition(python(tree.condition), indent),
                *_branches(tree.then, leaf, done, indent + 4),
                *_branches(tree.otherwise, leaf, done, indent),
            ]
        case Program():
            found = leaf(tree)
            lets = needed_lets(_results(found.plan), tree.lets, done)
            return [*_let_lines(lets, indent), *_choice(found, indent)]


def _raise(message: str, indent: int) -> list[str]:
    whole = lines(call("raise ValueError", ["f" + quoted(message)]), indent)
    if max(map(len, whole)) <= WIDTH:
        return whole
    pieces = [f"{piece} " for piece in wrapped(message, WIDTH - indent - 10)]
    pieces[-1] = pieces[-1].rstrip()
    strings = [("f" if "{" in piece else "") + quoted(piece) for piece in pieces]
    pad = " " * indent
    return [f"{pad}raise ValueError(", *(f"{pad}    {s}" for s in strings), f"{pad})"]


def _let_lines(lets: Sequence[tuple[str, Expr]], indent: int) -> list[str]:
    return [
        line
        for name, value in lets
        for line in assignment(name.replace(".", "_"), python(value), indent)
    ]


def _choice(leaf: Leaf, indent: int) -> list[str]:
    """The return statement of a leaf."""
    plan = leaf.plan
    parts: list[Group | str] = [str(leaf.path)]
    if plan.scalars:
        parts.append(tuple_of("scalars", [python(expr) for _, expr in plan.scalars]))
    if plan.sizes:
        parts.append(tuple_of("sizes", [_whole(expr) for expr in plan.sizes]))
    if plan.program.host_stores:
        pairs = [f'"{name}": {python(value)}' for name, value in plan.program.host_stores]
        parts.append(Group("hosts=", tuple(pairs), "{", "}"))
    return lines(call("return Choice", parts), indent)


def _whole(expr: Expr) -> str:
    """A size: hypers and facts are taken as they are, of anything else the whole part."""
    plain = isinstance(expr, Read) and expr.kind in ("hyper", "fact")
    return python(expr) if plain else f"int({python(expr)})"


def role_function(model: Model) -> list[str]:
    """The lines of `role_of`, from the spec's `roles:`; empty if it has none."""
    rules = roles_of(model)
    if not rules:
        return []
    used = dict.fromkeys(read for test, _ in rules if test is not None for read in reads(test))
    text = [
        "",
        "",
        "def role_of(fact: Facts) -> str:",
        '    """The role of a tensor by its name, where its group gives none."""',
        *(f"    {python_name(read)} = fact.{read.name}" for read in used),
    ]
    for test, role in rules:
        if test is None:
            text.append(f'    return "{role}"')
        else:
            text += [*condition(python(test), 4), f'        return "{role}"']
    return text
