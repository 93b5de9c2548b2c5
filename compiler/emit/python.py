"""A host expression in Python, with as few parentheses as it needs.

1 - beta1^t               ->   1 - beta1**t
lr if t > 1 else 0        ->   lr if t > 1 else 0
name ~ "q_proj"           ->   matches(r"...", name)
"""

from __future__ import annotations

import keyword
import re

from ...dsl.model import Apply, Const, Expr, Read
from ...dsl.patterns import regex

_INFIX = {
    "or": (" or ", 1), "and": (" and ", 2), "eq": (" == ", 4), "ne": (" != ", 4),
    "lt": (" < ", 4), "le": (" <= ", 4), "gt": (" > ", 4), "ge": (" >= ", 4),
    "add": (" + ", 5), "sub": (" - ", 5), "mul": (" * ", 6), "div": (" / ", 6),
    "mod": (" % ", 6), "pow": ("**", 8), "both": (" & ", 4), "either": (" | ", 4),
}  # fmt: skip
INFIX = frozenset(_INFIX) - {"and", "or"}  # what Python's word for serves tensors as well
_CALLS = {
    "sqrt": "math.sqrt", "exp": "math.exp", "log": "math.log", "log2": "math.log2",
    "floor": "math.floor", "ceil": "math.ceil", "tanh": "math.tanh", "sin": "math.sin",
    "cos": "math.cos", "tan": "math.tan", "atan": "math.atan", "atan2": "math.atan2",
    "abs": "abs", "maximum": "max", "minimum": "min", "round": "round", "erf": "math.erf",
    "size": "fact.size",
}  # fmt: skip


def python(expr: Expr) -> str:
    """A host expression in Python, with as few parentheses as it needs."""
    return _print(expr)[0]


def _print(expr: Expr) -> tuple[str, int]:
    match expr:
        case Const(value=bool() as value):
            return str(value), 10
        case Const(value=float() as value):
            return _number(value), 10
        case Const(value=int() as value):
            return str(value), 10 if value >= 0 else 7
        case Const(value=value):
            return quoted(str(value)), 10
        case Read():
            return python_name(expr), 10
        case Apply():
            return _apply(expr)


def quoted(text: str) -> str:
    """A word as a Python string."""
    quote = "'" if '"' in text and "'" not in text else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "math.inf" if value > 0 else "-math.inf"
    return repr(value)


def python_name(read: Read) -> str:
    """The Python variable that holds a host name inside `host`."""
    return identifier(read.name)


def identifier(name: str) -> str:
    """A name of the language as a Python variable; one that Python keeps for itself gets a `_`."""
    name = name.replace(".", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _apply(expr: Apply) -> tuple[str, int]:
    args = expr.args
    match expr.op, args:
        case "neg", (a,):
            return "-" + _wrap(a, 7), 7
        case "not", (a,):
            return "not " + _wrap(a, 3), 3
        case "select", (c, a, b):
            return f"{_wrap(a, 1)} if {_wrap(c, 1)} else {_wrap(b, 0)}", 0
        case "where", (c, a, b):
            return f"{_wrap(a, 1)} if {_wrap(c, 1)} else {_wrap(b, 0)}", 0
        case "clamp", (x, low, high):
            return f"min(max({python(x)}, {python(low)}), {python(high)})", 10
        case "sign", (a,):
            return f"math.copysign(1.0, {python(a)}) if {_wrap(a, 5)} else 0.0", 0
        case "sign_bit", (a,):
            return f"-1.0 if {_wrap(a, 5)} < 0 else 1.0", 0
        case "largest_divisor", (n, most):
            n = _wrap(n, 6)
            return f"max(_k for _k in range(1, int({python(most)}) + 1) if {n} % _k == 0)", 10
        case "binade", (a,):
            return f"math.ldexp(0.5, math.frexp({python(a)})[1])", 10
        case "sigmoid", (a,):
            return f"1 / (1 + math.exp(-{_wrap(a, 7)}))", 6
        case "softplus", (a,):
            return f"math.log1p(math.exp({python(a)}))", 10
        case "rsqrt", (a,):
            return f"1 / math.sqrt({python(a)})", 6
        case "square", (a,):
            return f"{_wrap(a, 9)}**2", 8
        case "lerp", (a, b, w):
            return f"{_wrap(a, 5)} + {_wrap(w, 6)} * ({python(b)} - {_wrap(a, 6)})", 5
        case "match", (name, Const(value=str() as pattern)):
            return f'matches(r"{regex(pattern)}", {python(name)})', 10
        case "member", (x, *words):
            inside = ", ".join(map(python, words)) + ("," if len(words) == 1 else "")
            return f"{_wrap(x, 5)} in ({inside})", 4
        case "lacks", (Const(value=str() as name), Const(value=str() as level)):
            return f'fact.lacks("{name}", "{level}")', 10
        case "index", (values, place):
            return f"{_wrap(values, 10)}[{python(place)}]", 10
        case "length", (values,):
            return f"len({python(values)})", 10
        case op, (a, b) if op in _INFIX:
            sign, level = _INFIX[op]
            tight = level + 1 if op in ("sub", "div", "mod") or level == 4 else level
            left = level + 1 if op == "pow" or level == 4 else level
            if op == "pow" and not all(re.fullmatch(r"-?[\w.]+", python(x)) for x in args):
                sign = " ** "
            if op == "or":  # the linter's rule: `a and b` in brackets there
                left, tight = (3 if _is(arg, "and") else 1 for arg in args)
            return f"{_wrap(a, left)}{sign}{_wrap(b, tight)}", level
        case op, _ if op in _CALLS or op.startswith("scalar."):
            return f"{_CALLS.get(op, op)}({', '.join(map(python, args))})", 10
        case op, _:
            raise ValueError(f"no Python for host operation {op}")


def _wrap(expr: Expr, least: int) -> str:
    text, level = _print(expr)
    return text if level >= least else f"({text})"


def _is(expr: Expr, op: str) -> bool:
    return isinstance(expr, Apply) and expr.op == op
