"""How torch writes the operations: the table TORCH, with the forms that host numbers need.

    expression(maximum(x, 0.5), names, TORCH)    ->    "torch.clamp(x, min=0.5)"

torch.maximum, atan2 and their like want two tensors, and a host operand is a Python float there.
"""

from __future__ import annotations

import math

from ..ir import Node
from .expressions import ATOM, BITAND, BITOR, COMPARE, LOOSE, MUL, UNARY, Form, Syntax
from .syntaxes import SHARED, ZERO_CODES, call_form, decimal, infix


def _torch_number(value: float, needed: int) -> str:
    if not math.isfinite(value):
        return f'float("{value}")'
    return decimal(value)


def _torch_spell(node: Node) -> str:
    """Functions that want tensors in places where a host number, a Python float, stands."""
    number = [_is_number(arg) for arg in node.args]
    match node.op, number:
        case "cast" | "byte", _:
            return f"{node.op}:{node.attr}"
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
        **SHARED,
        "and": infix("&", BITAND),
        "or": infix("|", BITOR),
        "not": Form("~{0}", UNARY, (UNARY,)),
        "where": call_form("torch.where", 3),
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
        **{op: call_form(f"torch.{op}") for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "floor", "ceil", "round",
            "sigmoid", "sin", "cos", "tan", "atan", "erf", "tanh",
        )},
        "softplus": Form("torch.logaddexp({0}, torch.zeros_like({0}))", ATOM, (LOOSE,)),
        "sign": Form("torch.where({0} != {0}, {0}, torch.sign({0}))", ATOM, (BITOR,)),
        "sign_bit": Form("torch.where({0} < 0.0, -torch.ones_like({0}), 1.0)", ATOM, (BITOR,)),
        "cbrt": Form("torch.sign({0}) * torch.abs({0}) ** (1 / 3)", MUL, (LOOSE,)),
        "maximum": call_form("torch.maximum", 2),
        "minimum": call_form("torch.minimum", 2),
        "max_number": call_form("torch.maximum", 2),
        "min_number": call_form("torch.minimum", 2),
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
        "clamp": call_form("torch.clamp", 3),
        "clamp of a number from a tensor": Form(
            "torch.clamp(torch.clamp({1}, min={0}), max={2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "clamp of a number up to a tensor": Form(
            "torch.clamp({2}, max=max({0}, {1}))", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "clamp between unlike": Form(
            "torch.clamp(torch.clamp({0}, min={1}), max={2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "round_stochastic": call_form("round_stochastic", 2, "dtype"),
        "real": Form("{0}.type_as(like)", ATOM, (ATOM,)),
        **{f"byte:{zero}": call_form("byte_of", 1, str(zero)) for zero in ZERO_CODES},
        "copysign": call_form("torch.copysign", 2),
        "binade": call_form("binade_of"),
        "half_ulp": call_form("half_ulp_of", 1, "dtype"),
        "in_half_ulps": Form("{0} / half_ulp_of({1}, dtype)", MUL, (MUL, LOOSE)),
        "inverse": Form("1.0 / {0}", MUL, (MUL + 1,)),
        **{
            form: Form(text, ATOM, (ATOM,))
            for name, kind in (("e4m3", "float8_e4m3fn"), ("e5m2", "float8_e5m2"))
            for form, text in (
                (f"{name}_code", f"{{0}}.to(torch.{kind}).view(torch.uint8)"),
                (f"{name}_value", f"{{0}}.view(torch.{kind}).to(torch.float32)"),
            )
        },
        "atan2": call_form("torch.atan2", 2),
        **_beside_a_number("atan2"),
        **{op: call_form(f"{op}_of", 2) for op in ("affine_product", "affine_quotient")},
        "affine_root": call_form("affine_root_of"),
        "mod": call_form("torch.remainder", 2),
        "pow": call_form("torch.pow", 2),
        "matmul": infix("@", MUL),
        "transpose": Form("{0}.mT", ATOM, (ATOM,)),
    },
    _torch_number,
    _torch_spell,
)  # fmt: skip
