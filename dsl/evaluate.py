"""Operations on numbers, in float64: what each name of the language computes.

    ELEMENTARY["lerp"](a, b, w)      a + w * (b - a)
    reduce("rms", [x])               the square root of the mean of squares

Truth is 0 or 1. NaN comes out of `sign`, `maximum`, `minimum` and `clamp` where it goes in; 0/0 is
NaN, and no operation warns or raises. Levels are cells.py's business, names are visit.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .cells import Array
from .patterns import matches


def _where(c: Array, a: Array, b: Array) -> Array:
    return np.where(c != 0, a, b)


def _rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def _sign_bit(x: Array) -> Array:
    return np.where(x < 0, -1.0, 1.0)


def _clamp(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(np.maximum(x, low), high)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _lerp(a: Array, b: Array, w: Array) -> Array:
    return a + w * (b - a)


def _affine(exact: Array, log: Array) -> Array:
    """The number whose size has this piecewise linear logarithm; see affine.py."""
    usual = (np.abs(exact) >= 2.0**-120) & (np.abs(exact) < 2.0**120)
    log = np.where(usual, log, 0)
    whole = np.floor(log)
    size = np.ldexp(1 + log - whole, whole.astype(np.int64))
    return np.where(usual, np.copysign(size, exact), exact)


def _log(x: Array) -> Array:
    """e + f of 2^e (1 + f)."""
    half, exponent = np.frexp(np.abs(x))
    return exponent - 1 + (2 * half - 1)


def _affine_product(a: Array, b: Array) -> Array:
    return _affine(a * b, _log(a) + _log(b))


def _affine_quotient(a: Array, b: Array) -> Array:
    return _affine(a / b, _log(a) - _log(b))


def _affine_root(x: Array) -> Array:
    return _affine(np.sqrt(x), _log(x) / 2)


def _match(name: Array, pattern: Array) -> Array:
    return np.asarray(matches(str(pattern), str(name)))


def _member(x: Array, *words: Array) -> Array:
    return np.asarray(any(bool(x == word) for word in words))


def _largest_divisor(n: Array, most: Array) -> Array:
    """The largest divisor of n that is at most `most`."""
    return np.asarray(max((k for k in range(1, int(min(n, most)) + 1) if n % k == 0), default=1))


ELEMENTARY: dict[str, Callable[..., Array]] = {
    "neg": np.negative,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "mod": np.mod,  # Python's: the sign of the divisor
    "pow": np.power,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": _where,
    "sqrt": np.sqrt,
    "rsqrt": _rsqrt,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "sign_bit": _sign_bit,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clamp": _clamp,
    "floor": np.floor,
    "ceil": np.ceil,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "lerp": _lerp,
    "affine_product": _affine_product,
    "affine_quotient": _affine_quotient,
    "affine_root": _affine_root,
    # words
    "match": _match,
    "member": _member,
    # host
    "largest_divisor": _largest_divisor,
}


def number(value: Any) -> Array:
    """A number or truth in float64, several of them as an array; a word as it is."""
    array = np.asarray(value)
    return array if array.dtype.kind == "U" else array.astype(np.float64)


def elementary(op: str, args: Sequence[Array]) -> Array:
    """An elementwise operation on arrays of one shape."""
    return number(ELEMENTARY[op](*args))


# ---------------------------------------------------------------- reductions

REDUCTIONS = (
    *("sum", "mean", "max", "min", "norm", "rms", "std", "dot", "count"),
    *("quantile", "argmin", "argmax"),
)


def reduce(op: str, columns: Sequence[Array], unbiased: bool = False) -> float:
    """All numbers of a cell to one. `dot` takes two columns; `quantile` has its q in the second."""
    x = columns[0]
    match op:
        case "sum":
            result = np.sum(x)
        case "mean":
            result = np.mean(x)
        case "max":
            result = np.max(x)
        case "min":
            result = np.min(x)
        case "norm":
            result = np.sqrt(np.sum(x * x))
        case "rms":
            result = np.sqrt(np.mean(x * x))
        case "std":
            squares = np.sum((x - np.mean(x)) ** 2)
            result = np.sqrt(squares / np.float64(x.size - unbiased))
        case "dot":
            result = np.sum(x * columns[1])
        case "count":
            result = np.count_nonzero(x)
        case "quantile":
            result = _quantile(np.sort(x), columns[1][0])
        case "argmin":
            result = np.argmin(x)  # the first of equals
        case "argmax":
            result = np.argmax(x)
        case _:
            raise ValueError(f"{op} is no reduction")
    return float(result)


def _quantile(ordered: Array, q: float) -> float:
    """Between two values, straight from one to the other; NaN, which is sorted last, if there is
    one or q is no fraction."""
    if np.isnan(ordered[-1]) or not 0 <= q <= 1:
        return np.nan
    place = q * (ordered.size - 1)
    share = place - np.floor(place)
    low, high = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    return low if share == 0 or low == high else low + share * (high - low)


# ---------------------------------------------------------------- matrices

MATRICES: dict[str, Callable[..., Array]] = {
    "matmul": np.matmul,
    "transpose": np.transpose,
    "trace": np.trace,
    "diagonal": np.diag,  # of a vector: the matrix that has it as its diagonal
    "triu": np.triu,
}
