"""The value of a host expression, given values for what it reads.

    evaluate(parse of "1 - beta1", {"beta1": 0.9}.get)  ->  0.1

Used to check defaults and views while a spec is understood. Only scalar operations; whoever needs
a reduction or a matrix gets `Unknown`. The interpreter runs whole steps; this does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .model import Apply, Const, Expr, Read
from .patterns import matches

Scalar = float | bool | str


class Unknown(Exception):
    """The expression has no value here."""


def evaluate(expr: Expr, value_of: Callable[[Read], Scalar | None]) -> Scalar:
    """Its value; raises Unknown where a name has none, or the operation is not a scalar one."""
    match expr:
        case Const(value=value):
            return value
        case Read():
            value = value_of(expr)
            if value is None:
                raise Unknown
            return value
        case Apply(op="select" | "where", args=(condition, then, otherwise)):
            chosen = then if evaluate(condition, value_of) else otherwise
            return evaluate(chosen, value_of)
        case Apply(op="and", args=(left, right)):
            return bool(evaluate(left, value_of)) and bool(evaluate(right, value_of))
        case Apply(op="or", args=(left, right)):
            return bool(evaluate(left, value_of)) or bool(evaluate(right, value_of))
        case Apply(op=op, args=args):
            return _apply(op, [evaluate(arg, value_of) for arg in args])


def constant_value(value: Expr) -> Scalar | None:
    """The value of an expression that reads nothing; None if it reads something."""
    try:
        return evaluate(value, lambda _: None)
    except Unknown:
        return None


def _apply(op: str, values: list[Scalar]) -> Scalar:
    match op:
        case "eq":
            return values[0] == values[1]
        case "ne":
            return values[0] != values[1]
        case "not":
            return not values[0]
        case "member":
            return values[0] in values[1:]
        case "match":
            return matches(str(values[1]), str(values[0]))
        case _:
            return _number(op, values)


def _number(op: str, values: list[Scalar]) -> Scalar:
    numbers = [float(value) for value in values if not isinstance(value, str)]
    if len(numbers) < len(values):
        raise Unknown
    try:
        match numbers:
            case [x] if op in _UNARY:
                return _UNARY[op](x)
            case [a, b] if op in _BINARY:
                return _BINARY[op](a, b)
            case [x, a, b] if op == "clamp":
                return min(max(x, a), b)
            case [a, b, w] if op == "lerp":
                return a + w * (b - a)
            case _:
                raise Unknown
    except (ArithmeticError, ValueError):
        return math.nan


def _power(a: float, b: float) -> float:
    return math.nan if a < 0 and b != int(b) else a**b


def _divide(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    return a / b


def _sign(x: float) -> float:
    return x if x == 0 or math.isnan(x) else math.copysign(1.0, x)


def _largest_divisor(n: float, most: float) -> float:
    for k in range(min(int(most), int(n), 1 << 16), 0, -1):
        if int(n) % k == 0:
            return float(k)
    return 1.0


_UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda x: -x,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "exp": math.exp,
    "log": math.log,
    "abs": abs,
    "sign": _sign,
    "sign_bit": lambda x: -1.0 if x < 0 else 1.0,
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "atan": math.atan,
}

_BINARY: dict[str, Callable[[float, float], float | bool]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "mod": lambda a, b: a % b,
    "pow": _power,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "maximum": lambda a, b: max(a, b),
    "minimum": lambda a, b: min(a, b),
    "atan2": math.atan2,
    "largest_divisor": _largest_divisor,
}
