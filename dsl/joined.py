"""How the hypers of a route's branches join the routing optimizer's.

AdamW(lr = lr_1d)     lr is bound to the routing optimizer's own `lr_1d`
AdamW, beside Muon    its `eps` joins as `eps`; a second, different `betas` as `adamw_betas`
"""

from __future__ import annotations

from dataclasses import replace

from .compose import Composed
from .context import Context
from .hypers import snake_case
from .levels import GLOBAL
from .model import Apply, Branch, Expr, Hyper, Model, Read, walk

Bound = dict[tuple[str, str], Expr]
"""(origin or empty for the base, name) -> what it is bound to"""


def demanded(route: tuple[Branch, ...]) -> dict[str, Hyper]:
    """The hypers that a branch's structural ones are bound to."""
    found: dict[str, Hyper] = {}
    for branch in route:
        inside = {name: hyper for hyper in branch.model.hypers for name in reads_of(hyper)}
        for name, value in branch.bindings:
            if inside[name].structural:
                for part in walk(value):
                    if isinstance(part, Read) and part.kind == "hyper":
                        found[part.name] = inside[name]
    return found


def typed(hyper: Hyper, types: dict[str, Hyper]) -> Hyper:
    inside = types.get(hyper.name)
    if inside is None:
        return hyper
    kind = "int" if inside.type == "int" and hyper.type == "real" else hyper.type
    return replace(hyper, type=kind, structural=True)


class Joined:
    """The hypers of a routing optimizer, as its branches add theirs."""

    def __init__(self, c: Context, own: list[Hyper], declared: list[Hyper]):
        self.c = c
        self.hypers = list(own)
        self.written = {hyper.name: hyper for hyper in declared}  # before arguments
        self.taken_arguments: set[str] = set()

    def join(self, model: Model, inner: Composed, bound: Bound) -> tuple[tuple[str, Expr], ...]:
        """Add a branch's hypers; what each of them is bound to."""
        bindings: list[tuple[str, Expr]] = []
        used: set[tuple[str, str]] = set()
        for hyper in model.hypers:
            key = self._bound_key(hyper, inner, bound)
            if key is not None:
                used.add(key)
                bindings += _spread(hyper, bound[key], key[1])
                if not hyper.items or key[1] == hyper.name:
                    continue
            given = {name for name, _ in bindings}
            renamed = self._place(hyper, model.name)
            for inside, outside in zip(reads_of(hyper), reads_of(renamed), strict=True):
                if inside not in given:
                    read = Read("hyper", outside, level=GLOBAL, host=True, span=hyper.span)
                    bindings.append((inside, read))
        for origin, name in bound.keys() - used:
            self.c.error(
                "E209",
                f"`{origin or model.lineage[0]}` has no hyper `{name}`",
                bound[origin, name].span,
            )
        return tuple(bindings)

    def _bound_key(self, hyper: Hyper, inner: Composed, bound: Bound) -> tuple[str, str] | None:
        modifiers = {part.node.name for part in inner.parts}
        origin = hyper.origin if hyper.origin in modifiers else ""
        names = (hyper.name, *hyper.items, hyper.name.removeprefix(snake_case(origin) + "_"))
        return next(((origin, name) for name in names if (origin, name) in bound), None)

    def _place(self, hyper: Hyper, branch: str) -> Hyper:
        """The hyper under a name that is free, or that of its equal."""
        number = 1
        prefix = ""
        while True:
            wanted = _renamed(hyper, prefix)
            same = next(
                (
                    hyper
                    for hyper in self.hypers
                    if _alike(hyper, wanted) or _alike(self.written.get(hyper.name), wanted)
                ),
                None,
            )
            if same is not None:
                return same
            taken = {name for h in self.hypers for name in (h.name, *h.items)}
            if not taken & {wanted.name, *wanted.items}:
                self.hypers.append(wanted)
                self.c.hypers.update(dict.fromkeys(reads_of(wanted), wanted))
                return wanted
            prefix = snake_case(branch) + ("" if number == 1 else str(number)) + "_"
            number += 1


def _alike(known: Hyper | None, wanted: Hyper) -> bool:
    return (
        known is not None
        and (known.name, known.items, known.choices, known.bounds)
        == (wanted.name, wanted.items, wanted.choices, wanted.bounds)
        and known.default == wanted.default
    )


def reads_of(hyper: Hyper) -> tuple[str, ...]:
    return hyper.items or (hyper.name,)


def _renamed(hyper: Hyper, prefix: str) -> Hyper:
    items = tuple(prefix + item for item in hyper.items)
    return replace(hyper, name=prefix + hyper.name, items=items)


def _spread(hyper: Hyper, value: Expr, name: str) -> list[tuple[str, Expr]]:
    if isinstance(value, Apply) and value.op == "tuple":
        return list(zip(hyper.items, value.args, strict=False))
    return [(name if name in hyper.items else hyper.name, value)]
