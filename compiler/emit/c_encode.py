"""C text: many numbers made codes of a dynamic map at once.

A place is the least of some lines (`compiler/codecs/dynamic.py`), one for each decade. Any
processor can take the least of all. With AVX-512 a number's exponent says where to look, in
registers, for the part of the map it lies in: no power of two has more than two, and one border.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...dsl.levels import Level
from ..codecs.dynamic import places_of
from ..ir import Node, Store
from .rounds import cell_size, keeps

ENCODED = 128  # codes that one call makes, if there are as many
_AT_ONCE = 64  # codes that vectors make together
_MAPS: dict[object, tuple[int, bool]] = {(7, True): (7, False), (7, False): (7, True)}

ENCODE = """\
/* A dynamic map: a number's place lies on the least of seven lines, or on the last code's line. Of
   float32 also nine parts, from the code of 0 to the last one, each a line below a cap; and for 32
   powers of two, the part that each begins in, and where the next part begins. */
typedef struct {
    REAL slope[8], offset[8], border, less;
    float slopes[16] __attribute__((aligned(64))), offsets[16], caps[16], next[32];
    int32_t part[32];
} Map;
static inline int place_of(REAL x, const Map *map, int zero)
{
    const REAL a = zero ? MIN_NUMBER(ABS(x), map->border) : MAX_NUMBER(x, map->border);
    REAL place = map->slope[0] * a + map->offset[0];
    for (int k = 1; k < 7; k++)
        place = MIN_NUMBER(map->slope[k] * a + map->offset[k], place);
    const REAL begin = BINADE(place); /* the decade's first index, and its step */
    place = MIN_NUMBER(place, R(1.25) * place + (R(-0.25) * begin + R(-0.25)));
    place = MAX_NUMBER(place, map->slope[7] * x + map->offset[7]) - map->less;
    return BYTE(zero ? COPYSIGN(place, x) : place, zero);
}
#if defined(__AVX512VBMI__) && defined(__GNUC__) && !defined(__clang__)
typedef float Reals __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(64), may_alias));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint8_t Codes __attribute__((vector_size(64), aligned(1), may_alias));
typedef char Chars __attribute__((vector_size(64)));
/* The least number from which on `place_of` gives a code, by steps from one that is close to it. */
static float least_with(int code, float x, const Map *map, int zero)
{
    while (place_of(float_of(bits_of(x) - 1), map, zero) >= code)
        x = float_of(bits_of(x) - 1);
    while (place_of(x, map, zero) < code)
        x = float_of(bits_of(x) + 1);
    return x;
}
static __attribute__((noinline, cold)) void finish_map(Map *map, int zero)
{
    const int first = zero ? 1 : 2; /* index of the first decade */
    float begin[10] = {0};
    for (int k = 0; k < 8; k++) { /* from part k to the next one, and the index it begins with */
        const int index = first << k, code = zero ? zero + index : index - 1;
        const float place = k < 7 ? index + 0.2f : index;
        const float x = (place - (float)map->offset[k]) / (float)map->slope[k];
        begin[k + 1] = least_with(code, x, map, zero);
        map->caps[k] = float_of(bits_of(index) - 1);
        map->slopes[k + 1] = k < 7 ? map->slope[k] : 0;
        map->offsets[k + 1] = k < 7 ? map->offset[k] : index + 0.5f;
    }
    map->slopes[0] = 0, map->offsets[0] = first - 0.5f, map->caps[8] = begin[9] = INFINITY;
    for (int power = 0, k = 0; power < 32; power++) {
        while (power && begin[k + 1] <= float_of((uint32_t)(power + 96) << 23))
            k++;
        map->part[power] = k;
        map->next[power] = begin[k + 1];
    }
}
static inline Codes places_of(Reals x, const Map *map, int zero) /* of sizes; in each fourth byte */
{
    const Ints zeros = {0}, tiny = zeros + 0x30000000, *part = (const Ints *)map->part;
    const Reals *next = (const Reals *)map->next, *slopes = (const Reals *)map->slopes;
    const Reals *offsets = (const Reals *)map->offsets, *caps = (const Reals *)map->caps;
    const Ints a = (Ints)x & (zero ? 0x7fffffff : -1);
    const Words power = (Words)__builtin_ia32_pmaxsd512_mask(a, tiny, zeros, -1) >> 23;
    const Ints at = (Ints)__builtin_shuffle(part[0], part[1], power);
    const uint16_t beyond = __builtin_ia32_cmpps512_mask(
        (Reals)a, __builtin_shuffle(next[0], next[1], power), 13, -1, 4); /* >= */
    const Ints here = (Ints)__builtin_ia32_paddd512_mask(at, zeros + 1, at, beyond);
    const Reals slope = __builtin_shuffle(*slopes, here);
    const Ints place = (Ints)(slope * (Reals)a + __builtin_shuffle(*offsets, here));
    const Ints cap = (Ints)__builtin_shuffle(*caps, here);
    const Reals least = (Reals)__builtin_ia32_pminsd512_mask(place, cap, zeros, -1);
    return (Codes)(least - (float)map->less + (0x1.8p23f + zero));
}
static inline Codes each_fourth(Codes a, Codes b, Codes c, Codes d, int byte)
{
    Codes even, quarter;
    for (int i = 0; i < 64; i++)
        even[i] = (uint8_t)(i % 32 * 4 + byte), quarter[i] = (uint8_t)(i < 32 ? i : i + 32);
    return __builtin_shuffle(
        __builtin_shuffle(a, b, even), __builtin_shuffle(c, d, even), quarter);
}
static inline int64_t encode_most(
    uint8_t *codes, const REAL *numbers, REAL factor, int64_t count, const Map *map, int zero)
{
    int64_t i = 0;
    for (; sizeof(REAL) == 4 && i + 64 <= count; i += 64) {
        const Reals *x = (const Reals *)(numbers + i), by = (Reals){0} + (float)factor;
        const Codes a = places_of(x[0] * by, map, zero), b = places_of(x[1] * by, map, zero);
        const Codes c = places_of(x[2] * by, map, zero), d = places_of(x[3] * by, map, zero);
        Codes found = each_fourth(a, b, c, d, 0);
        if (zero) { /* of negative numbers as far on the other side, but not below 0 */
            const Codes *y = (const Codes *)x, signs = each_fourth(y[0], y[1], y[2], y[3], 3);
            const Chars twice = (Chars)((Codes){0} + (uint8_t)(2 * zero)), code = (Chars)found;
            const uint64_t minus = __builtin_ia32_cvtb2mask512((Chars)signs);
            found = (Codes)__builtin_ia32_psubusb512_mask(twice, code, code, minus);
        }
        *(Codes *)(codes + i) = found;
    }
    return i;
}
#else
#define finish_map(map, zero) (void)0
#define encode_most(codes, numbers, factor, count, map, zero) 0
#endif
/* The codes of numbers times a factor; `zero` is that of 0. It has the registers for itself. */
static __attribute__((noinline)) void encode(uint8_t *restrict codes, const REAL *restrict numbers,
    REAL factor, int64_t count, const Map *map, int zero)
{
    int64_t i = encode_most(codes, numbers, factor, count, map, zero);
    #pragma omp simd
    for (int64_t k = i; k < count; k++)
        codes[k] = (uint8_t)place_of(numbers[k] * factor, map, zero);
}"""


def is_quick(store: Store, cell: Level | None) -> bool:
    """Whether numbers become codes by `encode`: in a sweep over whole blocks of many elements."""
    size = cell_size(cell) if cell is not None and keeps(cell) else None
    whole = size is not None and size % _AT_ONCE == 0 and store.stream.dtype == "uint8"
    return whole and store.value.op == "dynamic_code" and store.value.attr in _MAPS


def map_lines(node: Node, name: str) -> list[str]:
    """The statements that make a map, once per kernel."""
    places = places_of(*_MAPS[node.attr])
    slopes, offsets = zip(*places.lines, (places.rise, places.top), strict=True)
    zero = zero_of(node)
    rows = f"{{{_numbers(slopes)}}}, {{{_numbers(offsets)}}}"
    numbers = _numbers((places.border if zero else 0, places.less))
    return [f"Map {name} = {{{rows}, {numbers}}};", f"finish_map(&{name}, {zero});"]


def zero_of(node: Node) -> int:
    """The code of 0."""
    decades, unsigned = _MAPS[node.attr]
    return 0 if unsigned else 2**decades - 1


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value!r}" for value in values)
