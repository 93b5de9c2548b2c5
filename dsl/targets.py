"""Assigning: which names may be, and whether the value fits.

    v = lerp(v, mean(grad^2, per rows), 0.1)     state v: per rows -- fits
    v = lerp(v, grad^2, 0.1)                     does not: finer, and the help says which reduction

Locals take any level; states keep their own; `param` takes one value per element.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import syntax as s
from .calls import result_levels
from .context import Context, Named, is_poison, number, poison
from .describe import each, phrase
from .describe import expression as show
from .expressions import expression
from .infer import fits
from .levels import ELEMENT, Level, refines
from .model import Apply, Assign, Expr, Read, State, walk
from .names import assign_local, declarable, local_key, present, read
from .source import Span


def old_value(c: Context, target: s.Name | s.Index) -> Expr:
    """What `x += ...` adds to."""
    return read(c, target) if isinstance(target, s.Name) else expression(c, target)


def bind_all(c: Context, targets: Sequence[s.Name | s.Index], value: Expr, span: Span) -> None:
    """`a, b = value`: all values are worked out before any is assigned."""
    if is_poison(value):
        for target in targets:
            bind(c, target, poison(span), span)
        return
    levels = result_levels(c, value) if isinstance(value, Apply) else ()
    several = value.level.kind == "tuple" or (isinstance(value, Apply) and value.op == "tuple")
    if not several or len(levels) != len(targets):
        count = len(levels) if several else 1
        c.error("E315", f"{len(targets)} names for {count} value{'s' * (count != 1)}", span)
        for target in targets:
            bind(c, target, poison(span), span)
        return
    assert isinstance(value, Apply)
    if value.op == "tuple":
        values = _kept_apart(c, targets, value.args)
    else:
        key = f"{value.op}.{c.number(value.op)}"
        _emit_local(c, key, value, span)
        whole = Read("local", key, level=value.level, host=False, span=span)
        values = [
            Apply("item", (whole, number(at, span)), level=level, host=False, span=span)
            for at, level in enumerate(levels)
        ]
    for target, one in zip(targets, values, strict=True):
        bind(c, target, one, span)


def _kept_apart(
    c: Context, targets: Sequence[s.Name | s.Index], values: tuple[Expr, ...]
) -> list[Expr]:
    """Values that read a name assigned before them are put aside first."""
    assigned: set[str] = set()
    for target, value in zip(targets, values, strict=True):
        if any(isinstance(part, Read) and part.name in assigned for part in walk(value)):
            return [_put_aside(c, one) for one in values]
        if isinstance(target, s.Name):
            meaning = c.frame.names.get(target.id)
            assigned.add(meaning.name if isinstance(meaning, Named) else local_key(c, target.id))
    return list(values)


def _put_aside(c: Context, value: Expr) -> Expr:
    key = f"aside.{c.number('aside')}"
    _emit_local(c, key, value, value.span)
    return Read("local", key, level=value.level, host=value.host, span=value.span)


def _emit_local(c: Context, key: str, value: Expr, span: Span) -> None:
    assert c.out is not None
    assign_local(c, key, value)
    c.out.append(Assign("local", key, value, span=span))


def bind(c: Context, target: s.Name | s.Index, value: Expr, span: Span) -> None:
    """One assignment."""
    if isinstance(value, Apply) and (value.op == "tuple" or value.level.kind == "tuple"):
        count = len(result_levels(c, value))
        c.error("E315", f"one name for {count} values", span, "give each a name: `a, b = ...`")
        value = poison(span)
    if isinstance(target, s.Index):
        _put(c, target, value, span)
        return
    meaning = c.frame.names.get(target.id)
    if isinstance(meaning, Named) and meaning.kind == "state":
        _bind_state(c, c.states.get(meaning.name), target, value, span)
    elif target.id in ("param", "grad") and not c.frame.pure:
        _bind_array(c, target, value, span)
    elif isinstance(meaning, Named) and meaning.kind != "local":
        kinds = {"hyper": "a hyper", "let": "a `let`", "input": "an input"}
        c.error(
            "E213",
            f"`{target.id}` is {kinds[meaning.kind]} and is not assigned in a step",
            target.span,
            f"as a member of the optimizer, `{target.id} *= ...` sets it for a step"
            if meaning.kind == "hyper"
            else "use another name for the new value",
        )
    elif target.id in ("direction", "step") and not c.frame.pure:
        _bind_local(c, local_key(c, target.id), value, span)
    elif meaning is not None and not isinstance(meaning, Named):
        _bind_local(c, c.frame.prefix + target.id, value, span)
    elif declarable(c, target.id, target.span):
        key = meaning.name if isinstance(meaning, Named) else local_key(c, target.id)
        _bind_local(c, key, value, span)


def _bind_local(c: Context, key: str, value: Expr, span: Span) -> None:
    if is_poison(value):
        assign_local(c, key, value)
        return
    _emit_local(c, key, value, span)


def _bind_array(c: Context, target: s.Name, value: Expr, span: Span) -> None:
    if not is_poison(value) and not fits(c, value.level, ELEMENT, span):
        c.error(
            "E301",
            f"`{target.id}` has the parameter's shape, and this is one value {each(value.level)}",
            span,
        )
        return
    assert c.out is not None
    if not is_poison(value):
        c.out.append(Assign(target.id, target.id, value, span=span))


def _bind_state(c: Context, state: State | None, target: s.Name, value: Expr, span: Span) -> None:
    if state is None or is_poison(value):
        return
    level = present(c, state)
    if level is None:
        c.error(
            "E309",
            f"the state `{target.id}` may be missing here, and is assigned",
            target.span,
            "assign it under the condition it was declared with",
            ("declared here", state.span),
        )
        return
    if state.host and not value.host:
        c.error(
            "E312",
            f"`{target.id}` is a host state, and `{show(value)}` is data",
            span,
            "leave out `host`, or bring one number over with `sync(x)`",
            ("declared here", state.span),
        )
        return
    if not value.host and not fits(c, value.level, level, span):
        _misfit(c, state, target, value, level, span)
        return
    assert c.out is not None
    c.out.append(Assign("state", state.name, value, span=span))


def _misfit(
    c: Context, state: State, target: s.Name, value: Expr, level: Level, span: Span
) -> None:
    note = ("declared here", state.span)
    if refines(value.level, level) and not level.is_shaped:
        reduced = phrase(level)
        c.error(
            "E303",
            f"`{target.id}` has one value {each(level)}, and this has one {each(value.level)}",
            span,
            f"reduce it: `mean(..., {reduced})`, or declare a finer state",
            note,
        )
        return
    c.error(
        "E301",
        f"`{target.id}` has one value {each(level)}, and this is one {each(value.level)}",
        span,
        "declare the state with the shape of its value",
        note,
    )


def _put(c: Context, target: s.Index, value: Expr, span: Span) -> None:
    """`buffer[slot] = x`: the whole, with some places exchanged."""
    place = expression(c, target)
    if is_poison(value) or is_poison(place) or not isinstance(target.value, s.Name):
        if not isinstance(target.value, s.Name):
            c.error("E213", "only a name or places of a name are assigned", target.span)
        return
    if not fits(c, value.level, place.level, span):
        c.error(
            "E301",
            f"a place has one value {each(place.level)}, and this is one {each(value.level)}",
            span,
        )
        return
    assert isinstance(place, Apply)
    whole = place.args[0]
    put = Apply("put", (*place.args, value), level=whole.level, host=False, span=span)
    bind(c, target.value, put, span)
