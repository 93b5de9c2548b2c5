"""Codes of stored numbers, as device functions for generated kernels.

    from stepc.runtime.codes import byte, dynamic_value

Rounding to codes, 8-bit floats, the dynamic maps. A map that would take many
steps per element is a table of 32 numbers, one in each lane of a warp: looking one up is a shuffle.
That is for tiles of one warp; tiles of several use arithmetic (compiler/codecs/dynamic.py).
"""

# pyright: basic, reportCallIssue=false, reportGeneralTypeIssues=false, reportAssignmentType=false
# (device functions: their arguments have no Python types, and kernels call kernels)

from __future__ import annotations

from typing import TYPE_CHECKING

from .kernel import kernel

if TYPE_CHECKING:
    import triton.language as tl

# ---------------------------------------------------------------- codes


@kernel
def byte(x, ZERO: tl.constexpr):
    """The whole number nearest to x + ZERO in [0, 255], of two the even one, as a code."""
    return (x.to(tl.float32) + (12582912.0 + ZERO)).to(tl.int32, bitcast=True).to(tl.uint8)


@kernel
def binade(x):
    """The greatest power of two not above x > 0."""
    if x.dtype == tl.float64:
        return (x.to(tl.int64, bitcast=True) & 0x7FF0000000000000).to(tl.float64, bitcast=True)
    bits = x.to(tl.float32).to(tl.int32, bitcast=True) & 0x7F800000
    return bits.to(tl.float32, bitcast=True)


@kernel
def copysign(size, sign_of):
    """The size of one number with the sign of another."""
    bits = size.to(tl.float32).to(tl.uint32, bitcast=True) & 0x7FFFFFFF
    minus = sign_of.to(tl.float32).to(tl.uint32, bitcast=True) & 0x80000000
    return (bits | minus).to(tl.float32, bitcast=True)


@kernel
def inverse(x):
    """1 / x for x > 0: without the care that a division takes for quotients of any size."""
    root = tl.rsqrt(x)
    return root * root


@kernel
def quotient(a, b):
    """a / b to a few last places; b's sign is the quotient's."""
    if b.dtype == tl.float64:
        return a / b
    minus = b.to(tl.uint32, bitcast=True) & 0x80000000
    signed = a.to(tl.float32).to(tl.uint32, bitcast=True) ^ minus
    return signed.to(tl.float32, bitcast=True) * inverse(tl.abs(b))


@kernel
def float8_code(x, CUT: tl.constexpr, BIAS: tl.constexpr, HALF: tl.constexpr, UNIT: tl.constexpr):
    """An 8-bit float's bits: x to nearest, halves to even. CUT bits of mantissa fewer, exponents
    less by BIAS; HALF of what is cut, less one; UNIT's neighbours lie as subnormals do."""
    bits = x.to(tl.float32).to(tl.uint32, bitcast=True)
    size = bits & 0x7FFFFFFF
    tiny = (size.to(tl.float32, bitcast=True) + UNIT).to(tl.uint32, bitcast=True) & 0xFF
    normal = (size - (BIAS << 23) + HALF + ((size >> CUT) & 1)) >> CUT
    code = tl.where(size < ((BIAS + 1) << 23), tiny, normal)
    return (code | ((bits >> 24) & 0x80)).to(tl.uint8)


@kernel
def float8_value(code, CUT: tl.constexpr, GROW: tl.constexpr):
    """The number that an 8-bit float's bits stand for."""
    bits = code.to(tl.uint32)
    size = ((bits & 0x7F) << CUT).to(tl.float32, bitcast=True) * GROW
    return (size.to(tl.uint32, bitcast=True) | ((bits & 0x80) << 24)).to(tl.float32, bitcast=True)


@kernel
def e4m3_code(x):
    """The bits of x in e4m3."""
    return float8_code(x, 20, 120, 0x7FFFF, 16384.0)


@kernel
def e4m3_value(code):
    """What bits of e4m3 stand for."""
    return float8_value(code, 20, 1.329227995784916e36)


@kernel
def e5m2_code(x):
    """The bits of x in e5m2."""
    return float8_code(x, 21, 112, 0xFFFFF, 128.0)


@kernel
def e5m2_value(code):
    """What bits of e5m2 stand for."""
    return float8_value(code, 21, 5.192296858534828e33)


@kernel
def half_ulp(x, PARAM: tl.constexpr):
    """Half a unit in the last place of a parameter; of wide ones, which have no remainder, 1."""
    size = tl.abs(x)
    if tl.bfloat16 == PARAM:
        unit = binade(tl.maximum(size, 1.1754943508222875e-38)) * 0.00390625
    elif tl.float16 == PARAM:
        unit = binade(tl.maximum(size, 6.103515625e-05)) * 0.00048828125
    else:
        unit = size * 0.0 + 1.0
    return unit


@kernel
def in_half_ulps(x, at, PARAM: tl.constexpr):
    """x / half_ulp(at): times 2^7 and 2^-7 of a power of two, which then is a number always."""
    if tl.bfloat16 == PARAM:
        size = tl.maximum(tl.abs(at), 1.1754943508222875e-38)
        per = ~size.to(tl.uint32, bitcast=True) & 0x7F800000
        return x * 128.0 * per.to(tl.float32, bitcast=True)
    return x / half_ulp(at, PARAM)


# ---------------------------------------------------------------- the dynamic maps


@kernel
def look_up(table, place):
    """The number at each place, 0 to 31, of a table of 32."""
    found = tl.gather(table, tl.reshape(place, (place.numel,)), 0)
    return tl.reshape(found, place.shape)


@kernel
def place_of(x):
    """Where a table has each x's binade: by its exponent, 32 of which are told apart."""
    return (x.to(tl.uint32, bitcast=True) >> 23) & 31


@kernel
def dynamic_value(code, DECADES: tl.constexpr, SIGNED: tl.constexpr):
    """What a code stands for. Decade e begins at index n = 2^e (2^(e+1) without signs) and rises by
    0.9 of its size in n steps. Three decades are few enough for a table of all values; of seven,
    tables hold the lines by the index's binade: of its 256th part, so that 0 has a place too.
    """
    ZERO: tl.constexpr = 2**DECADES - 1 if SIGNED else -1
    FIRST: tl.constexpr = 0 if SIGNED else 1
    lane = tl.arange(0, 32)
    if DECADES == 3:
        value = tl.where(lane == 15, 1.0, 0.0)
        for e in tl.static_range(3):
            for j in tl.static_range(2 ** (e + FIRST)):
                mean = 10.0 ** (e - 2) * (0.1 + 0.9 * (j + 0.5) / 2 ** (e + FIRST))
                value = tl.where(lane == ZERO + 2 ** (e + FIRST) + j, mean, value)
                if SIGNED:
                    value = tl.where(lane == ZERO - 2**e - j, -mean, value)
        return look_up(value, code.to(tl.uint32))
    slope = tl.full((32,), 0.0, tl.float32)
    offset = tl.where(lane == 23 + FIRST + DECADES, 1.0, 0.0)
    for e in tl.static_range(DECADES):
        own = lane == 23 + FIRST + e
        size = 10.0 ** (e - DECADES + 1)
        rise = size * 0.9 / 2 ** (e + FIRST)
        slope = tl.where(own, (256 if SIGNED else 1) * rise, slope)
        offset = tl.where(own, size * (0.45 / 2 ** (e + FIRST) - 0.8) + rise * FIRST, offset)
    number = code.to(tl.float32)
    index = number * 0.00390625 - ZERO * 0.00390625
    place = place_of(index)
    rise = look_up(slope, place)
    start = look_up(offset, place)
    if SIGNED:
        minus = index.to(tl.uint32, bitcast=True) & 0x80000000
        return rise * index + (start.to(tl.uint32, bitcast=True) ^ minus).to(
            tl.float32, bitcast=True
        )
    return rise * number + start


@kernel
def dynamic_code(x, DECADES: tl.constexpr, SIGNED: tl.constexpr):
    """The code of the value nearest to x in [-1, 1]. Borders between decades lie 0.2 of a step
    inside the upper one, and no binade has two: what lifts a border to the next power of two tells
    the decades in it apart. Below a border the last index of its decade is the most.
    """
    FIRST: tl.constexpr = 0 if SIGNED else 1
    LAST: tl.constexpr = 2 ** (DECADES - 1 + FIRST)
    low = ((tl.arange(0, 32) + 96) << 23).to(tl.float32, bitcast=True)  # 2^-31, ..., 1
    lift = tl.full((32,), 0, tl.uint32)
    slope = tl.full((32,), 0.0, tl.float32)
    offset = tl.full((32,), 0.0, tl.float32)
    for e in tl.static_range(DECADES + 1):
        n = 2 ** (e + FIRST)
        size = 10.0 ** (e - DECADES + 1)
        border = size * (0.1 + 0.18 / n)
        if e == 0:
            border = size * (0.05 + 0.225 / n)
        if e == DECADES:
            border = 1.0 - 0.225 / LAST
        up = (2.0 * low).to(tl.uint32, bitcast=True) - (low * 0.0 + border).to(
            tl.uint32, bitcast=True
        )
        lift = tl.where((low <= border) & (border < 2.0 * low), up << 4, lift)
        rise = n / (0.9 * size)
        begin = n * 8 / 9 - 0.5 - FIRST
        if e == DECADES:
            rise = 0.0
            begin = n - FIRST
        slope = tl.where(low >= border, rise, slope)
        offset = tl.where(low >= border, begin, offset)
    x = x.to(tl.float32)
    a = tl.maximum(x, 4.656612873077393e-10)
    if SIGNED:
        x = tl.maximum(x, -0.99)  # -1 has no code
        a = tl.maximum(tl.abs(x), 4.656612873077393e-10)
    bits = a.to(tl.uint32, bitcast=True)
    place = ((bits << 4) + look_up(lift, place_of(a))) >> 27
    start = look_up(offset, place)
    most = 2.25 * start + (0.375 + 1.25 * FIRST)
    size = tl.minimum(look_up(slope, place) * a + start, most)
    if SIGNED:
        return byte(copysign(size, x), LAST * 2 - 1)
    return byte(size, 0)
