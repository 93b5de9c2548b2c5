"""Names for host operands that a reader recognises.

1 - beta1 -> one_minus_beta1    1 / (1 - beta1^t) -> inverse_correction_beta1    lr / c -> lr_over_c
"""

from __future__ import annotations

from ..dsl.model import Apply, Const, Expr, Read

_LONGEST = 40


def scalar_names(exprs: tuple[Expr, ...]) -> tuple[tuple[str, Expr], ...]:
    """Each expression with a unique identifier."""
    taken: set[str] = set()
    named: list[tuple[str, Expr]] = []
    for expr in exprs:
        words = _words(expr)
        base = words if words and len(words) <= _LONGEST else "scalar"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        named.append((name, expr))
    return tuple(named)


def _words(expr: Expr) -> str:
    match expr:
        case Read():
            return expr.name.rpartition(".")[2]
        case Const(value=1):
            return "one"
        case Const(value=2):
            return "two"
        case Apply(op="sub", args=(Const(value=1), Apply(op="pow", args=(a, Read(name="t"))))):
            return _after("correction", a)
        case Apply(op="sub", args=(a, b)):
            return _pair(a, "minus", b)
        case Apply(op="add", args=(a, b)):
            return _pair(a, "plus", b)
        case Apply(op="mul", args=(a, b)):
            return _pair(a, "", b)
        case Apply(op="div", args=(Const(value=1), b)):
            return _after("inverse", b)
        case Apply(op="div", args=(a, b)):
            return _pair(a, "over", b)
        case Apply(op="pow", args=(a, b)):
            return _pair(a, "pow", b)
        case Apply(op="neg", args=(a,)):
            return _after("minus", a)
        case Apply(op="sqrt", args=(a,)):
            return _after("sqrt", a)
        case _:
            return ""


def _pair(a: Expr, word: str, b: Expr) -> str:
    left, right = _words(a), _words(b)
    if not left or not right:
        return ""
    return "_".join(part for part in (left, word, right) if part)


def _after(word: str, x: Expr) -> str:
    inner = _words(x)
    return f"{word}_{inner}" if inner else ""
