"""The C target's loops over elements are made of vector instructions, and the functions written for
that are as exact as they say."""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from contract import Optimizer, classes

from stepc.compiler.emit.c_encode import map_lines, zero_of
from stepc.compiler.emit.c_prelude import prelude
from stepc.compiler.ir import Graph
from stepc.dsl.evaluate import ELEMENTARY
from stepc.dsl.storage import split
from stepc.runtime.c_compiler import BASE, find_compiler

COMPILER = find_compiler() or ("none",)


def is_gcc() -> bool:
    found = subprocess.run([*COMPILER, "-v"], capture_output=True, text=True)
    return "gcc version" in found.stderr


gcc_only = pytest.mark.skipif(
    platform.machine() != "x86_64" or not is_gcc(),
    reason="asks gcc on x86-64, where its vectors are known, what it did",
)

# What no vectors are made of: libm's functions of two arguments.
SCALAR = re.compile(r"\b(POW|ATAN2|FMOD)\(")
# What becomes a call of memcpy or memset.
COPIED = re.compile(
    r"^\s*(\w+\[j\] = (\w+_at\[\w+ \+ j\]|0);"
    r"|REAL \w+ = \w+_here\[block - group\];|\w+_kept\[block - group\] = \w+;|\})$"
)


def simd_loops(lines: list[str]) -> Iterator[tuple[int, int]]:
    """The lines, from 0, from each `#pragma omp simd` to the last of its loop; not of loops that
    fill a table once."""
    for k, line in enumerate(lines):
        if "#pragma omp simd" in line and "for (int64_t" in lines[k + 1]:
            n = k + 2
            while indent(lines[n]) > indent(line):
                n += 1
            yield k, n


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@gcc_only
@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_loops_over_elements_are_vectors(cls: Optimizer, tmp_path: Path) -> None:
    source = tmp_path / "kernels.c"
    source.write_text(cls.c_source)
    flags = [*BASE, "-march=x86-64-v4", "-fopenmp"]
    report = ["-fopt-info-vec-optimized", "-o", str(tmp_path / "kernels.so"), str(source)]
    made: set[int] = set()
    for dtype, size in (("f32", 4), ("bf16", 2))[: 1 + ("#if PARAM_BYTES" in cls.c_source)]:
        types = [f"-DPARAM={dtype}", f"-DGRAD={dtype}", f"-DPARAM_BYTES={size}"]
        command = [*COMPILER, *flags, *types, *report]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told = re.findall(r":(\d+):\d+: optimized: loop vectorized", done.stderr)
        made.update(map(int, told))
    lines = cls.c_source.splitlines()
    loops = list(simd_loops(lines))
    assert loops
    for first, last in loops:
        body = lines[first + 2 : last]
        if any(SCALAR.search(line) for line in body) or all(COPIED.match(line) for line in body):
            continue
        assert made & {*range(first + 1, last + 2)}, "\n".join(lines[first : last + 1])


# ---------------------------------------------------------------- functions

EXACT = {"EXP": 1.1, "LOG": 1.0, "SOFTPLUS": 3.0}  # units in the last place


def float64(name: str, x: np.ndarray) -> np.ndarray:
    match name:
        case "EXP":
            return np.exp(x)
        case "LOG":
            return np.log(x)
        case _:
            return np.logaddexp(x, 0)


@pytest.mark.skipif(COMPILER == ("none",), reason="no C compiler")
@pytest.mark.parametrize("variant", ["-march=native", "-O1"])
@pytest.mark.parametrize("name", EXACT)
def test_functions_of_float32_are_exact(name: str, variant: str, tmp_path: Path) -> None:
    loop = f"for (int i = 0; i < n; i++) y[i] = {name}(x[i]);"
    call = f"void all(int n, const REAL *x, REAL *y) {{ {loop} }}"
    source, library = tmp_path / "f.c", tmp_path / "f.so"
    source.write_text("\n".join([*prelude(call), call]))
    flags = [*BASE, variant, "-DPARAM=f32", "-DGRAD=f32"]
    subprocess.run([*COMPILER, *flags, "-o", str(library), str(source), "-lm"], check=True)
    bits = np.arange(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32)
    special = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-45, 3e38], np.float32)
    x = np.concatenate([bits.view(np.float32), special])
    got = np.empty_like(x)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, got)]
    ctypes.CDLL(str(library)).all(ctypes.c_int(len(x)), *pointers)
    with np.errstate(all="ignore"):
        want = float64(name, x.astype(np.float64))
        nearest = want.astype(np.float32)
        unit = np.spacing(np.maximum(np.abs(nearest), np.float32(2.0**-126)))
        off = np.abs(got - want) / unit
    both = np.isfinite(nearest) & np.isfinite(got)
    assert off[both].max() <= EXACT[name]
    large = np.abs(want) > 3.40282e38  # where rounding decides whether it is infinite
    np.testing.assert_array_equal(got[~both & ~large], nearest[~both & ~large])
    assert (np.abs(got[large]) > 3.4028e38).all() and (np.sign(got) == np.sign(nearest))[
        large
    ].all()


@pytest.mark.skipif(COMPILER == ("none",), reason="no C compiler")
@pytest.mark.parametrize("counts", [127, 32767])
@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_remainders_are_the_definition_s(dtype: str, counts: int, tmp_path: Path) -> None:
    """Of every number of 16 bits, and of those between it and the next: ties, all but ties."""
    count = f"R({counts}) * MIN_NUMBER(IN_HALF_ULPS(x[i] - r, r), 1)"
    loop = f"{{ const REAL r = ROUND_TO_PARAM(x[i]); y[i] = r; rest[i] = AWAY({count}); }}"
    head = "void all(int n, const REAL *x, REAL *y, int *rest)"
    call = f"{head} {{ for (int i = 0; i < n; i++) {loop} }}"
    source, library = tmp_path / "f.c", tmp_path / "f.so"
    source.write_text("\n".join([*prelude(call), call]))
    flags = [*BASE, "-march=native", f"-DPARAM={dtype}", "-DGRAD=f32"]
    subprocess.run([*COMPILER, *flags, "-o", str(library), str(source), "-lm"], check=True)
    below = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x1000, 0x0FFF, 0x1001, 0x2000, 0x3000, 0x5555]
    bits = np.arange(0, 1 << 16, dtype=np.uint32)[:, None] << 16 | np.array(below, np.uint32)
    x = bits.reshape(-1).view(np.float32)
    x = x[np.abs(x) < (3.3e38 if dtype == "bf16" else 65000)]
    got, rest = np.empty_like(x), np.empty(x.shape, np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, got, rest)]
    ctypes.CDLL(str(library)).all(ctypes.c_int(len(x)), *pointers)
    name = {"bf16": "bfloat16", "f16": "float16"}[dtype]
    narrow, want = split(x.astype(np.float64), name, counts.bit_length() + 1)
    np.testing.assert_array_equal(got, narrow)
    rounds = (dtype, counts) == ("f16", 32767)  # 15 bits times as many: float32 has but 24
    assert np.abs(rest - want).max() <= rounds
    assert np.mean(rest != want) < 0.002


@pytest.mark.skipif(COMPILER == ("none",), reason="no C compiler")
@pytest.mark.parametrize("signed", [True, False])
def test_codes_made_together_are_those_made_alone(signed: bool, tmp_path: Path) -> None:
    """Of numbers all over [-1, 1], and of all that lie within some steps of where codes change."""
    graph = Graph()
    node = graph.node("dynamic_code", graph.const(0), attr=(7, signed))
    made, zero = map_lines(node, "map"), zero_of(node)
    one = f"alone[i] = (uint8_t)place_of(x[i], &map, {zero});"
    lines = [
        "void all(int n, const REAL *x, uint8_t *alone, uint8_t *together) {",
        *made,
        f"for (int i = 0; i < n; i++) {one}",
        f"encode(together, x, 1, n, &map, {zero});",
        "}",
    ]
    source, library = tmp_path / "f.c", tmp_path / "f.so"
    source.write_text("\n".join([*prelude("\n".join(lines)), *lines]))
    flags = [*BASE, "-march=native", "-DPARAM=f32", "-DGRAD=f32"]
    subprocess.run([*COMPILER, *flags, "-o", str(library), str(source), "-lm"], check=True)
    encode = ctypes.CDLL(str(library)).all

    def codes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        alone, together = np.empty((2, len(x)), np.uint8)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, alone, together)]
        encode(ctypes.c_int(len(x)), *pointers)
        return alone, together

    sizes = np.arange(0, 0x3F800001, 2039, dtype=np.uint32)
    alone, _ = codes(sizes.view(np.float32))
    low, high = (sizes[k][np.diff(alone) != 0].copy() for k in (slice(-1), slice(1, None)))
    while (high - low).max() > 1:  # bisect: where each code begins
        middle = (low + high) // 2
        begun = codes(middle.view(np.float32))[0] == codes(high.view(np.float32))[0]
        low, high = np.where(begun, low, middle), np.where(begun, middle, high)
    assert len(high) == (128 if signed else 255)
    near = high.astype(np.int64)[:, None] + np.arange(-64, 64)
    sizes = np.concatenate([sizes, near[near <= 0x3F800001]])  # a ratio may be a step above 1
    x = sizes.astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(*codes(np.concatenate([x, -x])))


AFFINE = {  # functions of C, the interpreter's operation, and its exact counterpart
    "AFFINE_PRODUCT": ("affine_product", np.multiply),
    "AFFINE_SCALED": ("affine_product", np.multiply),
    "AFFINE_QUOTIENT": ("affine_quotient", np.divide),
    "AFFINE_DIVIDED": ("affine_quotient", np.divide),
    "AFFINE_ROOT": ("affine_root", np.sqrt),
}
BORDERS = [
    0, 1, 0x7FFFFF, 0x800000, 0x800001, 0x037FFFFF, 0x03800000, 0x1FE00000, 0x20000000, 0x20000001,
    0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x5F7FFFFF, 0x5F800000, 0x7B7FFFFF, 0x7B800000, 0x7F7FFFFF,
    0x7F800000, 0x7FC00000,
]  # fmt: skip


@pytest.mark.skipif(COMPILER == ("none",), reason="no C compiler")
@pytest.mark.parametrize("name", AFFINE)
def test_affine_functions_mean_what_the_interpreter_says(name: str, tmp_path: Path) -> None:
    """To the bit where the affine result is taken, two units beside it where the exact one is.
    A subnormal number counts as one less than a binade below the least normal one."""
    sizes = np.concatenate([BORDERS, np.random.default_rng(3).integers(0, 1 << 31, 240)])
    numbers = np.concatenate([sizes, sizes | 1 << 31]).astype(np.uint32).view(np.float32)
    a, b = (x.ravel() for x in np.meshgrid(numbers, numbers, indexing="ij"))
    takes = [a] if name == "AFFINE_ROOT" else [a, b]
    op, exactly = AFFINE[name]
    links = [f"AFFINE_OF(x{k}[i])" for k in range(len(takes))]
    if name in ("AFFINE_SCALED", "AFFINE_DIVIDED"):
        links[1] = "x1[i]"
    got = called(f"VALUE_OF({name}({', '.join(links)}))", takes, tmp_path)
    with np.errstate(all="ignore"):
        exact = exactly(*takes)
        usual = (abs(exact) >= 2.0**-120) & (abs(exact) < 2.0**120)
        if name == "AFFINE_DIVIDED":
            usual &= (abs(b) < 2.0**126) & np.isfinite(1 / b)  # it multiplies by the inverse
        normal = np.all([abs(x) >= 2.0**-126 for x in takes], axis=0)
        shown = [np.copysign(np.maximum(abs(x), np.float32(2.0**-126)), x) for x in takes]
        want = ELEMENTARY[op](*(x.astype(np.float64) for x in shown))
        near = want.astype(np.float32)
        near = np.where(abs(near) > abs(want), np.nextafter(near, np.float32(0)), near)
        np.testing.assert_array_equal(got[usual & normal], near[usual & normal])
        rough = usual & ~normal
        off = np.log2(got[rough].astype(np.float64) / want[rough])
        assert (rough.any() or name == "AFFINE_ROOT") and (abs(off) <= 1).all()
        unit = np.spacing(np.maximum(abs(exact), np.float32(2.0**-126)))
        near = (got == exact) | (abs(got - exact) <= 2 * unit) | np.isnan(got) & np.isnan(exact)
        if name == "AFFINE_DIVIDED":
            near |= (abs(b) >= 2.0**126) | np.isinf(1 / b)
    assert (near | usual).all()


def called(call: str, takes: list[np.ndarray], folder: Path) -> np.ndarray:
    """What an expression of the C target gives for float32 numbers x0[i], x1[i], ..."""
    words = [f"x{k}" for k in range(len(takes))]
    head = f"void all(int n, REAL *y, {', '.join(f'const REAL *{x}' for x in words)})"
    text = f"{head} {{ for (int i = 0; i < n; i++) y[i] = {call}; }}"
    source, library = folder / "f.c", folder / "f.so"
    source.write_text("\n".join([*prelude(text), text]))
    flags = [*BASE, "-march=native", "-DPARAM=f32", "-DGRAD=f32"]
    subprocess.run([*COMPILER, *flags, "-o", str(library), str(source), "-lm"], check=True)
    result = np.empty_like(takes[0])
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (result, *takes)]
    ctypes.CDLL(str(library)).all(ctypes.c_int(len(result)), *pointers)
    return result
