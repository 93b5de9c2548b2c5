"""Hypers: names, defaults, intervals, and arguments given in a composition.

    hyper betas = (beta1 = 0.9, beta2 = 0.999) in [0, 1)   ->  Hyper betas, read as beta1 and beta2
    modifier Lookahead(k = 5), in `AdamW + Lookahead(k = 10)`  ->  Hyper k with default 10

A modifier's hypers join the rule's; one whose name is taken is called `lookahead_k`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from . import syntax as s
from .compose import Argument
from .context import Context, Frame, Named, is_poison, number
from .defaults import check_bounds, check_circles
from .describe import expression as show
from .expressions import expression
from .fold import constant_value
from .model import Bounds, Const, Expr, Hyper
from .names import declarable
from .source import Span
from .suggest import nearest

Default = s.Expr | s.HyperTuple | s.Choice | s.Required


@dataclass(slots=True)
class Pending:
    """A hyper whose names are known and whose default is not worked out yet."""

    name: str  # as the text calls it
    model_name: str
    default: Default
    interval: s.Interval | None
    origin: str
    frame: Frame
    span: Span
    items: tuple[tuple[str, str], ...] = ()  # (in the text, in the model)
    given: dict[str, s.Arg] = field(default_factory=dict[str, s.Arg])


def snake_case(name: str) -> str:
    """`AdamW` -> adamw, `GlobalNormClip` -> global_norm_clip, `PNMAdam` -> pnm_adam."""
    parts = re.sub(r"([a-z0-9])([A-Z][a-z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name)
    return parts.lower()


def declare_hypers(
    c: Context,
    frame: Frame,
    nodes: Sequence[s.Hyper],
    origin: str,
    pending: list[Pending],
) -> None:
    """Make the names known; a modifier's are prefixed where they collide."""
    for node in nodes:
        default = node.default
        if not declarable(c, node.name, node.span, frame, parameter=bool(frame.prefix)):
            continue
        taken = {p.model_name for p in pending} | set(c.hypers)
        taken |= {hyper.name for hyper in c.hypers.values()}  # of tuples: `eps` beside `eps1`
        own = isinstance(default, s.HyperTuple)
        names = [node.name]
        if isinstance(default, s.HyperTuple):
            names += [item for item, _ in default.items]
        if not frame.prefix and any(name in taken for name in names[1:]):
            twice = next(name for name in names[1:] if name in taken)
            c.error("E206", f"`{twice}` is declared twice", node.span, "choose another name")
            continue
        prefix = snake_case(frame.prefix.rstrip(".")) + "_"
        if not frame.prefix or not any(name in taken for name in names):
            prefix = ""
        items: list[tuple[str, str]] = []
        for item in names[1:]:
            if declarable(c, item, node.span, frame):
                items.append((item, prefix + item))
                frame.names[item] = Named("hyper", prefix + item)
        if not own:
            frame.names[node.name] = Named("hyper", prefix + node.name)
        one = Pending(
            node.name,
            prefix + node.name,
            default,
            node.interval,
            origin,
            frame,
            node.span,
            tuple(items),
        )
        pending.append(one)
        hyper = _preliminary(one)
        for read in hyper.items or (hyper.name,):
            c.hypers[read] = hyper


def _preliminary(one: Pending) -> Hyper:
    """The hyper before its default is worked out: enough to resolve words and lists."""
    match one.default:
        case s.Choice(options=options):
            return Hyper(one.model_name, "choice", None, choices=options, span=one.span)
        case s.HyperTuple():
            items = tuple(model for _, model in one.items)
            return Hyper(one.model_name, "tuple", None, items=items, span=one.span)
        case s.Call(function="list"):
            return Hyper(one.model_name, "list", None, span=one.span)
        case s.Name(id="true" | "false"):
            return Hyper(one.model_name, "bool", None, span=one.span)
        case s.Number(value=int()):
            return Hyper(one.model_name, "int", None, span=one.span)
        case _:
            return Hyper(one.model_name, "real", None, span=one.span)


def give(c: Context, pending: Sequence[Pending], arguments: Sequence[Argument]) -> None:
    """Attach the arguments of a composition's term to the hypers they set."""
    for argument in arguments:
        arg, term = argument.arg, argument.term
        if not arg.name:
            c.error(
                "E209",
                f"arguments of `{term.name}` are named",
                arg.span,
                f"write `{pending[0].name if pending else 'lr'} = ...`",
            )
            continue
        for one in pending:
            if arg.name == one.name or arg.name in (item for item, _ in one.items):
                one.given[arg.name] = arg
                break
        else:
            known = [one.name for one in pending]
            listed = ", ".join(f"`{name}`" for name in known)
            c.error(
                "E209",
                f"`{term.name}` has no hyper `{arg.name}`",
                arg.span,
                nearest(arg.name, known) or (f"it has {listed}" if known else "it has none"),
            )


def finish(c: Context, pending: Sequence[Pending]) -> list[Hyper]:
    """Work out defaults and intervals."""
    hypers: list[Hyper] = []
    for one in pending:
        hyper = _finish(c, one)
        hypers.append(hyper)
        for read in hyper.items or (hyper.name,):
            c.hypers[read] = hyper
    check_circles(c, hypers)
    for hyper in hypers:
        check_bounds(c, hyper, hypers)
    return hypers


def _finish(c: Context, one: Pending) -> Hyper:
    hyper = replace(_preliminary(one), origin=one.origin, bounds=_bounds(c, one))
    whole = one.given.get(one.name)
    match one.default:
        case s.HyperTuple(items=items):
            values = [_value(c, one, default) for _, default in items]
            if whole is not None:
                values = _given_tuple(c, one, whole, values)
            for position, (item, _) in enumerate(one.items):
                if item in one.given and item != one.name:
                    values[position] = _argument(c, one, one.given[item].value)
            return replace(hyper, default=tuple(values))
        case s.Choice(options=options):
            word = options[0]
            if whole is not None:
                word = _given_word(c, whole, options)
            return replace(hyper, default=number(word, one.span))
        case s.Call(function="list", args=args):
            given = None if whole is None else whole.value
            if isinstance(given, s.Tuple):
                return replace(hyper, default=tuple(_argument(c, one, v) for v in given.items))
            if isinstance(given, s.Call) and given.function == "list":
                args = given.args
            return replace(hyper, default=tuple(_value(c, one, arg.value) for arg in args))
        case s.Required():
            default = None if whole is None else _argument(c, one, whole.value)
            return replace(hyper, default=default)
        case default:
            value = _value(c, one, default) if whole is None else _argument(c, one, whole.value)
            kind = hyper.type
            if isinstance(value, Const) and not isinstance(value.value, str):
                kind = _type(value.value, kind)
            return replace(hyper, default=value, type=kind)


def _type(value: float | bool, declared: str) -> str:
    if isinstance(value, bool):
        return "bool"
    return "int" if isinstance(value, int) and declared == "int" else "real"


def _value(c: Context, one: Pending, node: s.Expr) -> Expr:
    with c.aside("default", one.frame):
        value = expression(c, node)
    return _scalar(c, one, value)


def _argument(c: Context, one: Pending, node: s.Expr) -> Expr:
    """A value given in a composition: it reads the names of the rule."""
    with c.aside("default"):
        value = expression(c, node)
    return _scalar(c, one, value)


def _scalar(c: Context, one: Pending, value: Expr) -> Expr:
    if is_poison(value):
        return number(0, value.span)
    known = constant_value(value)
    if not isinstance(value, Const) and known is not None:
        return number(known, value.span)
    if not value.host or show(value).startswith("("):
        c.error("E420", f"`{one.name}` has one value", value.span, "name each: `(a = 1, b = 2)`")
    return value


def _given_tuple(c: Context, one: Pending, arg: s.Arg, values: list[Expr]) -> list[Expr]:
    if not isinstance(arg.value, s.Tuple) or len(arg.value.items) != len(values):
        listed = ", ".join(item for item, _ in one.items)
        c.error(
            "E420",
            f"`{one.name}` has {len(values)} values: {listed}",
            arg.span,
            f"write `{one.name} = ({', '.join(map(show, values))})`",
        )
        return values
    return [_argument(c, one, item) for item in arg.value.items]


def _given_word(c: Context, arg: s.Arg, options: tuple[str, ...]) -> str:
    if isinstance(arg.value, s.Name) and arg.value.id in options:
        return arg.value.id
    word = arg.value.id if isinstance(arg.value, s.Name) else ""
    c.error(
        "E210",
        f"`{arg.name}` is one of {', '.join(options)}",
        arg.span,
        nearest(word, options),
    )
    return options[0]


def _bounds(c: Context, one: Pending) -> Bounds | None:
    interval = one.interval
    if interval is None:
        return None
    ends: list[float] = []
    for node in (interval.low, interval.high):
        with c.aside("default"):
            value = constant_value(expression(c, node))
        if value is None or isinstance(value, str):
            c.error("E420", "the ends of an interval are numbers", node.span)
            return None
        ends.append(float(value))
    if ends[0] > ends[1]:
        c.error("E420", "this interval is empty", interval.span, "the lower end comes first")
        return None
    return Bounds(ends[0], ends[1], interval.low_closed, interval.high_closed)
