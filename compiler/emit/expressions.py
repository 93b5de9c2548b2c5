"""One node as one expression of a target language, with the fewest parentheses.

    expression(add(mul(b, c), d), {b: "b", ...}, TRITON)    ->    "b * c + d"

A `Syntax` is a table: how each operation is written, how tightly it binds and how tightly its
arguments must bind. Value rules: sign(0) = 0; NaN passes through sign, maximum, minimum and clamp;
a comparison used as a number is 0 or 1. Names (loads, operands, whatever has its own line) come
from the caller; which nodes deserve a line is `body.py`'s business.

C text is generic in REAL: its capitals (SQRT, MAXIMUM, ...) are macros and inline functions of
`c_prelude.py`. In Triton, the functions of `TRITON_FUNCTIONS` live in `runtime/elementary.py`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..ir import Node

# How tightly an expression holds together. Python's and C's orders agree as far as they are used;
# Python's `|` and `&` (on booleans) bind more tightly than comparisons.
LOOSE, CHOICE, OR, AND, COMPARE, BITOR, BITAND, ADD, MUL, UNARY, ATOM = range(11)

BOOLEAN = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"})
_LOGIC = frozenset({"and", "or", "not"})

TRITON_FUNCTIONS = frozenset(
    {"sign", "modulo", "power", "tanh", "softplus", "tan", "atan", "atan2", "cbrt", "round_even",
     "round_stochastic"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """`text` with {0}, {1}, ... for the arguments; `takes`: how tightly each must bind."""

    text: str
    binds: int
    takes: tuple[int, ...]

    @property
    def repeats(self) -> bool:
        """Whether an argument is written more than once, so that it deserves a name."""
        return any(self.text.count(f"{{{k}}}") > 1 for k in range(len(self.takes)))


@dataclass(frozen=True, slots=True)
class Syntax:
    """A target language. `number(value, needed)` writes a constant; `spell` chooses the key in
    `forms` for nodes that are written differently by what their arguments are."""

    name: str
    forms: Mapping[str, Form]
    number: Callable[[float, int], str]
    spell: Callable[[Node], str] = lambda node: node.op

    def form(self, node: Node) -> Form:
        key = self.spell(node)
        if key not in self.forms:
            raise NotImplementedError(f"{self.name} has no way to write `{key}`")
        return self.forms[key]


def expression(node: Node, names: Mapping[Node, str], syntax: Syntax) -> str:
    """The value of `node`: its name if it has one."""
    return _at(node, names, syntax, LOOSE)


def definition(node: Node, names: Mapping[Node, str], syntax: Syntax) -> str:
    """What the line that names `node` says: its operation, on named or inlined arguments."""
    text, _ = _written(node, names, syntax, LOOSE)
    return text


def is_boolean(node: Node) -> bool:
    return node.op in BOOLEAN


def _at(node: Node, names: Mapping[Node, str], syntax: Syntax, needed: int) -> str:
    """`node` where something that binds like `needed` stands around it."""
    name = names.get(node)
    if name is not None:
        return name
    text, binds = _written(node, names, syntax, needed)
    return text if binds >= needed else f"({text})"


def _written(node: Node, names: Mapping[Node, str], syntax: Syntax, needed: int) -> tuple[str, int]:
    if node.op == "const":
        assert isinstance(node.attr, float)
        text = syntax.number(node.attr, needed)
        return text, UNARY if text.startswith("-") else ATOM
    if node.op == "spread":
        inner = node.args[0]
        text = _at(inner, names, syntax, needed)
        return text, ATOM if needed else LOOSE
    form = syntax.form(node)
    args = [_argument(node, k, names, syntax, form.takes[k]) for k in range(len(node.args))]
    return form.text.format(*args), form.binds


def _argument(node: Node, k: int, names: Mapping[Node, str], syntax: Syntax, needed: int) -> str:
    """Argument `k` as what the operation expects: a truth value, or a number."""
    arg = node.args[k]
    wants_truth = node.op in _LOGIC or (node.op == "where" and k == 0)
    if wants_truth == is_boolean(arg) or node.op == "cast":
        return _at(arg, names, syntax, needed)
    convert = syntax.forms["truth" if wants_truth else "number"]
    text = convert.text.format(_at(arg, names, syntax, convert.takes[0]))
    return text if convert.binds >= needed else f"({text})"


# ---------------------------------------------------------------- building tables


def _infix(sign: str, binds: int) -> Form:
    """Left to right: `a - (b - c)` keeps its parentheses, `(a - b) - c` needs none."""
    return Form(f"{{0}} {sign} {{1}}", binds, (binds, binds + 1))


def _comparison(sign: str) -> Form:
    return Form(f"{{0}} {sign} {{1}}", COMPARE, (BITOR, BITOR))


def _call(name: str, count: int = 1, *more: str) -> Form:
    args = [*(f"{{{k}}}" for k in range(count)), *more]
    return Form(f"{name}({', '.join(args)})", ATOM, (LOOSE,) * count)


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
        "where": Form("{0} ? {1} : {2}", CHOICE, (OR, OR, CHOICE)),
        "number": Form("{0} ? R(1) : R(0)", CHOICE, (OR,)),
        "truth": Form("{0} != R(0)", COMPARE, (BITOR,)),
        "cast": _call("ROUND_TO_PARAM"),
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
    },
    _c_number,
    lambda node: f"cast:{node.attr}" if node.op == "cast" else node.op,
)  # fmt: skip


# ---------------------------------------------------------------- Triton


def _triton_number(value: float, needed: int) -> str:
    if not math.isfinite(value):
        return f'float("{value}")'
    if needed == LOOSE and not _float32_exact(value):
        # as the argument of a function a plain number would be rounded to float32
        return f"tl.full((), {value!r}, REAL)"
    return repr(value)


def _triton_spell(node: Node) -> str:
    match node.op:
        case "cast":
            return f"cast:{node.attr}"
        case "clamp" if not all(bound.is_host for bound in node.args[1:]):
            return "clamp between values"
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
        "maximum": _call("tl.maximum", 2, _KEEP_NAN),
        "minimum": _call("tl.minimum", 2, _KEEP_NAN),
        "clamp": _call("tl.clamp", 3, _KEEP_NAN),
        "clamp between values": Form(
            f"tl.minimum(tl.maximum({{0}}, {{1}}, {_KEEP_NAN}), {{2}}, {_KEEP_NAN})",
            ATOM, (LOOSE, LOOSE, LOOSE),
        ),
        "round_stochastic": _call("round_stochastic", 2, "index", "PARAM"),
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
    """torch.maximum wants two tensors; host numbers are Python floats there."""
    match node.op:
        case "cast":
            return f"cast:{node.attr}"
        case "maximum" | "minimum" if node.args[1].is_host:
            return f"{node.op} of a tensor and a number"
        case "maximum" | "minimum" if node.args[0].is_host:
            return f"{node.op} of a number and a tensor"
        case "clamp" if node.args[1].is_host != node.args[2].is_host:
            return "clamp between unlike"
        case _:
            return node.op


TORCH = Syntax(
    "torch",
    {
        **_SHARED,
        "and": _infix("&", BITAND),
        "or": _infix("|", BITOR),
        "not": Form("~{0}", UNARY, (UNARY,)),
        "where": _call("torch.where", 3),
        "number": Form("torch.where({0}, 1.0, 0.0)", ATOM, (LOOSE,)),
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
        "sign_bit": Form("torch.where({0} < 0.0, -1.0, 1.0)", ATOM, (BITOR,)),
        "cbrt": Form("torch.sign({0}) * torch.abs({0}) ** (1 / 3)", MUL, (LOOSE,)),
        "maximum": _call("torch.maximum", 2),
        "minimum": _call("torch.minimum", 2),
        "maximum of a tensor and a number": Form(
            "torch.clamp({0}, min={1})", ATOM, (LOOSE, LOOSE)
        ),
        "minimum of a tensor and a number": Form(
            "torch.clamp({0}, max={1})", ATOM, (LOOSE, LOOSE)
        ),
        "maximum of a number and a tensor": Form(
            "torch.clamp({1}, min={0})", ATOM, (LOOSE, LOOSE)
        ),
        "minimum of a number and a tensor": Form(
            "torch.clamp({1}, max={0})", ATOM, (LOOSE, LOOSE)
        ),
        "clamp": _call("torch.clamp", 3),
        "clamp between unlike": Form(
            "torch.clamp(torch.clamp({0}, min={1}), max={2})", ATOM, (LOOSE, LOOSE, LOOSE)
        ),
        "round_stochastic": _call("round_stochastic", 2, "dtype"),
        "atan2": _call("torch.atan2", 2),
        "mod": _call("torch.remainder", 2),
        "pow": _call("torch.pow", 2),
        "matmul": _infix("@", MUL),
        "transpose": Form("{0}.mT", ATOM, (ATOM,)),
    },
    _torch_number,
    _torch_spell,
)  # fmt: skip
