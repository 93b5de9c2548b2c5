"""Piecewise affine arithmetic in C (dsl/affine.py says what it means): the bits of a number, read
as an integer, are its piecewise linear logarithm, so products are sums of integers.

    AFFINE_PRODUCT(a, b)   AFFINE_QUOTIENT(a, b)   AFFINE_ROOT(x)
    AFFINE_SCALED(x, by)   AFFINE_DIVIDED(x, by)                  `by` is the same for all elements

They take and give a number twice, by its bits and exactly, so that a chain of them asks but once
which of the two it is: AFFINE_OF begins a chain, VALUE_OF ends it. Signs, in the bit above all that
is added, take care of themselves.
"""

from __future__ import annotations


def _function(name: str, args: str, bits: str, exact: str) -> str:
    return f"""\
static inline AFFINE {name}({args})
{{
    return (AFFINE){{{bits}, {exact}}};
}}"""


AFFINE_FUNCTIONS = {
    "AFFINE": "typedef struct { WORD bits; REAL exact; } AFFINE;",
    "ONE": "#define ONE WORD_OF(1)",
    "LEAST": "#define LEAST WORD_OF(R(0x1p-120))",
    "MANY": "#define MANY (WORD_OF(R(0x1p120)) - LEAST) /* sizes between which bits are taken */",
    "AFFINE_OF": _function("AFFINE_OF", "REAL x", "WORD_OF(x)", "x"),
    "VALUE_OF": """\
static inline REAL VALUE_OF(AFFINE x)
{
    const WORD twice = WORD_OF(x.exact) << 1; /* without the sign */
    return REAL_OF(twice - 2 * LEAST < 2 * MANY ? x.bits : WORD_OF(x.exact));
}""",
    "AFFINE_PRODUCT": _function(
        "AFFINE_PRODUCT", "AFFINE a, AFFINE b", "a.bits + b.bits - ONE", "a.exact * b.exact"
    ),
    "AFFINE_SCALED": _function(
        "AFFINE_SCALED", "AFFINE x, REAL by", "x.bits + (WORD_OF(by) - ONE)", "x.exact * by"
    ),
    "AFFINE_QUOTIENT": _function(
        "AFFINE_QUOTIENT", "AFFINE a, AFFINE b", "a.bits - b.bits + ONE", "a.exact / b.exact"
    ),
    "AFFINE_DIVIDED": _function(
        "AFFINE_DIVIDED", "AFFINE x, REAL by", "x.bits - (WORD_OF(by) - ONE)", "x.exact * (1 / by)"
    ),
    "AFFINE_ROOT": _function("AFFINE_ROOT", "AFFINE x", "(x.bits + ONE) >> 1", "SQRT(x.exact)"),
}
