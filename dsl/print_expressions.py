"""Expressions, shapes and their parts back to text, with no bracket that is not needed.

    Binary("*", Binary("+", a, b), Unary("-", c))  ->  (a + b) * -c

The levels are those of grammar.lark's expression rules. Declarations, members and statements are
printer.py's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from .syntax import (
    Applied,
    Arg,
    Binary,
    Call,
    Choice,
    Codec,
    Composition,
    Expr,
    Granule,
    HyperTuple,
    Index,
    Interval,
    LikeShape,
    Name,
    NamedShape,
    Number,
    PerShape,
    Required,
    Shape,
    ShapeChoice,
    Slice,
    SlotsShape,
    String,
    Ternary,
    Transpose,
    Tuple,
    Unary,
)

TERNARY, OR, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, POWER, POSTFIX = range(10)

# operator: (its level, the least level of what stands left and right of it)
_BINARY = {
    "or": (OR, OR, AND),
    "and": (AND, AND, NOT),
    **dict.fromkeys(
        ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "~"), (COMPARISON, SUM, SUM)
    ),
    **dict.fromkeys(("+", "-"), (SUM, SUM, PRODUCT)),
    **dict.fromkeys(("*", "/", "@", "%"), (PRODUCT, PRODUCT, UNARY)),
    "^": (POWER, POSTFIX, UNARY),
}


def show_expr(expr: Expr, least: int = TERNARY) -> str:
    """In brackets if it binds less tightly than `least`."""
    text, level = _expr(expr)
    return f"({text})" if level < least else text


def _expr(expr: Expr) -> tuple[str, int]:
    match expr:
        case Number(value=value):
            return show_number(value), UNARY if value < 0 else POSTFIX
        case String(value=value):
            return show_string(value), POSTFIX
        case Name(id=name):
            return name, POSTFIX
        case Unary(op="not", operand=operand):
            return f"not {show_expr(operand, NOT)}", NOT
        case Unary(op=op, operand=operand):
            return op + show_expr(operand, UNARY), UNARY
        case Binary(op=op, left=left, right=right):
            level, least_left, least_right = _BINARY[op]
            space = "" if op == "^" else " "
            first, second = show_expr(left, least_left), show_expr(right, least_right)
            return f"{first}{space}{op}{space}{second}", level
        case Ternary(then=then, condition=condition, otherwise=otherwise):
            choice = f"{show_expr(then, OR)} if {show_expr(condition, OR)}"
            return f"{choice} else {show_expr(otherwise)}", TERNARY
        case Call(function=function, args=args, per=per):
            parts = [show_arg(arg) for arg in args]
            if per is not None:
                parts.append(f"per {show_granule(per)}")
            return f"{function}({', '.join(parts)})", POSTFIX
        case Index(value=value, items=items):
            return f"{_base(value)}[{', '.join(map(show_item, items))}]", POSTFIX
        case Transpose(value=value):
            return f"{_base(value)}.T", POSTFIX
        case Tuple(items=items):
            comma = "," if len(items) == 1 else ""
            return f"({_list(items)}{comma})", POSTFIX


def _base(value: Expr) -> str:
    """What `.T` or an index follows; `1.T` would be read as the number `1.`."""
    return f"({show_expr(value)})" if isinstance(value, Number) else show_expr(value, POSTFIX)


def _list(items: Sequence[Expr]) -> str:
    return ", ".join(show_expr(item) for item in items)


def show_item(item: Expr | Slice) -> str:
    if not isinstance(item, Slice):
        return show_expr(item)
    start = "" if item.start is None else show_expr(item.start)
    return f"{start}:{'' if item.stop is None else show_expr(item.stop)}"


def show_arg(arg: Arg) -> str:
    return f"{arg.name} = {show_expr(arg.value)}" if arg.name else show_expr(arg.value)


def show_granule(granule: Granule) -> str:
    return f"{granule.name}({_list(granule.args)})" if granule.args else granule.name


def show_applied(node: Applied | Codec) -> str:
    return f"{node.name}({', '.join(map(show_arg, node.args))})" if node.args else node.name


def show_composition(composition: Composition) -> str:
    return " + ".join(map(show_applied, composition.terms))


def show_default(default: Expr | HyperTuple | Choice | Required, least: int) -> str:
    """What a hyper or a parameter is when nobody says otherwise."""
    match default:
        case HyperTuple(items=items):
            return f"({', '.join(f'{name} = {show_expr(value)}' for name, value in items)})"
        case Choice(options=options):
            return f"one_of({', '.join(options)})"
        case Required():
            return "required"
        case _:
            return show_expr(default, least)


def show_interval(interval: Interval) -> str:
    opening = "[" if interval.low_closed else "("
    closing = "]" if interval.high_closed else ")"
    return f"{opening}{show_expr(interval.low)}, {show_expr(interval.high)}{closing}"


def show_shape(shape: Shape) -> str:
    match shape:
        case LikeShape(name=name):
            return f"like {name}"
        case PerShape(granule=granule):
            return f"per {show_granule(granule)}"
        case NamedShape(name=name, args=args):
            parts = [
                f"per {show_granule(arg)}" if isinstance(arg, Granule) else show_expr(arg)
                for arg in args
            ]
            return f"{name}({', '.join(parts)})" if parts else name
        case SlotsShape(count=count, of=of):
            return f"slots({show_expr(count)}) of {show_shape(of)}"
        case ShapeChoice(then=then, condition=condition, otherwise=otherwise):
            choice = f"{show_shape(then)} if {show_expr(condition, OR)}"
            return f"{choice} else {show_shape(otherwise)}"


def show_number(value: int | float) -> str:
    """The shorter of `0.001` and `1e-3`; what is an integer stays one."""
    if isinstance(value, int) or math.isinf(value):
        return str(value)
    plain = repr(value)
    sign, digits, exponent = Decimal(plain).normalize().as_tuple()
    first, rest = digits[0], "".join(map(str, digits[1:]))
    power = int(exponent) + len(rest)
    scientific = f"{'-' * sign}{first}{'.' * bool(rest)}{rest}e{power}"
    return plain if len(plain) <= len(scientific) and "e" not in plain else scientific


def show_string(text: str) -> str:
    quotes = '"""' if '"' in text or "\n" in text else '"'
    return f"{quotes}{text}{quotes}"
