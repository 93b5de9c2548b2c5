r"""A model's step as LaTeX, the way a paper's algorithm box has it.

    equations(load("Lion"))   ->   ["d &\leftarrow \operatorname{sign}(\beta_1 m + ...)", ...]

Each line is one row of an `aligned` environment. Assignments use arrows, so no value needs a time
index; `t` is the number of the step, from 1.
"""

from __future__ import annotations

import re

from .describe import phrase
from .levels import Level
from .model import (
    Apply,
    Assign,
    Const,
    Expr,
    Guard,
    Model,
    Read,
    Repeat,
    Reset,
    Skip,
    Stmt,
    When,
    constant,
)

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi psi "
    "omega".split()
)
SYMBOLS = {
    "param": r"\theta", "grad": "g", "direction": "d", "step": "s", "lr": r"\eta",
    "eps": r"\epsilon", "weight_decay": r"\lambda", "momentum": r"\mu", "inf": r"\infty",
}  # fmt: skip
RELATIONS = {
    "eq": "=", "ne": r"\neq", "lt": "<", "le": r"\leq", "gt": ">", "ge": r"\geq",
    "or": r"\lor", "and": r"\land", "match": r"\sim",
}  # fmt: skip
STRENGTH = {"or": 1, "and": 2, "add": 5, "sub": 5, "mul": 6, "matmul": 6, "pow": 8} | dict.fromkeys(
    ("eq", "ne", "lt", "le", "gt", "ge", "match"), 4
)
SUBSCRIPTED = frozenset("sum mean std count quantile argmin argmax dot rms norm max min".split())


def equations(model: Model) -> list[str]:
    """Rows of an `aligned` environment, one per statement; a route has one block per branch."""
    rows: list[str] = []
    for section in model.sections:
        rows += _suite(section.body, 0)
    for branch in model.route:
        test = branch.condition
        head = r"\textbf{otherwise}" if test is None else rf"\textbf{{if }} {formula(test)}"
        rows.append(rf"&{head}\text{{: {branch.model.name}}}")
        rows += [rf"&\quad {row.removeprefix('&')}" for row in equations(branch.model)]
    return rows


def _suite(body: tuple[Stmt, ...], depth: int) -> list[str]:
    rows: list[str] = []
    space = r"\quad " * depth
    for stmt in body:
        match stmt:
            case Assign(name=name, value=value):
                rows.append(rf"&{space}{symbol(name)} \leftarrow {formula(value)}")
            case When(condition=condition, then=then, otherwise=otherwise):
                rows.append(rf"&{space}\textbf{{if }} {formula(condition)}\textbf{{:}}")
                rows += _suite(then, depth + 1)
                if otherwise:
                    rows.append(rf"&{space}\textbf{{otherwise:}}")
                    rows += _suite(otherwise, depth + 1)
            case Repeat(count=count, body=inner):
                rows.append(rf"&{space}\textbf{{repeat }} {formula(count)}\textbf{{ times:}}")
                rows += _suite(inner, depth + 1)
            case Skip():
                rows.append(rf"&{space}\textbf{{end the call}}")
            case Guard(condition=condition):
                rows.append(rf"&{space}\textbf{{write nothing unless }} {formula(condition)}")
            case Reset(states=states):
                rows.append(rf"&{space}\textbf{{reset }} {', '.join(map(symbol, states))}")
    return rows


def symbol(name: str) -> str:
    r"""`beta1` as `\beta_{1}`, `exp_avg` as `\mathrm{exp\_avg}`."""
    name = name.rpartition(".")[2]  # an inlined function's x is called f.1.x
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name.endswith("_hat") and len(name) > 4:
        return rf"\hat{{{symbol(name[:-4])}}}"
    word, mark, rest = name.partition("_")
    if mark and rest and _letter(word):
        below = rest.replace("_", r"\_")
        return rf"{_letter(word)}_{{\mathrm{{{below}}}}}"
    digits = re.search(r"\d*$", name)
    number = digits[0] if digits else ""
    letter = _letter(name.removesuffix(number))
    if not letter:
        return rf"\mathrm{{{name}}}".replace("_", r"\_")
    return f"{letter}_{{{number}}}" if number else letter


def _letter(word: str) -> str:
    """A name that is one letter, or the name of a Greek one; else nothing."""
    return word if len(word) == 1 else rf"\{word}" if word in GREEK else ""


def formula(expr: Expr, least: int = 0) -> str:
    """An expression; parentheses only where precedence asks for them."""
    match expr:
        case Const(value=value):
            return _constant(value)
        case Read(name=name):
            return symbol(name)
        case Apply(op="neg", args=(inner,)):
            return _wrap("-" + formula(inner, 7), 5, least)
        case Apply(op="not", args=(inner,)):
            return rf"\lnot \left({formula(inner)}\right)"
        case Apply(op="div", args=(above, below)):
            return rf"\frac{{{formula(above)}}}{{{formula(below)}}}"
        case Apply(op="pow", args=(base, power)):
            return f"{{{formula(base, 9)}}}^{{{formula(power)}}}"
        case Apply(op="sub", args=(left, right)):
            return _wrap(f"{formula(left, 5)} - {formula(right, 6)}", 5, least)
        case Apply(op="add", args=(left, right)):
            return _wrap(f"{formula(left, 5)} + {formula(right, 5)}", 5, least)
        case Apply(op="mul", args=(left, right)):
            dot = r" \cdot " if isinstance(right, Const) else r"\,"
            return _wrap(f"{formula(left, 6)}{dot}{formula(right, 7)}", 6, least)
        case Apply(op="matmul", args=(left, right)):
            return _wrap(rf"{formula(left, 6)}\,{formula(right, 7)}", 6, least)
        case Apply(op="mod", args=(left, right)):
            return rf"({formula(left, 6)} \bmod {formula(right, 7)})"
        case Apply(op="transpose", args=(inner,)):
            return rf"{{{formula(inner, 9)}}}^{{\top}}"
        case Apply(op="lerp", args=(a, b, weight)):
            rest = _one_minus(weight)
            return _wrap(f"{_product(rest, a)} + {_product(weight, b)}", 5, least)
        case Apply(op="select" | "where", args=(condition, then, otherwise)):
            rows = rf"{formula(then)} & {formula(condition)} \\ "
            while isinstance(otherwise, Apply) and otherwise.op in ("select", "where"):
                condition, then, otherwise = otherwise.args
                rows += rf"{formula(then)} & {formula(condition)} \\ "
            rows += rf"{formula(otherwise)} & \text{{otherwise}}"
            return rf"\begin{{cases}} {rows} \end{{cases}}"
        case Apply(op="member", args=(value, *words)):
            return rf"{formula(value, 5)} \in \{{{', '.join(map(formula, words))}\}}"
        case Apply(op="sqrt", args=(inner,)):
            return rf"\sqrt{{{formula(inner)}}}"
        case Apply(op="rsqrt", args=(inner,)):
            return rf"\frac{{1}}{{\sqrt{{{formula(inner)}}}}}"
        case Apply(op="abs", args=(inner,)):
            return rf"\left|{formula(inner)}\right|"
        case Apply(op="norm", args=(inner,), per=per):
            return rf"\left\lVert {formula(inner)} \right\rVert{_below(per)}"
        case Apply(op=op, args=(left, right)) if op in RELATIONS:
            strength = STRENGTH[op]
            text = f"{formula(left, strength)} {RELATIONS[op]} {formula(right, strength + 1)}"
            return _wrap(text, strength, least)
        case Apply(op=op, args=args, per=per):
            inside = ", ".join(map(formula, args))
            op = {"maximum": "max", "minimum": "min"}.get(op, op)
            known = op in ("max", "min", "exp", "log", "sin", "cos", "tan", "tanh")
            head = rf"\{op}" if known else rf"\operatorname{{{op}}}".replace("_", r"\_")
            return rf"{head}{_below(per) if op in SUBSCRIPTED else ''}\left({inside}\right)"


def _product(weight: Expr, value: Expr) -> str:
    return rf"{formula(weight, 6)}\,{formula(value, 7)}"


def _one_minus(weight: Expr) -> Expr:
    """`1 - w`, and b where w is `1 - b`."""
    match weight:
        case Apply(op="sub", args=(Const(value=1), rest)):
            return rest
        case Const(value=int() | float() as value):
            return constant(1 - value, weight.span)
        case _:
            one, span = constant(1, weight.span), weight.span
            return Apply("sub", (one, weight), level=weight.level, host=weight.host, span=span)


def _below(per: Level | None) -> str:
    if per is None or per.kind == "tensor":
        return ""
    words = phrase(per).removeprefix("per ").replace("_", " ")
    return rf"_{{\text{{{words}}}}}"


def _constant(value: object) -> str:
    match value:
        case bool():
            return rf"\text{{{str(value).lower()}}}"
        case str():
            return rf"\text{{{value}}}".replace("_", r"\_")
        case float() | int():
            if value == float("inf"):
                return r"\infty"
            mantissa, _, power = f"{value:.6g}".partition("e")
            return mantissa if not power else _scientific(mantissa, int(power))
        case _:
            return str(value)


def _scientific(mantissa: str, power: int) -> str:
    ten = f"10^{{{power}}}"
    return ten if mantissa == "1" else rf"{mantissa} \cdot {ten}"


def _wrap(text: str, strength: int, least: int) -> str:
    return rf"\left({text}\right)" if strength < least else text
