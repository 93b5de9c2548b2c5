"""Elementary functions of float32 in C as arithmetic without branches or calls, so that compilers
make vectors of the loops around them (libm's calls would be made one number at a time).

    exp         n + r = x / ln(2),  2^n e^r                     1.02 units in the last place
    log         x = 2^n (1 + f),    n ln(2) + log(1 + f)        0.90
    softplus    max(x, 0) + log(1 + e),  e = exp(-|x|)         2.8

The figures are the largest errors over every 37th float32, with and without fused multiply-add.
Zero, infinities, NaN, subnormals and overflow are as in libm. ln(2) is taken in two parts; the
first has so few bits that its products with n are exact. The polynomials are minimax fits: of
(e^r - 1 - r) / r^2 for |r| < ln(2) / 2, of (log(1 + f) - f + f^2 / 2) / f^3 for 1 + f between
sqrt(1/2) and sqrt(2), of (log(1 + e) - e) / e^2 for e in [0, 1]. float64 calls libm. Where x is
above 80, softplus takes e^-80 for e: both are nothing beside x, but processors are slow with
subnormal numbers.
"""

from __future__ import annotations

FLOAT32_FUNCTIONS = {
    "where_f32": """\
static inline float where_f32(int holds, float a, float b) /* no branch */
{
    const uint32_t mask = -(uint32_t)holds;
    return float_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}""",
    "near_one_f32": """\
static inline float near_one_f32(float x, float n) /* 2^-n e^x, of a size between 0.7 and 1.5 */
{
    const float r = x - n * 0x1.62e4p-1f - n * 0x1.7f7d1cp-20f;
    const float q = 0.5f + r * (0.166665122f + r * (0.0416661873f + r * (0.0083695995f
        + r * 0.00139517116f)));
    return 1 + (r + r * r * q);
}""",
    "exp_f32": """\
static inline float exp_f32(float x)
{
    const float below = where_f32(x > 89, 89, x), inside = where_f32(below < -104, -104, below);
    const float shifted = inside * 0x1.715476p+0f + 0x1.8p23f, n = shifted - 0x1.8p23f;
    const int32_t power = (int32_t)(bits_of(shifted) - bits_of(0x1.8p23f)), half = power >> 1;
    const float one = float_of((uint32_t)(half + 127) << 23);
    const float other = float_of((uint32_t)(power - half + 127) << 23);
    return near_one_f32(inside, n) * one * other;
}""",
    "log_f32": """\
static inline float log_f32(float x)
{
    const int tiny = x < 0x1p-126f;
    const uint32_t half = bits_of(0x1.6a09e6p-1f);
    const uint32_t bits = bits_of(where_f32(tiny, x * 0x1p23f, x)) - half;
    const float n = (float)((int32_t)bits >> 23) - where_f32(tiny, 23, 0);
    const float f = float_of((bits & 0x7fffff) + half) - 1;
    const float q = 0.333333313f + f * (-0.250008225f + f * (0.200012267f + f * (-0.16623354f
        + f * (0.142017767f + f * (-0.131602332f + f * (0.127614692f + f * -0.0763422996f))))));
    const float y = n * 0x1.62e4p-1f + (f + (n * 0x1.7f7d1cp-20f + f * f * (f * q - 0.5f)));
    const float edge = where_f32(x == 0, -INFINITY, where_f32(x < 0, NAN, x));
    return where_f32((x > 0) & (x < INFINITY), y, edge);
}""",
    "softplus_f32": """\
static inline float softplus_f32(float x)
{
    const uint32_t minus = bits_of(x) | 0x80000000, least = bits_of(where_f32(x < 0, -104, -80));
    const float down = float_of(SMALLER(minus, least)); /* the larger of two negative numbers */
    const float shifted = down * 0x1.715476p+0f + 0x1.80008p23f, n = shifted - 0x1.80008p23f;
    const uint32_t power = bits_of(shifted) << 23; /* n + 64, where exponents are */
    const float e = float_of(bits_of(near_one_f32(down, n)) + power) * 0x1p-64f;
    const float q = -0.499999315f + e * (0.33330512f + e * (-0.249585807f + e * (0.196953639f
        + e * (-0.15355292f + e * (0.106803775f + e * (-0.0576626807f + e * (0.0202036463f
        + e * -0.00331826392f)))))));
    return where_f32(x < 0, 0, x) + e * (1 + e * q);
}""",
}
