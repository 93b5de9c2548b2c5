"""C text: many numbers made codes of a dynamic map at once.

A place is the least of some lines (`compiler/codecs/dynamic.py`), one for each decade. Within a
power of two only two of them can be the least. So with AVX-512 these two are looked up by a
number's exponent, in registers.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...dsl.levels import Level
from ..codecs.dynamic import places_of
from ..ir import Node, Store
from .rounds import cell_size, keeps

AT_ONCE = 64  # codes that vectors make together
_MAPS: dict[object, tuple[int, bool]] = {(7, True): (7, False), (7, False): (7, True)}

ENCODE = """\
/* A dynamic map: lines whose least is a number's place, one for each decade, and the last code's;
   of float32 also, for 32 powers of two, slope and offset of two lines that are the least there. */
typedef struct {
    REAL slope[7], offset[7], border, rise, top, less;
    float near[4][32] __attribute__((aligned(64)));
} Map;
static __attribute__((noinline, cold)) void finish_map(Map *map)
{
    for (int power = 0; power < 32; power++)
        for (int end = 0; end < 2; end++) {
            const REAL x = power + end ? float_of((uint32_t)(power + end + 96) << 23) : 0;
            int least = 0;
            for (int k = 1; k < 7; k++)
                if (map->slope[k] * x + map->offset[k] < map->slope[least] * x + map->offset[least])
                    least = k;
            map->near[2 * end][power] = map->slope[least];
            map->near[2 * end + 1][power] = map->offset[least];
        }
}
static inline int place_of(REAL x, const Map *map, int zero)
{
    const REAL a = zero ? MIN_NUMBER(ABS(x), map->border) : MAX_NUMBER(x, map->border);
    REAL place = map->slope[0] * a + map->offset[0];
    for (int k = 1; k < 7; k++)
        place = MIN_NUMBER(map->slope[k] * a + map->offset[k], place);
    const REAL begin = BINADE(place); /* the decade's first index, and its step */
    place = MIN_NUMBER(place, R(1.25) * place + (R(-0.25) * begin + R(-0.25)));
    place = MAX_NUMBER(place, map->rise * x + map->top) - map->less;
    return BYTE(zero ? COPYSIGN(place, x) : place, zero);
}
#if defined(__AVX512VBMI__) && defined(__GNUC__) && !defined(__clang__)
typedef float Reals __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint8_t Codes __attribute__((vector_size(64), aligned(1), may_alias));
#define LESSER(a, b) __builtin_ia32_minps512_mask(a, b, a, -1, 4)
#define GREATER(a, b) __builtin_ia32_maxps512_mask(a, b, a, -1, 4)
static inline Reals line_at(const float *slope, const float *offset, Words at, Reals x)
{
    const Reals *s = (const Reals *)slope, *o = (const Reals *)offset;
    return __builtin_shuffle(s[0], s[1], at) * x + __builtin_shuffle(o[0], o[1], at);
}
static inline Codes places_of(Reals x, const Map *map, int zero)
{
    const Words sign = (Words){0} + 0x80000000;
    const Reals limit = (Reals){0} + (float)map->border, tiny = (Reals){0} + 0x1p-31f;
    const Reals size = zero ? (Reals)LESSER((Reals)((Words)x & ~sign), limit) : x;
    const Reals a = GREATER(size, tiny);
    const Words at = (Words)a >> 23; /* 32 powers of two */
    Reals place = line_at(map->near[0], map->near[1], at, a);
    place = LESSER(line_at(map->near[2], map->near[3], at, a), place);
    const Reals begin = (Reals)((Words)place & 0x7f800000);
    place = LESSER(place, 1.25f * place + (-0.25f * begin + -0.25f));
    place = GREATER(place, (float)map->rise * x + (float)map->top) - (float)map->less;
    if (zero)
        place = (Reals)(((Words)place & ~sign) | ((Words)x & sign));
    return (Codes)(place + (0x1.8p23f + zero)); /* each fourth byte */
}
static inline int64_t encode_most(
    uint8_t *codes, const REAL *numbers, REAL factor, int64_t count, const Map *map, int zero)
{
    Codes even, quarter;
    for (int i = 0; i < 64; i++)
        even[i] = (uint8_t)(i % 32 * 4), quarter[i] = (uint8_t)(i < 32 ? i : i + 32);
    int64_t i = 0;
    for (; sizeof(REAL) == 4 && i + 64 <= count; i += 64) {
        const Reals *x = (const Reals *)(numbers + i);
        const Codes a = places_of(x[0] * (float)factor, map, zero);
        const Codes b = places_of(x[1] * (float)factor, map, zero);
        const Codes c = places_of(x[2] * (float)factor, map, zero);
        const Codes d = places_of(x[3] * (float)factor, map, zero);
        *(Codes *)(codes + i) = __builtin_shuffle(
            __builtin_shuffle(a, b, even), __builtin_shuffle(c, d, even), quarter);
    }
    return i;
}
#else
#define encode_most(codes, numbers, factor, count, map, zero) 0
#endif
/* The codes of numbers times a factor; `zero` is that of 0. */
static inline void encode(uint8_t *restrict codes, const REAL *restrict numbers, REAL factor,
    int64_t count, const Map *map, int zero)
{
    int64_t i = encode_most(codes, numbers, factor, count, map, zero);
    #pragma omp simd
    for (int64_t k = i; k < count; k++)
        codes[k] = (uint8_t)place_of(numbers[k] * factor, map, zero);
}"""


def is_quick(store: Store, cell: Level | None) -> bool:
    """Whether numbers become codes by `encode`: in a sweep over whole blocks of many elements."""
    size = cell_size(cell) if cell is not None and keeps(cell) else None
    whole = size is not None and size % AT_ONCE == 0 and store.stream.dtype == "uint8"
    return whole and store.value.op == "dynamic_code" and store.value.attr in _MAPS


def map_lines(node: Node, name: str) -> list[str]:
    """The statements that make a map, once per kernel."""
    places = places_of(*_MAPS[node.attr])
    slopes, offsets = zip(*places.lines, strict=True)
    limit = 0 if zero_of(node) == 0 else places.border
    numbers = _numbers((limit, places.rise, places.top, places.less))
    rows = f"{{{_numbers(slopes)}}}, {{{_numbers(offsets)}}}"
    return [f"Map {name} = {{{rows}, {numbers}}};", f"finish_map(&{name});"]


def zero_of(node: Node) -> int:
    """The code of 0."""
    decades, unsigned = _MAPS[node.attr]
    return 0 if unsigned else 2**decades - 1


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value!r}" for value in values)
