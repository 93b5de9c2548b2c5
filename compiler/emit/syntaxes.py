"""How each target language writes the operations: the tables C and TRITON (torch_syntax.py: TORCH).

    expression(maximum(x, y), names, C)    ->    "MAXIMUM(x, y)"

C text is generic in REAL: its capitals (SQRT, MAXIMUM, ...) are macros and inline functions of
`c_prelude.py`. The functions that Triton lacks (`TRITON_FUNCTIONS`: sign, power, atan2, ...) are
kernels of `runtime/` (`TRITON_PLACES`). To add an operation, add a line to each of the three.
"""

from __future__ import annotations

import math
import re
import struct

from ..ir import Node
from .expressions import (
    ADD,
    AND,
    ATOM,
    BITAND,
    BITOR,
    COMPARE,
    LINK,
    LOOSE,
    MUL,
    OR,
    TYPED,
    UNARY,
    Form,
    Syntax,
)  # fmt: skip

ZERO_CODES = (0, 7, 127)  # what `byte` may add before it rounds
CODE_FUNCTIONS = (
    "binade", "e4m3_code", "e4m3_value", "e5m2_code", "e5m2_value",
)  # fmt: skip
TRITON_FUNCTIONS = frozenset(
    {"sign", "modulo", "power", "tanh", "softplus", "tan", "atan", "atan2", "cbrt", "round_even",
     "round_by_chance", "larger", "smaller"}
)  # fmt: skip
TRITON_CODES = frozenset(
    {"copysign", "byte", "half_ulp", "in_half_ulps", "inverse", "quotient", "dynamic_code",
     "dynamic_value", *CODE_FUNCTIONS}
)  # fmt: skip
TRITON_AFFINE = frozenset({"affine_product", "affine_quotient", "affine_root"})
TRITON_PACKED = frozenset(
    {"load_packed", "store_packed", "load_halves", "store_halves", "load_planes", "store_planes",
     "largest_along", "least_along"}
)  # fmt: skip
TRITON_PLACES = {
    "affine": TRITON_AFFINE,
    "codes": TRITON_CODES,
    "elementary": TRITON_FUNCTIONS,
    "packed": TRITON_PACKED,
}  # modules of the runtime: what kernels take from them
DYNAMIC_MAPS = ((7, True), (7, False), (3, True), (3, False))  # decades; with signs or without


def infix(sign: str, binds: int) -> Form:
    """Left to right: `a - (b - c)` keeps its parentheses, `(a - b) - c` needs none."""
    return Form(f"{{0}} {sign} {{1}}", binds, (binds, binds + 1))


def comparison(sign: str) -> Form:
    return Form(f"{{0}} {sign} {{1}}", COMPARE, (BITOR, BITOR))


def call_form(name: str, count: int = 1, *more: str, takes: int = LOOSE) -> Form:
    args = [*(f"{{{k}}}" for k in range(count)), *more]
    return Form(f"{name}({', '.join(args)})", ATOM, (takes,) * count)


SHARED: dict[str, Form] = {
    "add": infix("+", ADD),
    "sub": infix("-", ADD),
    "mul": infix("*", MUL),
    "div": infix("/", MUL),
    "neg": Form("-{0}", UNARY, (UNARY + 1,)),
    "eq": comparison("=="),
    "ne": comparison("!="),
    "lt": comparison("<"),
    "le": comparison("<="),
    "gt": comparison(">"),
    "ge": comparison(">="),
}


def _float32_exact(value: float) -> bool:
    try:
        return struct.unpack("f", struct.pack("f", value))[0] == value
    except OverflowError:
        return False


# ---------------------------------------------------------------- C


def decimal(value: float) -> str:
    """The shortest digits that give the number back, as formatters of Python write them."""
    return repr(value).replace("e+", "e")


def _c_number(value: float, needed: int) -> str:
    if math.isnan(value):
        return "R(NAN)"
    if math.isinf(value):
        return "R(INFINITY)" if value > 0 else "-R(INFINITY)"
    text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else decimal(value)
    return f"R({text})"


def _c_spell(node: Node) -> str:
    match node.op:
        case "cast" | "byte":
            return f"{node.op}:{node.attr}"
        case "maximum" | "minimum" if node.args[1].op == "const":
            return f"{node.op}:number"
        case "affine_product" | "affine_quotient":
            shared = [k for k, arg in enumerate(node.args) if arg.level.is_coarse]
            return f"{node.op}:{shared[-1]}" if shared else node.op
        case _:
            return node.op


C = Syntax(
    "C",
    {
        **SHARED,
        "and": infix("&&", AND),
        "or": infix("||", OR),
        "not": Form("!{0}", UNARY, (UNARY + 1,)),
        "where": call_form("WHERE", 3),
        "number": call_form("WHERE", 1, "R(1)", "R(0)"),
        "truth": Form("{0} != R(0)", COMPARE, (BITOR,)),
        **{f"cast:{name}": call_form(f"ROUND_TO_{code}") for name, code in (
            ("param", "PARAM"), ("bfloat16", "BF16"), ("float16", "F16"), ("float32", "F32"),
        )},
        "cast:float64": Form("{0}", LOOSE, (LOOSE,)),
        "cast:real": Form("{0}", LOOSE, (LOOSE,)),
        "round_stochastic": call_form("ROUND_STOCHASTIC", 2, "i"),
        **{op: call_form(op.upper()) for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "sign", "sign_bit", "floor",
            "ceil", "round", "tanh", "sigmoid", "softplus", "sin", "cos", "tan", "atan", "erf",
            "cbrt",
        )},
        **{op: call_form(op.upper(), 2) for op in ("maximum", "minimum", "atan2", "pow", "mod")},
        **{op: call_form(op.upper()) for op in CODE_FUNCTIONS},
        "real": call_form("R"),
        "half_ulp": call_form("HALF_ULP"),
        "in_half_ulps": call_form("IN_HALF_ULPS", 2),
        "inverse": Form("R(1) / {0}", MUL, (MUL + 1,)),
        **{f"byte:{zero}": call_form("BYTE", 1, str(zero)) for zero in ZERO_CODES},
        "away": call_form("AWAY"),
        "copysign": call_form("COPYSIGN", 2),
        "dynamic_code": Form("{0}", LOOSE, (LOOSE,)),  # a number: `encode` makes its code
        "affine_product": Form("AFFINE_PRODUCT({0}, {1})", LINK, (LINK, LINK)),
        "affine_product:0": Form("AFFINE_SCALED({1}, {0})", LINK, (LOOSE, LINK)),
        "affine_product:1": Form("AFFINE_SCALED({0}, {1})", LINK, (LINK, LOOSE)),
        "affine_quotient": Form("AFFINE_QUOTIENT({0}, {1})", LINK, (LINK, LINK)),
        "affine_quotient:0": Form("AFFINE_QUOTIENT({0}, {1})", LINK, (LINK, LINK)),
        "affine_quotient:1": Form("AFFINE_DIVIDED({0}, {1})", LINK, (LINK, LOOSE)),
        "affine_root": Form("AFFINE_ROOT({0})", LINK, (LINK,)),
        "link": Form("AFFINE_OF({0})", LINK, (LOOSE,)),
        "unlinked": Form("VALUE_OF({0})", ATOM, (LINK,)),
        "clamp": call_form("CLAMP", 3),
        "max_number": call_form("MAX_NUMBER", 2),
        "min_number": call_form("MIN_NUMBER", 2),
        # The second of two numbers is what these give where one is NaN.
        "maximum:number": Form("MAX_NUMBER({1}, {0})", ATOM, (LOOSE, LOOSE)),
        "minimum:number": Form("MIN_NUMBER({1}, {0})", ATOM, (LOOSE, LOOSE)),
    },
    _c_number,
    _c_spell,
)  # fmt: skip


def _plain_number(value: float, needed: int) -> str:
    if not math.isfinite(value):
        return _c_number(value, needed).replace("R(", "(")
    return decimal(value)


C_DOUBLE = Syntax(
    "C in double",
    {
        key: Form(re.sub(r"\bR\(", "(", form.text).lower(), form.binds, form.takes)
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
        return f"tl.full((), {decimal(value)}, REAL)"
    return decimal(value)


def _triton_spell(node: Node) -> str:
    match node.op:
        case "cast" | "byte" | "dynamic_value" | "dynamic_code":
            return f"{node.op}:{node.attr}"
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
        **SHARED,
        "and": infix("&", BITAND),
        "or": infix("|", BITOR),
        "not": Form("~{0}", UNARY, (UNARY,)),
        "where": call_form("tl.where", 3),
        "where of numbers": Form("tl.where({0}, {1}, {2})", ATOM, (LOOSE, TYPED, TYPED)),
        "number": Form("tl.where({0}, 1.0, 0.0)", ATOM, (LOOSE,)),
        "truth": Form("{0} != 0.0", COMPARE, (BITOR,)),
        "cast:param": Form("{0}.to(PARAM).to(REAL)", ATOM, (ATOM,)),
        "cast:real": Form("{0}", LOOSE, (LOOSE,)),
        **{
            f"cast:{name}": Form(f"{{0}}.to(tl.{name}).to(REAL)", ATOM, (ATOM,))
            for name in ("bfloat16", "float16", "float32", "float64")
        },
        **{op: call_form(f"tl.{op}") for op in (
            "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "floor", "ceil", "sigmoid",
            "sin", "cos", "erf",
        )},
        "sign_bit": Form("tl.where({0} < 0.0, -1.0, 1.0)", ATOM, (BITOR,)),
        **{op: call_form(op) for op in CODE_FUNCTIONS},
        "real": Form("{0}.to(REAL)", ATOM, (ATOM,)),
        "half_ulp": call_form("half_ulp", 1, "PARAM"),
        "in_half_ulps": call_form("in_half_ulps", 2, "PARAM"),
        **{f"byte:{zero}": call_form("byte", 1, str(zero)) for zero in ZERO_CODES},
        **{
            f"{op}:{kind}": call_form(op, 1, *map(str, kind))
            for op in ("dynamic_value", "dynamic_code")
            for kind in DYNAMIC_MAPS
        },
        "inverse": call_form("inverse"),
        "quotient": call_form("quotient", 2),
        "copysign": call_form("copysign", 2),
        "maximum": call_form("tl.maximum", 2, _KEEP_NAN, takes=TYPED),
        "minimum": call_form("tl.minimum", 2, _KEEP_NAN, takes=TYPED),
        "clamp": call_form("tl.clamp", 3, _KEEP_NAN, takes=TYPED),
        "max_number": call_form("tl.maximum", 2, takes=TYPED),
        "min_number": call_form("tl.minimum", 2, takes=TYPED),
        "clamp between values": Form(
            f"tl.minimum(tl.maximum({{0}}, {{1}}, {_KEEP_NAN}), {{2}}, {_KEEP_NAN})",
            ATOM, (TYPED, TYPED, TYPED),
        ),
        "round_stochastic": call_form("round_by_chance", 2, "index", "base", "PARAM"),
        "round": call_form("round_even"),
        **{op: call_form(op) for op in ("sign", "tanh", "softplus", "tan", "atan", "cbrt")},
        **{op: call_form(op, 2) for op in ("atan2", "affine_product", "affine_quotient")},
        "affine_root": call_form("affine_root"),
        "mod": call_form("modulo", 2),
        "pow": call_form("power", 2),
    },
    _triton_number,
    _triton_spell,
)  # fmt: skip
