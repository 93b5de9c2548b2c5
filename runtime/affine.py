"""Piecewise affine arithmetic (dsl/affine.py) as device functions for generated kernels.

The bits of a number without its sign, read as an integer, are its piecewise linear logarithm:
products are sums of integers.
"""

# pyright: basic, reportCallIssue=false, reportGeneralTypeIssues=false, reportAssignmentType=false
# (device functions: their arguments have no Python types, and kernels call kernels)

from __future__ import annotations

from typing import TYPE_CHECKING

from .kernel import kernel

if TYPE_CHECKING:
    import triton.language as tl


@kernel
def bits_of(x, like):
    """The bits of a number as an integer without sign; `like` is a tensor of its dtype."""
    x = tl.where(like == like, x, x).to(like.dtype)  # a constant too
    if like.dtype == tl.float64:
        return x.to(tl.uint64, bitcast=True)
    return x.to(tl.uint32, bitcast=True)


@kernel
def size_of(x, like):
    """The bits of |x|."""
    return bits_of(tl.abs(x), like)


@kernel
def usual_or(x, y, size, exact):
    """The number of this size, with the exact result's sign, if it and x and y are normal numbers
    (of float32, or larger ones of float64); else the exact result."""
    wide: tl.constexpr = exact.dtype == tl.float64
    least: tl.constexpr = 0x3810000000000000 if wide else 0x00800000
    many: tl.constexpr = 0x47E0000000000000 if wide else 0x7F000000
    usual = (x - least < many) & (y - least < many) & (size - least < many)
    minus = bits_of(exact, exact) ^ size_of(exact, exact)
    return tl.where(usual, (size | minus).to(exact.dtype, bitcast=True), exact)


@kernel
def affine_product(a, b):
    """The sum of the logarithms."""
    exact = a * b
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    x = size_of(a, exact)
    y = size_of(b, exact)
    return usual_or(x, y, x + y - one, exact)


@kernel
def affine_quotient(a, b):
    """Their difference."""
    exact = a / b
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    x = size_of(a, exact)
    y = size_of(b, exact)
    return usual_or(x, y, x - y + one, exact)


@kernel
def affine_root(x):
    """Half the logarithm; of an odd integer the even neighbour of the half."""
    exact = tl.sqrt(x)
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    bits = bits_of(x, exact)
    twice = bits + one
    return usual_or(bits, bits, (twice + ((twice >> 1) & 1)) >> 1, exact)
