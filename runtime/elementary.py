"""Elementary functions that Triton lacks, as device functions for generated kernels.

    from stepc.runtime.elementary import larger, sign

Value rules as everywhere: sign(0) = 0, NaN passes through. All are accurate to a few units in the
last place of float32; of Triton's own functions only those are used that its interpreter knows too.
"""

# pyright: basic, reportCallIssue=false
# (device functions: their arguments have no Python types, and kernels call kernels)

from __future__ import annotations

from typing import TYPE_CHECKING

from .kernel import kernel

if TYPE_CHECKING:
    import triton.language as tl

# ---------------------------------------------------------------- comparison


@kernel
def larger(a, b):
    """The larger one; NaN if either is."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@kernel
def smaller(a, b):
    """The smaller one; NaN if either is."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@kernel
def sign(x):
    """-1, 0 or 1; NaN stays NaN."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, x))


# ---------------------------------------------------------------- arithmetic


@kernel
def modulo(a, b):
    """a - b * floor(a / b): the sign is b's."""
    rest = a % b
    return tl.where((rest != 0.0) & ((rest < 0.0) != (b < 0.0)), rest + b, rest)


@kernel
def round_even(x):
    """The nearest integer, halves to even."""
    below = tl.floor(x)
    rest = x - below
    odd = below - 2.0 * tl.floor(below * 0.5)
    return tl.where(rest == 0.5, below + odd, tl.floor(x + 0.5))


@kernel
def power(x, y):
    """x^y; for a negative x the exponent must be whole."""
    size = tl.exp2(y * tl.log2(tl.abs(x)))
    half = y * 0.5
    signed = tl.where(tl.floor(half) == half, size, -size)
    whole = tl.where(tl.floor(y) == y, signed, float("nan"))
    result = tl.where(x < 0.0, whole, size)
    zero = tl.where(y > 0.0, 0.0, float("inf"))
    result = tl.where(x == 0.0, zero, result)
    return tl.where(y == 0.0, 1.0, result)


@kernel
def cbrt(x):
    """The cube root."""
    size = tl.abs(x)
    root = tl.exp2(tl.log2(size) * 0.3333333333333333)
    better = root - (root - size / (root * root)) * 0.3333333333333333
    better = tl.where(size == 0.0, 0.0, better)
    better = tl.where(size == float("inf"), size, better)
    return tl.where(x < 0.0, -better, better)


# ---------------------------------------------------------------- exponential


@kernel
def log1p(x):
    """log(1 + x), exact for small x too."""
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / (u - 1.0)))


@kernel
def softplus(x):
    """log(1 + exp(x))."""
    return larger(x, x * 0.0) + log1p(tl.exp(-tl.abs(x)))


@kernel
def tanh(x):
    """The hyperbolic tangent: a series near 0, elsewhere by the exponential."""
    size = tl.abs(x)
    far = 1.0 - 2.0 / (tl.exp(2.0 * size) + 1.0)
    s = x * x
    near = size * (
        1.0
        + s * (-0.3333333333333333 + s * (0.13333333333333333 + s * (-0.05396825396825397
        + s * (0.021869488536155203 - s * 0.008863235529902197))))
    )  # fmt: skip
    value = tl.where(size < 0.3, near, far)
    return tl.where(x < 0.0, -value, value)


# ---------------------------------------------------------------- angles


@kernel
def tan(x):
    """The tangent."""
    return tl.sin(x) / tl.cos(x)


@kernel
def atan(x):
    """The arc tangent: x is brought into [0, tan(pi/12)], where a short series does."""
    size = tl.abs(x)
    inverted = size > 1.0
    a = tl.where(inverted, 1.0 / size, size)
    turned = a > 0.2679491924311227
    b = tl.where(turned, (1.7320508075688772 * a - 1.0) / (1.7320508075688772 + a), a)
    s = b * b
    angle = b * (
        1.0
        + s * (-0.3333333333333333 + s * (0.2 + s * (-0.14285714285714285
        + s * (0.1111111111111111 + s * (-0.09090909090909091 + s * 0.07692307692307693)))))
    )  # fmt: skip
    angle = tl.where(turned, 0.5235987755982988 + angle, angle)
    angle = tl.where(inverted, 1.5707963267948966 - angle, angle)
    return tl.where(x < 0.0, -angle, angle)


@kernel
def atan2(y, x):
    """The angle of (x, y) in (-pi, pi]; 0 at the origin."""
    steep = tl.abs(y) > tl.abs(x)
    top = tl.where(steep, x, y)
    bottom = tl.where(steep, y, x)
    ratio = atan(top / tl.where(bottom == 0.0, 1.0, bottom))
    quarter = tl.where(y > 0.0, 1.5707963267948966, -1.5707963267948966)
    half = tl.where(y < 0.0, -3.141592653589793, 3.141592653589793)
    level = tl.where(x < 0.0, ratio + half, ratio)
    return tl.where(steep, quarter - ratio, level)


# ---------------------------------------------------------------- stochastic rounding


@kernel
def mixed(x):
    """murmur3's last step: 32 bits, well mixed."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


@kernel
def round_by_chance(x, key, index, base, PARAM: tl.constexpr):
    """x on bfloat16's grid; up with the probability of the bits cut off, by a hash of the index.

    `base` has the index's upper 32 bits: where a whole tile shares them, they are mixed once."""
    rounded = x
    if tl.bfloat16 == PARAM:
        far = mixed((base >> 32).to(tl.uint32))
        chance = mixed(index.to(tl.uint32) * 0x9E3779B1 + key + far) & 0xFFFF
        bits = x.to(tl.uint32, bitcast=True) + chance  # of an infinity's, none reaches the upper 16
        lifted = tl.where(x == x, bits.to(tl.float32, bitcast=True), x)
        rounded = lifted.to(tl.bfloat16, fp_downcast_rounding="rtz").to(tl.float32)
    return rounded
