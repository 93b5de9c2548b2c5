"""What a name means where it stands, and whether a name may be declared.

    beta1 -> Read hyper       m -> Read state       agree (in Cautious) -> Read local Cautious.agree

Order: the frame's own names, then arrays and facts, then locals. Everything that can be wrong
with a name is said here, with the nearest name that would be right.
"""

from __future__ import annotations

from . import model as m
from . import syntax as s
from .assume import holds, settle, unfold
from .context import Context, Frame, Local, Named, poison
from .levels import GLOBAL, Level
from .source import Span
from .suggest import nearest
from .words import ARRAYS, CONSTANTS, FACTS, predeclared

_ENDINGS = ("direction", "step")


def read(c: Context, node: s.Name) -> m.Expr:
    """The value of a name."""
    name, span = node.id, node.span
    if name in CONSTANTS:
        return m.Const(CONSTANTS[name], level=GLOBAL, host=True, span=span)
    meaning = c.frame.names.get(name)
    if isinstance(meaning, Named):
        return _named(c, meaning, node)
    if meaning is not None:
        return meaning
    if name in ARRAYS:
        return _array(c, node)
    if name in FACTS:
        return _fact(c, node)
    if name == "loss" and c.loss:
        c.used.add(("state", "loss"))
        return m.Read("state", "loss", level=GLOBAL, host=False, span=span)
    key = local_key(c, name)
    if key in c.flow.locals:
        return _local(c, key, node)
    return unknown(c, node)


def local_key(c: Context, name: str) -> str:
    """The model's name of a local: `direction` is the rule's, also in a modifier."""
    if name in _ENDINGS and not c.frame.pure:
        return "step" if c.kind == "step" else name
    return c.frame.prefix + name


def _named(c: Context, meaning: Named, node: s.Name) -> m.Expr:
    name, span = meaning.name, node.span
    c.used.add((meaning.kind, name))
    if c.mode in ("view", "event"):
        c.read_outside.add(name)
    match meaning.kind:
        case "hyper":
            level = c.flow.hypers.get(name, GLOBAL)
            return m.Read("hyper", name, level=level, host=True, span=span)
        case "state":
            return _state(c, name, node)
        case "let":
            value = c.lets.get(name)
            if value is None:
                return unknown(c, node)
            if c.mode in ("shape", "storage", "initial"):
                return unfold(c, value)
            return m.Read("local", name, level=value.level, host=value.host, span=span)
        case "input":
            return m.Read("input", name, level=c.inputs[name], host=False, span=span)
        case _:
            if name in c.flow.locals:
                return _local(c, name, node)
            return unknown(c, node)


def _state(c: Context, name: str, node: s.Name) -> m.Expr:
    state = c.states.get(name)
    if state is None or c.mode in ("default", "let", "shape", "storage", "initial"):
        where = {
            "default": "a default",
            "let": "a `let`",
            "shape": "a shape",
            "initial": "an initial value",
        }
        return c.error(
            "E310",
            f"{where.get(c.mode, 'a condition of storage')} cannot read the state `{node.id}`",
            node.span,
            "it is needed before there are states; use hypers and facts",
        )
    level = present(c, state)
    if level is None:
        condition = state.condition or state.shapes[0][0]
        return c.error(
            "E309",
            f"the state `{node.id}` does not exist everywhere, and may be missing here",
            node.span,
            "read it under the condition it was declared with",
            *([("declared here", state.span)] if condition is not None else []),
        )
    return m.Read("state", name, level=level, host=state.host, span=node.span)


def present(c: Context, state: m.State) -> Level | None:
    """The level of a state at this point; None if it may not exist here."""
    if c.mode != "event" and state.condition is not None and holds(c, state.condition) is not True:
        return None
    first: Level | None = None
    for condition, level in state.shapes:
        truth = True if condition is None else holds(c, condition)
        if truth is False:
            continue
        if level.kind == "none" and c.mode != "event":
            return None
        if first is None and level.kind != "none":
            first = settle(c, level)
        if truth:
            break
    return first


def _array(c: Context, node: s.Name) -> m.Expr:
    name, span = node.id, node.span
    allowed = {"step": True, "initial": True, "event": True, "view": name == "param"}
    if c.frame.pure:
        return c.error(
            "E201",
            f"a def sees its arguments only, not `{name}`",
            span,
            "give it one more parameter",
        )
    if not allowed.get(c.mode, False):
        return c.error(
            "E310",
            f"`{name}` is data, and this is worked out on the host before the step",
            span,
            "use hypers and facts such as `rows`, `numel`, `ndim`",
        )
    return m.Read(name, name, level=ARRAYS[name], host=False, span=span)


def _fact(c: Context, node: s.Name) -> m.Expr:
    name, span = node.id, node.span
    if c.mode == "default" or (c.mode == "shape" and name in ("t", "first")):
        what = "a default" if c.mode == "default" else "a shape"
        return c.error(
            "E310",
            f"{what} cannot depend on `{name}`",
            span,
            "a default is worked out at construction, a shape at a tensor's first call",
        )
    if name == "lr_scale":
        lr = read(c, s.Name("lr", span=span))
        base = m.Read("fact", "base_lr", level=GLOBAL, host=True, span=span)
        return m.Apply("div", (lr, base), level=lr.level, host=True, span=span)
    return m.Read("fact", name, level=FACTS[name], host=True, span=span)


def _local(c: Context, key: str, node: s.Name) -> m.Expr:
    local = c.flow.locals[key]
    if not local.complete:
        return c.error(
            "E204",
            f"`{node.id}` is assigned on one branch only, and may have no value here",
            node.span,
            "assign it on every branch, or before them",
        )
    return m.Read("local", key, level=local.level, host=local.host, span=node.span)


def unknown(c: Context, node: s.Name) -> m.Expr:
    """A name that means nothing here: say why, as well as we can."""
    name, span = node.id, node.span
    key = local_key(c, name)
    if name == "lr":
        return c.error("E201", "there is no hyper `lr`", span, "declare `hyper lr = 1e-3`")
    if key in c.later and c.mode == "step":
        return c.error(
            "E203", f"`{name}` is read before it is assigned", span, "assign it above this line"
        )
    if name in c.declared_lets:
        return c.error("E203", f"`{name}` is declared below", span, "move that `let` up")
    if c.frame.prefix and not c.frame.pure and (name in c.hypers or name in c.states):
        return c.error(
            "E201",
            f"`{name}` is a name of the rule, which a modifier does not see by itself",
            span,
            f"add `needs {name}`",
        )
    if name in _ENDINGS:
        return c.error("E203", f"`{name}` is not assigned yet here", span)
    seen = [*c.frame.names, *ARRAYS, *FACTS, *CONSTANTS]
    prefix = c.frame.prefix
    seen += [key[len(prefix) :] for key in c.flow.locals if key.startswith(prefix)]
    return c.error("E201", f"`{name}` is not a name here", span, nearest(name, seen))


def declarable(
    c: Context, name: str, span: Span, frame: Frame | None = None, parameter: bool = False
) -> bool:
    """Whether a spec may give this name a meaning (reported if not). A modifier's hyper may be
    called like a function: `Cautious(floor = 1e-3)`; the two are never confused."""
    taken = predeclared(name)
    if taken and not (parameter and taken == "a function"):
        c.error("E205", f"`{name}` is {taken} and cannot be declared", span, "choose another name")
        if frame is not None:
            frame.names[name] = poison(span)
        return False
    if frame is not None and name in frame.names:
        c.error("E206", f"`{name}` is declared twice", span, "choose another name for one of them")
        return False
    return True


def assign_local(c: Context, key: str, value: m.Expr) -> None:
    """Note that a local now has this level and place."""
    c.flow.locals[key] = Local(value.level, value.host)
