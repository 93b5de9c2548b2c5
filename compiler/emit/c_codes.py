"""C functions for codes: conversions between numbers and the bits that states are stored in."""

from __future__ import annotations

from .c_encode import ENCODE
from .c_look_up import LOOK_UP


def _float8(name: str, mantissa: int, bias: int) -> dict[str, str]:
    """Both ways for a format with so many bits of mantissa, so many fewer exponents than float."""
    cut = 23 - mantissa
    least = f"0x1p-{126 - bias}f"  # the least normal number
    unit = f"0x1p{23 - mantissa - 126 + bias}f"  # whose neighbours lie apart as subnormals do
    return {
        f"{name.upper()}_CODE": f"""\
static inline int {name.upper()}_CODE(float x) /* to nearest, ties to even */
{{
    const uint32_t bits = bits_of(x), size = bits & 0x7fffffff;
    const uint32_t tiny = bits_of(float_of(size) + {unit}) - bits_of({unit});
    const uint32_t normal =
        (size - {bias << 23:#x} + {(1 << (cut - 1)) - 1:#x} + (size >> {cut} & 1)) >> {cut};
    return (int)((size < bits_of({least}) ? tiny : normal) | (bits >> 24 & 0x80));
}}""",
        f"{name.upper()}_VALUE": f"""\
static inline float {name.upper()}_VALUE(int code)
{{
    const uint32_t size = (uint32_t)(code & 0x7f) << {cut}, minus = (uint32_t)(code & 0x80) << 24;
    return float_of(bits_of(float_of(size) * 0x1p{bias}f) | minus);
}}""",
    }


CODE_FUNCTIONS = {
    "repeat_last": """\
/* Values after the last of `count` ones, like that one, until there are `all`. */
static __attribute__((noinline, cold)) void repeat_last(
    void *values, int64_t count, int64_t all, int64_t size)
{
    char *next = (char *)values + count * size;
    const int64_t bytes = (all - count) * size;
    if (bytes > 0)
        memcpy(next, next - size, size);
    for (int64_t made = size; made < bytes; made *= 2) /* twice as many each time */
        memcpy(next + made, next, SMALLER(made, bytes - made));
}""",
    "repeated": """\
static __attribute__((noinline, cold)) void *repeated(
    void *spare, const void *at, int64_t count, int64_t all, int64_t size)
{
    memcpy(spare, at, count * size);
    repeat_last(spare, count, all, size);
    return spare;
}""",
    "FULL": """\
/* `all` values: those at a place, or where fewer are left a copy that repeats the last one. */
#define FULL(at, spare, count, all) \\
    ((count) == (all) ? (void *)(at) : repeated(spare, at, count, all, sizeof *(at)))""",
    "ahead": """\
static inline void ahead(const void *at, int bytes) /* that memory will be read soon */
{
#ifdef __GNUC__
    for (int k = 0; k < bytes; k += 64)
        __builtin_prefetch((const char *)at + k);
#endif
}""",
    "HALF_BYTE": """\
#define HALF_BYTE(at, i, plane) \\
    ((at)[(i) / (2 * plane) * plane + (i) % plane] >> ((i) / plane % 2 ? 0 : 4) & 15)""",
    "unpack": """\
/* The codes of whole blocks: a byte holds two, of elements that lie `plane` apart. */
static inline void unpack(
    uint8_t *restrict codes, const uint8_t *restrict bytes, int count, int plane)
{
    for (int first = 0; first < count; first += 2 * plane)
        for (int k = 0; k < plane; k++) {
            codes[first + k] = bytes[first / 2 + k] >> 4;
            codes[first + plane + k] = bytes[first / 2 + k] & 15;
        }
}""",
    "pack": """\
static inline void pack(
    uint8_t *restrict bytes, int count, int plane, const int *restrict codes)
{
    for (int first = 0; first < count; first += 2 * plane)
        for (int k = 0; k < plane; k++)
            bytes[first / 2 + k] = (uint8_t)(codes[first + k] << 4 | codes[first + plane + k]);
}""",
    "look_up": LOOK_UP,
    "BYTE": """\
static inline int BYTE(float x, int zero) /* the whole number nearest to x + zero; ties to even */
{
    return (int)(bits_of(x + (0x1.8p23f + (float)zero)) & 0xff);
}""",
    "AWAY": """\
static inline int AWAY(REAL x) /* the whole number nearest to x; halves away from 0 */
{
    return (int)(x + COPYSIGN(R(0.5), x));
}""",
    "BINADE": """\
static inline REAL BINADE(REAL x) /* the greatest power of two not above x */
{
    WORD bits;
    memcpy(&bits, &x, sizeof x);
    bits &= sizeof x == 8 ? (WORD)0x7ff0000000000000 : (WORD)0x7f800000;
    memcpy(&x, &bits, sizeof x);
    return x;
}""",
    "encode": ENCODE,
    "HALF_ULP": """\
/* Half a unit in the last place of a parameter; of wide ones, which have no remainder, 1. */
#define half_ulp_f32(x) 1
#define half_ulp_f64(x) 1
static inline float half_ulp_bf16(float x)
{
    const uint32_t power = bits_of(x) & 0x7f800000;
    return float_of(LARGER(power, 0x800000)) * 0x1p-8f;
}
#define half_ulp_f16(x) (BINADE(LARGER(ABS(x), 0x1p-14f)) * 0x1p-11f)
#define HALF_ULP(x) R(JOIN(half_ulp_, PARAM)(x))""",
    "IN_HALF_ULPS": """\
/* x over HALF_ULP(at): of bf16, times powers of two, which is exact. */
static inline float in_half_ulps_bf16(float x, float at)
{
    const uint32_t inverse = ~bits_of(at) & 0x7f800000;
    return x * 0x1p7f * float_of(SMALLER(inverse, 0x7f000000));
}
#define in_half_ulps_f32(x, at) (x)
#define in_half_ulps_f64(x, at) (x)
#define in_half_ulps_f16(x, at) ((x) / HALF_ULP(at))
#define IN_HALF_ULPS(x, at) R(JOIN(in_half_ulps_, PARAM)(x, at))""",
    **_float8("e4m3", 3, 120),
    **_float8("e5m2", 2, 112),
}
