"""The table of callable names: how many arguments, which options, what kind, one line of doc.

    FUNCTIONS["clamp"].least == FUNCTIONS["clamp"].most == 3
    FUNCTIONS["std"].options == ("unbiased",)

What they mean is the interpreter's; which levels they take and give, infer.py's. A function
whose `code` is set is understood, but not compiled yet: the code says why (E5xx).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """`kind`: elementary (any level to the joined one), host (host values only), reduction,
    matrix, sparse, chance, collective, loss, or crossing (device to host, storage)."""

    name: str
    kind: str
    least: int
    most: int
    doc: str
    options: tuple[str, ...] = ()
    code: str = ""
    results: int = 1


def _table(*functions: Function) -> dict[str, Function]:
    return {function.name: function for function in functions}


def _elementary(name: str, arguments: int, doc: str) -> Function:
    return Function(name, "elementary", arguments, arguments, doc)


def _reduction(name: str, doc: str, *options: str, arguments: int = 1) -> Function:
    return Function(name, "reduction", arguments, arguments, doc, options)


_ELEMENTARY = (
    _elementary("sqrt", 1, "the square root"),
    _elementary("rsqrt", 1, "one over the square root"),
    _elementary("exp", 1, "e to the power x"),
    _elementary("log", 1, "the natural logarithm"),
    _elementary("abs", 1, "the absolute value"),
    _elementary("sign", 1, "-1, 0 or 1; NaN stays NaN"),
    _elementary("sign_bit", 1, "-1 or 1; 1 at zero"),
    Function("max", "elementary", 1, 16, "the larger one; of one argument with `per`, a reduction"),
    Function(
        "min", "elementary", 1, 16, "the smaller one; of one argument with `per`, a reduction"
    ),
    _elementary("clamp", 3, "x held between low and high"),
    _elementary("floor", 1, "the integer below"),
    _elementary("ceil", 1, "the integer above"),
    _elementary("tanh", 1, "the hyperbolic tangent"),
    _elementary("sigmoid", 1, "1 / (1 + exp(-x))"),
    _elementary("softplus", 1, "log(1 + exp(x))"),
    _elementary("sin", 1, "the sine"),
    _elementary("cos", 1, "the cosine"),
    _elementary("tan", 1, "the tangent"),
    _elementary("atan", 1, "the arc tangent"),
    _elementary("atan2", 2, "the angle of (x, y), as atan2(y, x)"),
    _elementary("lerp", 3, "a + w * (b - a)"),
    _elementary("cast", 2, "x rounded to a dtype"),
    _elementary("where", 3, "a where the condition holds, b elsewhere"),
)

_HOST = (
    Function("largest_divisor", "host", 2, 2, "the largest divisor of n that is at most k"),
    Function("size", "host", 1, 1, "the length of axis i"),
    Function("length", "host", 1, 1, "how many values a list hyper has"),
    Function("is_diagonal", "host", 1, 1, "whether a matrix is stored as its diagonal"),
)

_REDUCTIONS = (
    _reduction("sum", "the sum"),
    _reduction("mean", "the mean"),
    _reduction("norm", "the square root of the sum of squares"),
    _reduction("rms", "the square root of the mean of squares"),
    _reduction("std", "the standard deviation, dividing by n", "unbiased"),
    _reduction("dot", "the sum of products", arguments=2),
    _reduction("count", "how many are not zero"),
    _reduction("quantile", "the q-quantile", arguments=2),
    _reduction("argmin", "the index of the least"),
    _reduction("argmax", "the index of the greatest"),
)

_MATRICES = (
    Function("trace", "matrix", 1, 1, "the sum of the diagonal"),
    Function("diagonal", "matrix", 1, 1, "the diagonal as a vector"),
    Function("triu", "matrix", 1, 1, "the upper triangle"),
    Function("inverse", "matrix", 1, 1, "the inverse", code="E503"),
    Function("inverse_root", "matrix", 2, 2, "x^(-1/p)", ("eps",), code="E503"),
    Function("solve", "matrix", 2, 2, "x with a @ x = b", code="E503"),
    Function("qr", "matrix", 1, 1, "q, r", code="E503", results=2),
    Function("eigh", "matrix", 1, 1, "eigenvalues, eigenvectors", code="E503", results=2),
    Function("svd", "matrix", 1, 1, "a, s, b with x = a @ diag(s) @ b.T", code="E503", results=3),
    Function("dct", "matrix", 1, 1, "the cosine transform of each cell", code="E503"),
    Function("idct", "matrix", 1, 1, "the inverse of dct", code="E503"),
)

_SPARSE = (
    Function("topk", "sparse", 2, 2, "positions of the k greatest", code="E503"),
    Function("gather", "sparse", 2, 2, "the values at positions", code="E503"),
    Function("scatter", "sparse", 2, 3, "values put at positions", ("combine",), code="E503"),
    Function("descending", "sparse", 1, 1, "positions in descending order", code="E503"),
    Function("flat", "sparse", 1, 1, "as a vector, padded", ("multiple",), code="E503"),
    Function("unflat", "sparse", 1, 1, "the inverse of flat", code="E503"),
)

_DRAWS = ("draw", "like")
_CHANCE = (
    Function("normal", "chance", 0, 0, "draws of mean 0 and deviation 1", _DRAWS, code="E504"),
    Function("uniform", "chance", 0, 2, "draws between low and high", _DRAWS, code="E504"),
    Function("rademacher", "chance", 0, 0, "draws of -1 or 1", _DRAWS, code="E504"),
    Function("bernoulli", "chance", 1, 1, "draws of 1 with probability p", _DRAWS, code="E504"),
    Function("sample", "chance", 2, 2, "k different integers below n", ("draw",), code="E504"),
)

_COLLECTIVES = (
    Function("all_reduce", "collective", 1, 2, "combined over workers", ("wire",), code="E501"),
    Function("reduce_scatter", "collective", 1, 2, "combined, in shares", ("wire",), code="E501"),
    Function("all_gather", "collective", 1, 8, "from all workers", ("wire",), code="E501"),
    Function("all_to_all", "collective", 1, 1, "exchanged", ("wire",), code="E501"),
    Function("neighbours", "collective", 1, 2, "from the neighbours", ("wire",), code="E501"),
)

_OTHERS = (
    Function("loss", "loss", 1, 1, "the loss with all parameters replaced", code="E502"),
    Function("jvp", "loss", 2, 2, "a directional derivative of the loss", code="E502"),
    Function("sync", "crossing", 1, 1, "a device value brought to the host"),
    Function("stored", "crossing", 2, 2, "x as it would read back through a codec"),
)

FUNCTIONS = _table(
    *_ELEMENTARY, *_HOST, *_REDUCTIONS, *_MATRICES, *_SPARSE, *_CHANCE, *_COLLECTIVES, *_OTHERS
)

COMBINATIONS = ("mean", "sum", "max", "min")
"""How a collective or a scatter combines."""
