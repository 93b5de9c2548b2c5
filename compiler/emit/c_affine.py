"""Piecewise affine arithmetic in C (dsl/affine.py says what it means): the bits of a number, read
as an integer, are its piecewise linear logarithm, so products are sums of integers.

    AFFINE_PRODUCT(a, b)   AFFINE_SQUARE(x)   AFFINE_QUOTIENT(a, b)   AFFINE_ROOT(x)
    AFFINE_SCALED(x, by)   AFFINE_DIVIDED(x, by)                  `by` is the same for all elements

Signs, in the bit above all that is added, take care of themselves. That a number is normal and
stays so when it is moved by an integer that all elements share is one comparison.
"""

from __future__ import annotations


def _moved(name: str, up: str, sign: str, exact: str) -> str:
    return f"""\
static inline REAL {name}(REAL x, REAL by)
{{
    const WORD size = SIZE_OF(by);
    const WORD above = LARGER(size, ONE) - ONE, below = ONE - SMALLER(size, ONE);
    const WORD many = size - LEAST < MANY ? MANY - above - below : 0;
    const int usual = SIZE_OF(x) - LEAST - {up} < many;
    return usual_or(usual, WORD_OF(x) {sign} (WORD_OF(by) - ONE), {exact});
}}"""


AFFINE_FUNCTIONS = {
    "SIZE_OF": """\
static inline WORD SIZE_OF(REAL x) { return WORD_OF(x) & (~(WORD)0 >> 1); }""",
    "ONE": "#define ONE WORD_OF(1)",
    "LEAST": "#define LEAST WORD_OF(R(0x1p-126)) /* normal numbers of float32 begin here */",
    "MANY": "#define MANY (WORD_OF(INFINITY) - LEAST) /* as many, or float64's */",
    "usual_or": """\
static inline REAL usual_or(int usual, WORD bits, REAL exact)
{
    return REAL_OF(usual ? bits : WORD_OF(exact));
}""",
    "AFFINE_PRODUCT": """\
static inline REAL AFFINE_PRODUCT(REAL a, REAL b)
{
    const WORD x = SIZE_OF(a), y = SIZE_OF(b);
    const int usual = (x - LEAST < MANY) & (y - LEAST < MANY) & (x + y - ONE - LEAST < MANY);
    return usual_or(usual, WORD_OF(a) + WORD_OF(b) - ONE, a * b);
}""",
    "AFFINE_SQUARE": """\
static inline REAL AFFINE_SQUARE(REAL x) /* where x is not normal, neither is its square */
{
    const WORD twice = WORD_OF(x) << 1; /* without the sign */
    return usual_or(twice - ONE - LEAST < MANY, twice - ONE, x * x);
}""",
    "AFFINE_QUOTIENT": """\
static inline REAL AFFINE_QUOTIENT(REAL a, REAL b)
{
    const WORD x = SIZE_OF(a), y = SIZE_OF(b);
    const int usual = (x - LEAST < MANY) & (y - LEAST < MANY) & (x - y + ONE - LEAST < MANY);
    return usual_or(usual, WORD_OF(a) - WORD_OF(b) + ONE, a / b);
}""",
    "AFFINE_ROOT": """\
static inline REAL AFFINE_ROOT(REAL x) /* half of an odd integer: the even neighbour */
{
    const WORD twice = WORD_OF(x) + ONE;
    return usual_or(WORD_OF(x) - LEAST < MANY, (twice + (twice >> 1 & 1)) >> 1, SQRT(x));
}""",
    "AFFINE_SCALED": _moved("AFFINE_SCALED", "below", "+", "x * by"),
    "AFFINE_DIVIDED": _moved("AFFINE_DIVIDED", "above", "-", "x * (1 / by)"),
}
