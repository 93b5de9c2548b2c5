"""How each target language writes the operations: the tables C, TRITON and TORCH.

    expression(maximum(x, y), names, C)    ->    "MAXIMUM(x, y)"

C text is generic in REAL: its capitals (SQRT, MAXIMUM, ...) are macros and inline functions of
`c_prelude.py`. The functions that Triton lacks (`TRITON_FUNCTIONS`: sign, power, atan2, ...) are
kernels of `runtime/elementary.py`. To add an operation, add a line to each of the three.
"""

from __future__ import annotations

import math
import struct

from ..ir import Node
from .expressions import (
    ADD,
    AND,
    ATOM,
    BITAND,
    BITOR,
    COMPARE,
    LOOSE,
    MUL,
    OR,
    TYPED,
    UNARY,
    Form,
    Syntax,
)  # fmt: skip

TRITON_FUNCTIONS = frozenset(
    {"sign", "modulo", "power", "tanh", "softplus", "tan", "atan", "atan2", "cbrt", "round_even",
     "round_by_chance"}
)  # fmt: skip


def _infix(sign: str, binds: int) -> Form:
    """Left to right: `a - (b - c)` keeps its parentheses, `(a - b) - c` needs none."""
    return Form(f"{{0}} {sign} {{1}}", binds, (binds, binds + 1))


def _comparison(sign: str) -> Form:
    return Form(f"{{0}} {sign} {{1}}", COMPARE, (BITOR, BITOR))


def _call(name: str, count: int = 1, *more: str, takes: int = LOOSE) -> Form:
    args = [*(f"{{{k}}}" for k in range(count)), *more]
    return Form(f"{name}({', '.join(args)})", ATOM, (takes,) * count)


_SHARED: dict[str, Form] = {
    "add": _infix("+", ADD),
    "sub": _infix("-", ADD),
    "mul": _infix("*", MUL),
    "div": _infix("/", MUL),
    "neg": Form("-{0}", UNARY, (UNARY + 1,)),
    "eq": _comparison("=="),
    "ne": _comparison("!="),
    "lt": _comparison("<"),
    "le": _comparison("<="),
    "gt": _comparison(">"),
    "ge": _comparison(">="),
}


def _float32_exact(value: float) -> bool:
    try:
        return struct.unpack("f", struct.pack("f", value))[0] == value
    except OverflowError:
        return False


# ---------------------------------------------------------------- C


def _c_number(value: float, needed: int) -> str:
    if math.isnan(value):
        return "R(NAN)"
    if math.isinf(value):
        return "R(INFINITY)" if value > 0 else "-R(INFINITY)"
    text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return f"R({text})"


C = Syntax(
    "C",
    {
        **_SHARED,
        "and": _infix("&&", AND),
        "or": _infix("||", OR),
        "not": Form("!{0}", UNARY, (UNARY + 1,)),
        "where": _call("WHERE", 3),
        "number": _call("WHERE", 1, "R(1)", "R(0)"),
        "truth": Form("{0} != R(0)", COMPARE, (BITOR,)),
        **{f"cast:{name}": _call(f"ROUND_TO_{code}") for name, code in (
            ("param", "PARAM"), ("bfloat16", "BF16"), ("float16", "F16"), ("float32", "F32"),
        )},
        "cast:float64": Form("{0}", LOOSE, (LOOSE,)),
        "cast:real": Form("{0}", LOOSE, (LOOSE,)),
        "round_stochastic": _call("ROUND_STOCHASTIC", 2, "i"),
        **{op: _call(op.upper()) for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "sign", "sign_bit", "floor",
            "ceil", "round", "tanh", "sigmoid", "softplus", "sin", "cos", "tan", "atan", "erf",
            "cbrt",
        )},
        **{op: _call(op.upper(), 2) for op in ("maximum", "minimum", "atan2", "pow", "mod")},
        "clamp": _call("CLAMP", 3),
        "max_number": _call("MAX_NUMBER", 2),
        "min_number": _call("MIN_NUMBER", 2),
    },
    _c_number,
    lambda node: f"cast:{node.attr}" if node.op == "cast" else node.op,
)  # fmt: skip


def _plain_number(value: float, needed: int) -> str:
    return _c_number(value, needed).replace("R(", "(") if not math.isfinite(value) else repr(value)


C_DOUBLE = Syntax(
    "C in double",
    {
        key: Form(form.text.replace("R(", "(").lower(), form.binds, form.takes)
        for key, form in C.forms.items()
    },
    _plain_number,
    C.spell,
)


# ---------------------------------------------------------------- Triton


def _triton_number(value: float, needed: int) -> str:
    if not math.isfinite(value):
        return f'float("{value}")'
    if needed == TYPED and not _float32_exact(value):
        return f"tl.full((), {value!r}, REAL)"
    return repr(value)


def _triton_spell(node: Node) -> str:
    match node.op:
        case "cast":
            return f"cast:{node.attr}"
        case "clamp" if not all(bound.is_host for bound in node.args[1:]):
            return "clamp between values"
        case "where" if node.args[1].op == node.args[2].op == "const":
            return "where of numbers"
        case _:
            return node.op


_KEEP_NAN = "propagate_nan=tl.PropagateNan.ALL"

TRITON = Syntax(
    "Triton",
    {
        **_SHARED,
        "and": _infix("&", BITAND),
        "or": _infix("|", BITOR),
        "not": Form("~{0}", UNARY, (UNARY,)),
        "where": _call("tl.where", 3),
        "where of numbers": Form("tl.where({0}, {1}, {2})", ATOM, (LOOSE, TYPED, TYPED)),
        "number": Form("tl.where({0}, 1.0, 0.0)", ATOM, (LOOSE,)),
        "truth": Form("{0} != 0.0", COMPARE, (BITOR,)),
        "cast:param": Form("{0}.to(PARAM).to(REAL)", ATOM, (ATOM,)),
        "cast:real": Form("{0}", LOOSE, (LOOSE,)),
        **{
            f"cast:{name}": Form(f"{{0}}.to(tl.{name}).to(REAL)", ATOM, (ATOM,))
            for name in ("bfloat16", "float16", "float32", "float64")
        },
        **{op: _call(f"tl.{op}") for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "floor", "ceil", "sigmoid",
            "sin", "cos", "erf",
        )},
        "sign_bit": Form("tl.where({0} < 0.0, -1.0, 1.0)", ATOM, (BITOR,)),
        "maximum": _call("tl.maximum", 2, _KEEP_NAN, takes=TYPED),
        "minimum": _call("tl.minimum", 2, _KEEP_NAN, takes=TYPED),
        "clamp": _call("tl.clamp", 3, _KEEP_NAN, takes=TYPED),
        "max_number": _call("tl.maximum", 2, takes=TYPED),
        "min_number": _call("tl.minimum", 2, takes=TYPED),
        "clamp between values": Form(
            f"tl.minimum(tl.maximum({{0}}, {{1}}, {_KEEP_NAN}), {{2}}, {_KEEP_NAN})",
            ATOM, (TYPED, TYPED, TYPED),
        ),
        "round_stochastic": _call("round_by_chance", 2, "index", "base", "PARAM"),
        "round": _call("round_even"),
        **{op: _call(op) for op in ("sign", "tanh", "softplus", "tan", "atan", "cbrt")},
        "atan2": _call("atan2", 2),
        "mod": _call("modulo", 2),
        "pow": _call("power", 2),
    },
    _triton_number,
    _triton_spell,
)  # fmt: skip


# ---------------------------------------------------------------- torch


def _torch_number(value: float, needed: int) -> str:
    if not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _torch_spell(node: Node) -> str:
    """Functions that want tensors in places where a host number, a Python float, stands."""
    number = [_is_number(arg) for arg in node.args]
    match node.op, number:
        case "cast", _:
            return f"cast:{node.attr}"
        case "maximum" | "minimum" | "max_number" | "min_number" | "atan2", [False, True]:
            return f"{node.op} of a tensor and a number"
        case "maximum" | "minimum" | "max_number" | "min_number" | "atan2", [True, False]:
            return f"{node.op} of a number and a tensor"
        case "where", [False, True, True]:
            return "where of two numbers"
        case "where", [True, False, _]:
            return "where on a number, like the first"
        case "where", [True, True, False]:
            return "where on a number, like the second"
        case "clamp", [True, False, _]:
            return "clamp of a number from a tensor"
        case "clamp", [True, True, False]:
            return "clamp of a number up to a tensor"
        case "clamp", [False, low, high] if low != high:
            return "clamp between unlike"
        case _:
            return node.op


def _is_number(node: Node) -> bool:
    """Whether a value is a Python float there: one of the host, at whatever level it is wanted."""
    while node.op == "spread":
        (node,) = node.args
    return node.is_host


def _beside_a_number(op: str) -> dict[str, Form]:
    """A function of two tensors where one argument is a number: made a tensor like the other."""
    return {
        f"{op} of {first} and {second}": Form(f"torch.{op}({args})", ATOM, (LOOSE, LOOSE))
        for first, second, args in (
            ("a tensor", "a number", "{0}, torch.full_like({0}, {1})"),
            ("a number", "a tensor", "torch.full_like({1}, {0}), {1}"),
        )
    }


def _bounded(op: str, bound: str) -> dict[str, Form]:
    """The larger or smaller of a tensor and a number, with one mention of each."""
    return {
        f"{op} of {first} and {second}": Form(f"torch.clamp({args})", ATOM, (LOOSE, LOOSE))
        for first, second, args in (
            ("a tensor", "a number", f"{{0}}, {bound}={{1}}"),
            ("a number", "a tensor", f"{{1}}, {bound}={{0}}"),
        )
    }


TORCH = Syntax(
    "torch",
    {
        **_SHARED,
        "and": _infix("&", BITAND),
        "or": _infix("|", BITOR),
        "not": Form("~{0}", UNARY, (UNARY,)),
        "where": _call("torch.where", 3),
        "where of two numbers": Form(
            "torch.where({0}, like.new_tensor({1}), {2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "number": Form("{0}.to(like.dtype)", ATOM, (ATOM,)),
        "truth": Form("{0} != 0.0", COMPARE, (BITOR,)),
        "cast:param": Form("{0}.to(dtype).type_as({0})", ATOM, (ATOM,)),
        "cast:real": Form("{0}", LOOSE, (LOOSE,)),
        **{
            f"cast:{name}": Form(f"{{0}}.to(torch.{name}).type_as({{0}})", ATOM, (ATOM,))
            for name in ("bfloat16", "float16", "float32", "float64")
        },
        **{op: _call(f"torch.{op}") for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "floor", "ceil", "round",
            "sigmoid", "sin", "cos", "tan", "atan", "erf", "tanh",
        )},
        "softplus": Form("torch.logaddexp({0}, torch.zeros_like({0}))", ATOM, (LOOSE,)),
        "sign": Form("torch.where({0} != {0}, {0}, torch.sign({0}))", ATOM, (BITOR,)),
        "sign_bit": Form("torch.where({0} < 0.0, -torch.ones_like({0}), 1.0)", ATOM, (BITOR,)),
        "cbrt": Form("torch.sign({0}) * torch.abs({0}) ** (1 / 3)", MUL, (LOOSE,)),
        "maximum": _call("torch.maximum", 2),
        "minimum": _call("torch.minimum", 2),
        "max_number": _call("torch.maximum", 2),
        "min_number": _call("torch.minimum", 2),
        **_bounded("maximum", "min"),
        **_bounded("minimum", "max"),
        **_bounded("max_number", "min"),
        **_bounded("min_number", "max"),
        "where on a number, like the first": Form(
            "torch.where(torch.full_like({1}, {0}, dtype=torch.bool), {1}, {2})",
            ATOM, (LOOSE, LOOSE, LOOSE),
        ),
        "where on a number, like the second": Form(
            "torch.where(torch.full_like({2}, {0}, dtype=torch.bool), {1}, {2})",
            ATOM, (LOOSE, LOOSE, LOOSE),
        ),
        "clamp": _call("torch.clamp", 3),
        "clamp of a number from a tensor": Form(
            "torch.clamp(torch.clamp({1}, min={0}), max={2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "clamp of a number up to a tensor": Form(
            "torch.clamp({2}, max=max({0}, {1}))", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "clamp between unlike": Form(
            "torch.clamp(torch.clamp({0}, min={1}), max={2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "round_stochastic": _call("round_stochastic", 2, "dtype"),
        "atan2": _call("torch.atan2", 2),
        **_beside_a_number("atan2"),
        "mod": _call("torch.remainder", 2),
        "pow": _call("torch.pow", 2),
        "matmul": _infix("@", MUL),
        "transpose": Form("{0}.mT", ATOM, (ATOM,)),
    },
    _torch_number,
    _torch_spell,
)  # fmt: skip
