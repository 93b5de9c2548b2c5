"""Operations on numbers, in float64: what each name of the language computes.

    ELEMENTARY["lerp"](a, b, w)      a + w * (b - a)
    reduce("rms", [x])               the square root of the mean of squares

Truth is 0 or 1. NaN comes out of `sign`, `maximum`, `minimum` and `clamp` where it goes in; 0/0 is
NaN, and no operation warns or raises. Levels are cells.py's business, names are visit.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .cells import Array
from .patterns import matches

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
    "where": lambda c, a, b: np.where(c != 0, a, b),
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "sign_bit": lambda x: np.where(x < 0, -1.0, 1.0),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "floor": np.floor,
    "ceil": np.ceil,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "lerp": lambda a, b, w: a + w * (b - a),
    # words
    "match": lambda name, pattern: np.asarray(matches(str(pattern), str(name))),
    "member": lambda x, *words: np.any([x == word for word in words]),
    # host
    "largest_divisor": lambda n, most: np.asarray(_largest_divisor(int(n), int(most))),
}


def elementary(op: str, args: Sequence[Array]) -> Array:
    """An elementwise operation on arrays of one shape."""
    return np.asarray(ELEMENTARY[op](*args), dtype=np.float64)


def _largest_divisor(n: int, most: int) -> int:
    return max((k for k in range(1, min(n, most) + 1) if n % k == 0), default=1)


# ---------------------------------------------------------------- reductions

REDUCTIONS = ("sum", "mean", "max", "min", "norm", "rms", "std", "dot", "count")


def reduce(op: str, columns: Sequence[Array], unbiased: bool = False) -> float:
    """All numbers of a cell to one; `dot` takes two columns, the others one."""
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
        case _:
            raise ValueError(f"{op} is no reduction")
    return float(result)


# ---------------------------------------------------------------- matrices

MATRICES: dict[str, Callable[..., Array]] = {
    "matmul": np.matmul,
    "transpose": np.transpose,
    "trace": np.trace,
    "diagonal": np.diag,  # of a vector: the matrix that has it as its diagonal
    "triu": np.triu,
}
