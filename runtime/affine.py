"""Piecewise affine arithmetic (dsl/affine.py) as device functions for generated kernels.

The bits of a number, read as an integer, are its piecewise linear logarithm: products are sums of
integers. Signs, in the bit above all that is added, take care of themselves.
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
    """The bits of a number as an unsigned integer; `like` is a tensor of its dtype."""
    x = tl.where(like == like, x, x).to(like.dtype)  # a constant too
    if like.dtype == tl.float64:
        return x.to(tl.uint64, bitcast=True)
    return x.to(tl.uint32, bitcast=True)


@kernel
def bits_or(bits, exact):
    """The number of these bits where the exact result is neither tiny, huge nor NaN; else that."""
    size = tl.abs(exact)
    usual = (size >= 2.0**-120) & (size < 2.0**120)
    return tl.where(usual, bits.to(exact.dtype, bitcast=True), exact)


@kernel
def affine_product(a, b):
    """The sum of the logarithms."""
    exact = a * b
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    return bits_or(bits_of(a, exact) + bits_of(b, exact) - one, exact)


@kernel
def affine_quotient(a, b):
    """Their difference."""
    exact = a / b
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    return bits_or(bits_of(a, exact) - bits_of(b, exact) + one, exact)


@kernel
def affine_root(x):
    """Half the logarithm, rounded down."""
    exact = tl.sqrt(x)
    one: tl.constexpr = 0x3FF0000000000000 if exact.dtype == tl.float64 else 0x3F800000
    return bits_or((bits_of(x, exact) + one) >> 1, exact)
