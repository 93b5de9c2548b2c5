"""Calls: the functions of the language, and `per`.

    norm(grad, per rows)   max(a, b, c)   std(grad, unbiased = true)   cast(x, bfloat16)

Calls of a spec's own defs and schedules go to inline.py (through the context).
"""

from __future__ import annotations

from collections.abc import Callable

from . import order_statistics
from . import syntax as s
from .context import Context, is_poison, number, poison
from .describe import expression as show
from .exchanges import exchange
from .functions import FUNCTIONS, Function
from .granules import granule
from .infer import apply, joined, reduce
from .levels import ELEMENT, TENSOR, Level
from .matrices import results
from .model import Apply, Expr, Read
from .order_statistics import ORDER_STATISTICS
from .suggest import nearest
from .words import DTYPE_NAMES, DTYPES

Elaborate = Callable[[Context, s.Expr], Expr]


def call(c: Context, node: s.Call, expression: Elaborate) -> Expr:
    """The value of a call."""
    if node.function not in FUNCTIONS:
        return _declared(c, node)
    function = FUNCTIONS[node.function]
    positional = [arg for arg in node.args if not arg.name]
    if not _well_formed(c, node, function, len(positional)):
        return poison(node.span)
    if function.code:
        c.not_compiled(function.code, function.name, node.span)
    match node.function:
        case "cast":
            return _cast(c, node, expression)
        case "stored":
            return _stored(c, node, expression)
        case "sync":
            return _sync(c, node, expression)
        case _:
            pass
    if function.kind == "collective" or function.kind == "sparse":
        return exchange(c, node, function, expression)
    args = [expression(c, arg.value) for arg in positional]
    options = tuple((arg.name, expression(c, arg.value)) for arg in node.args if arg.name)
    if any(is_poison(arg) for arg in args):
        return poison(node.span)
    return _apply(c, node, function, args, options, expression)


def _declared(c: Context, node: s.Call) -> Expr:
    """A def or a schedule of the spec."""
    found = c.library.find(node.function, node.span.source)
    if isinstance(found, s.Definition) or (
        isinstance(found, s.RuleTable) and found.kind == "schedule"
    ):
        return c.inline(c, node, found)
    known = [*FUNCTIONS, *c.library.known(node.span.source)]
    return c.error(
        "E202",
        f"there is no function `{node.function}`",
        node.span,
        nearest(node.function, known) or f"define it: `def {node.function}(...):`",
    )


def _names_option(arg: s.Arg, function: Function) -> bool:
    bare = not arg.name and isinstance(arg.value, s.Name)
    return bare and isinstance(arg.value, s.Name) and arg.value.id in function.options


def _well_formed(c: Context, node: s.Call, function: Function, count: int) -> bool:
    name = function.name
    bare = [arg for arg in node.args if _names_option(arg, function)]
    if bare:
        option = bare[0].span.text
        c.error("E209", "an option is named", bare[0].span, f"write `{option} = true`")
        return False
    if not function.least <= count <= function.most:
        least, most = function.least, function.most
        wanted = f"{least}" if least == most else f"{least} to {most}"
        c.error(
            "E208",
            f"`{name}` takes {wanted} argument{'s' * (most != 1)}, and {count} are given",
            node.span,
            f"`{name}`: {function.doc}",
        )
        return False
    for arg in node.args:
        if arg.name and arg.name not in function.options:
            listed = ", ".join(f"`{option}`" for option in function.options)
            c.error(
                "E209",
                f"`{name}` has no option `{arg.name}`",
                arg.span,
                nearest(arg.name, function.options) or (f"it has {listed}" if listed else ""),
            )
            return False
    reduces = function.kind == "reduction" or (name in ("max", "min") and count == 1)
    takes_per = reduces or name in ("topk", "dct", "idct")
    if node.per is not None and not takes_per:
        c.error(
            "E314",
            f"`{name}` is no reduction: it takes no `per`" if name not in ("max", "min")
            else f"`{name}` of several arguments is pairwise: it takes no `per`",
            node.per.span,
            "remove it",
        )  # fmt: skip
        return False
    if name in ("max", "min") and count == 1 and node.per is None:
        c.error(
            "E306",
            f"`{name}` of one argument must say `per`",
            node.span,
            f"write `{name}(x, per tensor)`, or give two arguments for the pairwise form",
        )
        return False
    return True


def _apply(
    c: Context,
    node: s.Call,
    function: Function,
    args: list[Expr],
    options: tuple[tuple[str, Expr], ...],
    expression: Elaborate,
) -> Expr:
    name, span = function.name, node.span
    if function.kind == "reduction" or (name in ("max", "min") and len(args) == 1):
        per = TENSOR if node.per is None else granule(c, node.per, expression)
        value = reduce(c, name, args, per, span, options)
        return order_statistics.check(c, value) if name in ORDER_STATISTICS else value
    match function.kind:
        case "elementary" if name in ("max", "min"):
            pairwise = "maximum" if name == "max" else "minimum"
            value = args[0]
            for arg in args[1:]:
                value = apply(c, pairwise, (value, arg), span)
            return value
        case "elementary":
            return apply(c, name, args, span)
        case "host":
            return _host(c, name, args, node)
        case "matrix":
            levels = results(c, name, args, span)
            per = None if node.per is None else granule(c, node.per, expression)
            level = levels[0] if function.results == 1 else Level("tuple")
            return Apply(name, tuple(args), options, per, level=level, host=False, span=span)
        case "chance":
            return _chance(c, name, args, options, node)
        case _:
            return _loss(c, name, args, node)


def result_levels(c: Context, value: Apply) -> tuple[Level, ...]:
    """The levels of what a function with several results gives."""
    if value.op == "tuple":
        return tuple(arg.level for arg in value.args)
    if value.op in FUNCTIONS and FUNCTIONS[value.op].kind == "matrix":
        return results(c, value.op, value.args, value.span)
    return tuple(arg.level for arg in value.args)


def _host(c: Context, name: str, args: list[Expr], node: s.Call) -> Expr:
    if name == "length":
        read = args[0]
        if not (isinstance(read, Read) and read.kind == "hyper"):
            return c.error("E304", "`length` counts the values of a list hyper", node.span)
    if name == "is_diagonal":
        return Apply(name, tuple(args), level=TENSOR, host=True, span=node.span)
    for arg in args:
        if not arg.host:
            return c.error(
                "E304", f"`{name}` needs host values, and `{show(arg)}` is data", node.span
            )
    level = TENSOR if name == "size" else joined(c, args, node.span)
    return Apply(name, tuple(args), level=level, host=True, span=node.span)


def _chance(
    c: Context, name: str, args: list[Expr], options: tuple[tuple[str, Expr], ...], node: s.Call
) -> Expr:
    like = next((value.level for option, value in options if option == "like"), ELEMENT)
    level = Level("vector", (args[1],)) if name == "sample" else like
    return Apply(name, tuple(args), options, level=level, host=False, span=node.span)


def _loss(c: Context, name: str, args: list[Expr], node: s.Call) -> Expr:
    level = Level("global")
    return Apply(name, tuple(args), level=level, host=False, span=node.span)


def _sync(c: Context, node: s.Call, expression: Elaborate) -> Expr:
    value = expression(c, node.args[0].value)
    if is_poison(value):
        return value
    if not value.level.is_coarse:
        return c.error(
            "E316",
            "`sync` brings one number to the host, and this has more",
            node.span,
            "reduce it first: `sync(max(x, per tensor))`",
        )
    return Apply("sync", (value,), level=value.level, host=True, span=node.span)


def _cast(c: Context, node: s.Call, expression: Elaborate) -> Expr:
    value = expression(c, node.args[0].value)
    dtype = node.args[1].value
    name = dtype.id if isinstance(dtype, s.Name) else ""
    name = DTYPE_NAMES.get(name, name)
    if name not in DTYPES:
        known = [*DTYPES, *DTYPE_NAMES]
        return c.error(
            "E212", "`cast` needs a dtype", dtype.span, nearest(name, known) or ", ".join(DTYPES)
        )
    return Apply(
        "cast",
        (value, number(name, dtype.span)),
        level=value.level,
        host=value.host,
        span=node.span,
    )


def _stored(c: Context, node: s.Call, expression: Elaborate) -> Expr:
    value = expression(c, node.args[0].value)
    codec = node.args[1].value
    c.not_compiled("E524", "stored", node.span)
    match codec:
        case s.Name(id=name):
            options: tuple[tuple[str, Expr], ...] = ()
        case s.Call(function=name, args=args):
            options = tuple((arg.name, expression(c, arg.value)) for arg in args)
        case _:
            return c.error("E410", "`stored` needs a codec", codec.span)
    args = (value, number(name, codec.span))
    return Apply("stored", args, options, level=value.level, host=False, span=node.span)
