"""What a C module's text begins with: types, conversions and functions, only those it uses.

Capitals (SQRT, MAXIMUM, ...) are the arithmetic of sweeps, in REAL; the same words in small letters
are that of finishes, in double. One definition serves both. PARAM and GRAD are given to the
compiler as f32, f64, bf16 or f16, and REAL follows from PARAM.
"""

from __future__ import annotations

import re

from .c_affine import AFFINE_FUNCTIONS
from .c_codes import CODE_FUNCTIONS
from .c_math import FLOAT32_FUNCTIONS

_HEAD = """\
#include <math.h>
#include <stdint.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef float f32;
typedef double f64;
typedef uint16_t bf16;
typedef uint16_t f16;
#define REAL_OF_f32 f32
#define REAL_OF_f64 f64
#define REAL_OF_bf16 f32
#define REAL_OF_f16 f32
#define REAL JOIN(REAL_OF_, PARAM)
#define R(x) ((REAL)(x))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))"""

# Functions in both arithmetics: {T} is the type, {MAXIMUM} the name in that arithmetic's case.
_OWN = {
    "rsqrt": "{T} {RSQRT}({T} x) { return 1 / {SQRT}(x); }",
    "sign": "{T} {SIGN}({T} x) { return {WHERE}(x > 0, 1, {WHERE}(x < 0, -1, x)); }",
    "sign_bit": "{T} {SIGN_BIT}({T} x) { return {WHERE}(x < 0, -1, 1); }",
    "sigmoid": "{T} {SIGMOID}({T} x) { return 1 / (1 + {EXP}(-x)); }",
    "max_number": "{T} {MAX_NUMBER}({T} a, {T} b) { return a > b ? a : b; }",
    "min_number": "{T} {MIN_NUMBER}({T} a, {T} b) { return a < b ? a : b; }",
    "maximum": "{T} {MAXIMUM}({T} a, {T} b) { return {WHERE}(a != a, a, {MAX_NUMBER}(a, b)); }",
    "minimum": "{T} {MINIMUM}({T} a, {T} b) { return {WHERE}(a != a, a, {MIN_NUMBER}(a, b)); }",
    "softplus": """\
{T} {SOFTPLUS}({T} x)
{
    const int wide = sizeof({T}) == 8;
    return wide ? {MAXIMUM}(x, 0) + {LOG1P}({EXP}(-{ABS}(x))) : softplus_f32(x);
}""",
    "clamp": "{T} {CLAMP}({T} x, {T} low, {T} high) { return {MINIMUM}({MAXIMUM}(x, low), high); }",
    "mod": """\
{T} {MOD}({T} a, {T} b) /* of b's sign */
{
    const {T} rest = {FMOD}(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}""",
}

_LIBM = {
    "sqrt": ("sqrt", 1), "exp": ("exp", 1), "exp2": ("exp2", 1), "log": ("log", 1),
    "log1p": ("log1p", 1), "log2": ("log2", 1), "abs": ("fabs", 1), "floor": ("floor", 1),
    "ceil": ("ceil", 1), "fmod": ("fmod", 2), "round": ("rint", 1), "tanh": ("tanh", 1),
    "sin": ("sin", 1), "cos": ("cos", 1), "tan": ("tan", 1), "atan": ("atan", 1), "erf": ("erf", 1),
    "cbrt": ("cbrt", 1), "atan2": ("atan2", 2), "pow": ("pow", 2), "copysign": ("copysign", 2),
}  # fmt: skip

_CHOICE = {
    "malloc": "void *malloc(size_t size);",  # not all of stdlib.h: a spec may be called Random
    "free": "void free(void *memory);",
    "WORD": """\
#define WORD_OF_f32 uint32_t
#define WORD_OF_f64 uint64_t
#define WORD JOIN(WORD_OF_, REAL)""",
    "WORD_OF": """\
static inline WORD WORD_OF(REAL x) { WORD bits; memcpy(&bits, &x, sizeof x); return bits; }""",
    "REAL_OF": """\
static inline REAL REAL_OF(WORD bits) { REAL x; memcpy(&x, &bits, sizeof x); return x; }""",
    "HIDDEN": """\
/* A number that the compiler does not know: else it makes two loops of `x > 0 ? x : 0`, or a choice
   where there is an instruction for the larger of two. */
static inline REAL HIDDEN(REAL x) { __asm__("" : "+m"(x)); return x; }""",
    "WHERE": """\
static inline REAL WHERE(int holds, REAL a, REAL b) /* no branch, so that loops become vectors */
{
    WORD x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = (x & -(WORD)holds) | (y & ((WORD)holds - 1));
    memcpy(&a, &x, sizeof a);
    return a;
}""",
    "where": "static inline double where(int holds, double a, double b) { return holds ? a : b; }",
}

_CONVERSIONS = {
    "bits_of": """\
static inline uint32_t bits_of(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }""",
    "float_of": """\
static inline float float_of(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }""",
    "load_f32": "static inline float load_f32(f32 x) { return x; }",
    "load_f64": "static inline double load_f64(f64 x) { return x; }",
    "load_bf16": """\
static inline float load_bf16(bf16 x) { return float_of((uint32_t)x << 16); }""",
    "load_f16": """\
static inline float load_f16(f16 x)
{
    const uint32_t size = (uint32_t)(x & 0x7fff) << 13, minus = (uint32_t)(x & 0x8000) << 16;
    const uint32_t finite = bits_of(float_of(size) * 0x1p112f); /* also right for subnormals */
    return float_of(minus | ((x & 0x7fff) >= 0x7c00 ? size | 0x7f800000 : finite));
}""",
    "store_f32": "static inline f32 store_f32(REAL x) { return (f32)x; }",
    "store_f64": "static inline f64 store_f64(REAL x) { return x; }",
    "round_f32": "static inline REAL round_f32(REAL x) { return (f32)x; }",
    "round_f64": "static inline double round_f64(double x) { return x; }",
    "upper_bf16": """\
static inline uint32_t upper_bf16(float x) /* its upper half: to nearest, ties to even; NaN stays */
{
    const uint32_t bits = bits_of(x), rounded = bits + 0x7fff + (bits >> 16 & 1);
    return x != x ? bits | 0x400000 : rounded;
}""",
    "round_bf16": """\
static inline float round_bf16(float x) { return float_of(upper_bf16(x) & 0xffff0000); }""",
    "cut_f32": "static inline f32 cut_f32(REAL x) { return (f32)x; }",
    "cut_f64": "static inline f64 cut_f64(REAL x) { return x; }",
    "cut_bf16": "static inline bf16 cut_bf16(float x) { return (bf16)(bits_of(x) >> 16); }",
    "store_bf16": """\
static inline bf16 store_bf16(float x) { return (bf16)(upper_bf16(x) >> 16); }""",
    "store_f16": """\
static inline f16 store_f16(float x) /* to nearest, ties to even; NaN stays NaN */
{
    const uint32_t bits = bits_of(x), size = bits & 0x7fffffff;
    const uint32_t huge = size > 0x7f800000 ? 0x7e00 : 0x7c00;
    const uint32_t tiny = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
    const uint32_t normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    const uint32_t half = size >= 0x47800000 ? huge : size < 0x38800000 ? tiny : normal;
    return (f16)(half | (bits >> 16 & 0x8000));
}""",
    "round_f16": "static inline float round_f16(float x) { return load_f16(store_f16(x)); }",
    "cut_f16": "#define cut_f16 store_f16",
    "LOAD": "#define LOAD(type, x) JOIN(load_, type)(x)",
    "STORE": "#define STORE(type, x) JOIN(store_, type)(x)",
    "CUT": "#define CUT(type, x) JOIN(cut_, type)(x) /* of what `type` has a number for */",
    "ROUND_TO_PARAM": "#define ROUND_TO_PARAM(x) R(JOIN(round_, PARAM)(x))",
    "ROUND_TO_BF16": "#define ROUND_TO_BF16(x) R(round_bf16(x))",
    "ROUND_TO_F16": "#define ROUND_TO_F16(x) R(round_f16(x))",
    "ROUND_TO_F32": "#define ROUND_TO_F32(x) R((float)(x))",
    "mixed": """\
static inline uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6b;
    x = (x ^ x >> 13) * 0xc2b2ae35;
    return x ^ x >> 16;
}""",
    "ROUND_STOCHASTIC": """\
/* up with the probability of the bits cut off, by a hash of (key, place) */
static inline float round_stochastic_bf16(float x, uint32_t key, int64_t i)
{
    const uint32_t far = mixed((uint32_t)((uint64_t)i >> 32));
    const uint32_t chance = mixed((uint32_t)i * 0x9e3779b1 + key + far) & 0xffff;
    return x - x == 0 ? float_of((bits_of(x) + chance) & 0xffff0000) : x;
}
#define round_stochastic_f32(x, key, i) (x)
#define round_stochastic_f64(x, key, i) (x)
#define round_stochastic_f16(x, key, i) (x)
#define ROUND_STOCHASTIC(x, key, i) JOIN(round_stochastic_, PARAM)(x, key, i)""",
}

_DTYPES = ("f32", "f64", "bf16", "f16")
_BY_DTYPE = {"LOAD": "load", "STORE": "store", "CUT": "cut", "ROUND_TO_PARAM": "round"}


def prelude(text: str) -> list[str]:
    """The definitions that `text` needs, each after those it needs itself."""
    definitions = _definitions()
    wanted: set[str] = set()
    stack = _words(text) & definitions.keys()
    while stack:
        name = stack.pop()
        wanted.add(name)
        stack |= (_needs(name, definitions[name]) & definitions.keys()) - wanted
    return [_HEAD, *(text for name, text in definitions.items() if name in wanted)]


def _needs(name: str, definition: str) -> set[str]:
    if name in _BY_DTYPE:
        return {f"{_BY_DTYPE[name]}_{dtype}" for dtype in _DTYPES}
    return _words(definition) - {name}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _definitions() -> dict[str, str]:
    """Name to text, in an order in which definitions come before their uses."""
    found = {name: _CONVERSIONS[name] for name in ("bits_of", "float_of")} | FLOAT32_FUNCTIONS
    for name, (libm, count) in _LIBM.items():
        args = [("x",), ("x", "y")][count - 1]
        takes, gives = ", ".join(f"REAL {a}" for a in args), ", ".join(args)
        short = f"{libm}_f32" if f"{libm}_f32" in FLOAT32_FUNCTIONS else f"{libm}f"
        body = f"sizeof(REAL) == 8 ? {libm}({gives}) : {short}({gives})"
        found[name.upper()] = f"static inline REAL {name.upper()}({takes}) {{ return {body}; }}"
    found["abs"] = "#define abs(x) fabs(x)"
    found["round"] = "#define round(x) rint(x)"
    found |= _CHOICE
    for name, text in _OWN.items():
        found[name.upper()] = "static inline " + _in_case(text, "REAL", lower=False)
        found[name] = "static inline " + _in_case(text, "double", lower=True)
    return found | _CONVERSIONS | CODE_FUNCTIONS | AFFINE_FUNCTIONS


def _in_case(text: str, real: str, *, lower: bool) -> str:
    """The definition for one arithmetic: {T} is its type, {SQRT} its word for sqrt."""

    def name(match: re.Match[str]) -> str:
        word = match[1]
        return real if word == "T" else word.lower() if lower else word

    return re.sub(r"\{([A-Z0-9_]+)\}", name, text)
