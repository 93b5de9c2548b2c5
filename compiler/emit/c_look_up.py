"""C text: many codes looked up at once in a table of 256 numbers.

With AVX-512 VBMI, a table of bytes lies in four registers, and 64 codes are looked up in it by two
instructions. So a table of numbers is cut into four planes, their first bytes to their last, and
what is found in each is woven together.
"""

LOOK_UP = """\
/* What each code stands for; of float32 also as planes: all first bytes, all second ones, ... */
typedef struct {
    REAL value[256];
    uint8_t planes[4][256] __attribute__((aligned(64)));
} Table;
static __attribute__((noinline)) void finish_table(Table *table)
{
    for (int plane = 0; plane < 4; plane++)
        for (int code = 0; code < 256; code++)
            table->planes[plane][code] = (uint8_t)(WORD_OF(table->value[code]) >> 8 * plane);
}
#if defined(__AVX512VBMI__) && defined(__GNUC__) && !defined(__clang__)
typedef uint8_t Bytes __attribute__((vector_size(64), aligned(1), may_alias));
typedef int8_t Signs __attribute__((vector_size(64)));
typedef uint16_t Pairs __attribute__((vector_size(64)));
typedef uint32_t Fours __attribute__((vector_size(64)));
static inline Bytes look_up_bytes(const uint8_t *plane, Bytes codes)
{
    const Bytes *part = (const Bytes *)plane, upper = (Bytes)((Signs)codes < 0);
    const Bytes low = __builtin_shuffle(part[0], part[1], codes);
    const Bytes high = __builtin_shuffle(part[2], part[3], codes);
    return (low & ~upper) | (high & upper);
}
/* The i-th of 16 bytes (8 pairs) of each vector side by side, in every quarter of 128 bits. */
static inline Pairs weave_bytes(Bytes a, Bytes b, int upper)
{
    Bytes order;
    for (int i = 0; i < 64; i++)
        order[i] = (uint8_t)(i / 16 * 16 + i % 16 / 2 + 8 * upper + i % 2 * 64);
    return (Pairs)__builtin_shuffle(a, b, order);
}
static inline Bytes weave_pairs(Pairs a, Pairs b, int upper)
{
    Pairs order;
    for (int i = 0; i < 32; i++)
        order[i] = (uint16_t)(i / 8 * 8 + i % 8 / 2 + 4 * upper + i % 2 * 32);
    return (Bytes)__builtin_shuffle(a, b, order);
}
static inline int64_t look_up_most(
    REAL *restrict values, const uint8_t *restrict codes, int64_t count, const Table *table)
{
    const Fours quarters = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    int64_t i = 0;
    for (; sizeof(REAL) == 4 && i + 64 <= count; i += 64) {
        const Bytes here = (Bytes)__builtin_shuffle((Fours)*(const Bytes *)(codes + i), quarters);
        const Bytes a = look_up_bytes(table->planes[0], here);
        const Bytes b = look_up_bytes(table->planes[1], here);
        const Bytes c = look_up_bytes(table->planes[2], here);
        const Bytes d = look_up_bytes(table->planes[3], here);
        Bytes *found = (Bytes *)(values + i);
        for (int upper = 0; upper < 2; upper++)
            for (int half = 0; half < 2; half++)
                found[2 * upper + half] =
                    weave_pairs(weave_bytes(a, b, upper), weave_bytes(c, d, upper), half);
    }
    return i;
}
#else
#define look_up_most(values, codes, count, table) 0
#endif
static inline void look_up(
    REAL *restrict values, const uint8_t *restrict codes, int64_t count, const Table *table)
{
    for (int64_t i = look_up_most(values, codes, count, table); i < count; i++)
        values[i] = table->value[codes[i]];
}"""
