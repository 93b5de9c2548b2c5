"""Routing optimizers: each line of `route:` is a composition, understood as a model of its own.

    route:
        ndim >= 2 -> Muon                ->  Branch(ndim >= 2, Muon's model, bindings)
        else      -> AdamW(lr = lr_1d)

The branches' hypers join the routing optimizer's: one name for equal defaults, else prefixed with
the branch's name. Modifiers and storage of the routing optimizer go to every branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from . import members, understand
from . import syntax as s
from .assume import assuming
from .authors import find_roles
from .compose import Argument, Composed, Composer, Part
from .context import Context, Facts, Frame, Named, is_poison
from .expressions import complete, condition, expression
from .hypers import Pending, declare_hypers, finish, give
from .inline import inline
from .joined import Bound, Joined, demanded, reads_of, typed
from .model import Apply, Branch, Expr, Hyper, Model, Read, walk
from .structure import finish_hypers, reads_role

_ALLOWED = (s.Hyper, s.Route, s.Quantize, s.Round, s.Requires, s.RuleTable)


def understand_any(
    composed: Composed, composer: Composer, facts: Facts, roles: frozenset[str]
) -> Model:
    """The model of any composed optimizer, routing or not."""
    if composed.broken:
        return Model(composed.name, composed.doc, composed.paper, composed.lineage)
    if any(isinstance(owned.node, s.Route) for owned in composed.members):
        return _routing(composed, composer, facts, roles)
    library, report = composer.library, composer.report
    return understand.understand(composed, library, report, facts, roles)


def _routing(
    composed: Composed, composer: Composer, facts: Facts, outer_roles: frozenset[str]
) -> Model:
    c = Context(composer.library, composer.report, Frame(composed.name, ""), inline)
    c.facts, c.roles = dict(facts), outer_roles
    if composed.lineage[0] in composer.stack:
        c.error("E408", f"`{composed.lineage[0]}` routes to itself", composed.span)
        return Model(composed.name, composed.doc, composed.paper, composed.lineage)
    composer.stack.append(composed.lineage[0])
    for owned in composed.members:
        if not isinstance(owned.node, _ALLOWED):
            c.error(
                "E419",
                "an optimizer that routes has no rule of its own",
                owned.node.span,
                "write this in the optimizers it routes to, or in a modifier",
            )
    pending: list[Pending] = []
    for owned in composed.members:
        if isinstance(owned.node, s.Hyper):
            declare_hypers(c, c.frame, (owned.node,), owned.origin, pending)
    own_names = {one.name for one in pending} | {i for one in pending for i, _ in one.items}
    own_arguments = [arg for arg in composed.arguments if arg.arg.name in own_names]
    passed_on = [arg for arg in composed.arguments if arg.arg.name not in own_names]
    declared = finish(c, pending)
    give(c, pending, own_arguments)
    hypers = finish(c, pending)
    table = find_roles(c, composed)
    roles = members.roles(c, table) if table is not None else ()
    requires = tuple(
        members.requirement(c, owned.node)
        for owned in composed.members
        if isinstance(owned.node, s.Requires)
    )
    for requirement in requires:
        c.facts = assuming(c, requirement.condition, True)
    joined = Joined(c, hypers, declared)
    route = tuple(_branches(c, composed, composer, joined, passed_on))
    composer.stack.pop()
    for argument in passed_on:
        if argument.arg.name not in joined.taken_arguments:
            c.error(
                "E209",
                f"`{argument.term.name}` has no hyper `{argument.arg.name}`",
                argument.arg.span,
            )
    _check_quantized(c, composed, route)
    _check_used(c, hypers, route)
    model = Model(
        composed.name,
        composed.doc,
        composed.paper,
        composed.lineage,
        tuple(joined.hypers),
        roles=roles,
        requires=requires,
        route=route,
        unsupported=tuple(dict.fromkeys(u for b in route for u in b.model.unsupported)),
        files=tuple(dict.fromkeys(source.text for source in composed.sources)),
    )
    own = {hyper.name: hyper for hyper in finish_hypers(c, replace(model, hypers=tuple(hypers)))}
    types = demanded(route)
    finished = [own.get(hyper.name, hyper) for hyper in joined.hypers]
    model = replace(model, hypers=tuple(typed(hyper, types) for hyper in finished))
    return model if reads_role(model) else replace(model, roles=())


def _branches(
    c: Context,
    composed: Composed,
    composer: Composer,
    joined: Joined,
    passed_on: list[Argument],
) -> Iterator[Branch]:
    route = next(o.node for o in composed.members if isinstance(o.node, s.Route))
    complete(c, route.rules)
    for rule in route.rules.rules:
        test = None
        if rule.condition is not None:
            facts = c.facts
            with c.aside("shape"):
                c.facts = facts
                test = condition(c, rule.condition, "a route")
            c.conditions.append(test)
        if not isinstance(rule.value, s.Composition):
            c.error("E423", "a route goes to an optimizer", rule.value.span)
            continue
        inner = composer.composition(rule.value)
        if inner is None:
            continue
        here = c.facts if test is None else assuming(c, test, True)
        yield _branch(c, composed, composer, joined, passed_on, test, inner, here)
        if test is not None:
            c.facts = assuming(c, test, False)


def _branch(
    c: Context,
    composed: Composed,
    composer: Composer,
    joined: Joined,
    passed_on: list[Argument],
    test: Expr | None,
    inner: Composed,
    facts: Facts,
) -> Branch:
    inner.parts += composed.parts
    inner.lineage += tuple(part.node.name for part in composed.parts)
    states = {o.node.name for o in inner.members if isinstance(o.node, s.State)}
    for owned in composed.members:
        node = owned.node
        if isinstance(node, s.Round) or (
            isinstance(node, s.Quantize) and node.target in (states | {"all"})
        ):
            inner.members.append(owned)
    names = {o.node.name for o in inner.members if isinstance(o.node, s.Hyper)}
    names |= {i for o in inner.members if isinstance(o.node, s.Hyper) for i in _items(o.node)}
    for argument in passed_on:
        if argument.arg.name in names or any(isinstance(o.node, s.Route) for o in inner.members):
            inner.arguments.append(argument)
            joined.taken_arguments.add(argument.arg.name)
    bound = _take_bindings(c, inner)
    fixed = {fact: truth for fact, truth in facts.items() if not _reads_hyper(fact)}
    model = understand_any(inner, composer, fixed, c.roles)
    return Branch(test, model, joined.join(model, inner, bound))


def _items(node: s.Hyper) -> list[str]:
    return [n for n, _ in node.default.items] if isinstance(node.default, s.HyperTuple) else []


def _reads_hyper(expr: Expr) -> bool:
    return any(isinstance(part, Read) and part.kind == "hyper" for part in walk(expr))


def _take_bindings(c: Context, inner: Composed) -> Bound:
    """Arguments that read the routing optimizer's hypers become bindings."""
    bound: Bound = {}
    kept: list[Argument] = []
    for argument in inner.arguments:
        if _reads_own(c, argument.arg.value):
            _bind(c, bound, "", argument.arg)
        else:
            kept.append(argument)
    inner.arguments = kept
    for at, part in enumerate(inner.parts):
        own = tuple(arg for arg in part.term.args if _reads_own(c, arg.value))
        for arg in own:
            _bind(c, bound, part.node.name, arg)
        rest = tuple(arg for arg in part.term.args if arg not in own)
        inner.parts[at] = Part(part.node, replace(part.term, args=rest), part.prefix)
    return bound


def _bind(c: Context, bound: Bound, origin: str, arg: s.Arg) -> None:
    values = arg.value.items if isinstance(arg.value, s.Tuple) else (arg.value,)
    with c.aside("let"):
        exprs = tuple(expression(c, value) for value in values)
    if any(map(is_poison, exprs)):
        return
    bound[origin, arg.name] = (
        Apply("tuple", exprs, level=exprs[0].level, host=True, span=arg.span)
        if isinstance(arg.value, s.Tuple)
        else exprs[0]
    )


def _reads_own(c: Context, node: s.Expr) -> bool:
    match node:
        case s.Name(id=name):
            return isinstance(c.frame.names.get(name), Named)
        case s.Unary(operand=inner):
            return _reads_own(c, inner)
        case s.Binary(left=left, right=right):
            return _reads_own(c, left) or _reads_own(c, right)
        case s.Ternary(then=then, condition=test, otherwise=other):
            return any(_reads_own(c, part) for part in (then, test, other))
        case s.Call(args=args):
            return any(_reads_own(c, arg.value) for arg in args)
        case s.Tuple(items=items):
            return any(_reads_own(c, item) for item in items)
        case _:
            return False


def _check_quantized(c: Context, composed: Composed, route: tuple[Branch, ...]) -> None:
    known = {state.name for branch in route for state in branch.model.states}
    nested = any(branch.model.route for branch in route)
    for owned in composed.members:
        node = owned.node
        if isinstance(node, s.Quantize) and node.target not in known | {"all"} and not nested:
            c.error("E409", f"no branch has a state `{node.target}` to quantize", node.span)


def _check_used(c: Context, hypers: list[Hyper], route: tuple[Branch, ...]) -> None:
    bound = {
        part.name
        for branch in route
        for _, value in branch.bindings
        for part in walk(value)
        if isinstance(part, Read)
    }
    for hyper in hypers:
        for name in reads_of(hyper):
            if ("hyper", name) not in c.used and name not in bound:
                c.error("E214", f"the hyper `{name}` is never used", hyper.span, "remove it")
