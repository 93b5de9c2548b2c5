"""Two codes to a byte, as device functions for generated kernels.

    from stepc.runtime.packed import load_halves, load_planes

A byte has the codes of two elements that lie PLANE apart. Where these are half a block apart, a
tile has both side by side, on a last axis: then nothing crosses threads.
"""

# pyright: basic, reportCallIssue=false
# (device functions: their arguments have no Python types, and kernels call kernels)

from __future__ import annotations

from typing import TYPE_CHECKING

from .elementary import larger, smaller
from .kernel import kernel

if TYPE_CHECKING:
    import triton.language as tl

# ---------------------------------------------------------------- two codes to a byte


@kernel
def load_packed(at, index, inside, PLANE: tl.constexpr):
    """The 4-bit code of each element: the upper half of a byte is that of the first of two elements
    that lie PLANE apart."""
    place = index % (2 * PLANE)
    byte = tl.load(at + (index // (2 * PLANE) * PLANE + place % PLANE), mask=inside)
    return (byte.to(tl.uint32) >> tl.where(place < PLANE, 4, 0)) & 15


@kernel
def store_packed(
    at,
    start,
    end,
    inside,
    code,
    COUNT: tl.constexpr,
    BLOCK: tl.constexpr,
    PLANE: tl.constexpr,
):
    """Writes the codes of COUNT elements from `start` on; those beyond `end` as 0, to the end of
    their block."""
    bytes_at = tl.arange(0, COUNT // 2)
    there = None
    if end is not None:
        code = tl.where(inside, code, 0)
        there = bytes_at < tl.cdiv(end - start, BLOCK) * (BLOCK // 2)
    halves = tl.reshape(code.to(tl.uint32), (COUNT // (2 * PLANE), 2, PLANE))
    shift = tl.where(tl.arange(0, 2) == 0, 4, 0)[None, :, None]
    bytes = tl.sum(halves << shift, axis=1)
    packed = tl.reshape(bytes, (COUNT // 2,)).to(tl.uint8)
    tl.store(at + start // 2 + bytes_at, packed, mask=there)


# ---------------------------------------------------------------- both in one thread


@kernel
def load_planes(at, first, end, PLANE: tl.constexpr):
    """Elements that lie PLANE apart, side by side on a last axis."""
    second = first + PLANE
    one = tl.load(at + first, mask=None if end is None else first < end)
    other = tl.load(at + second, mask=None if end is None else second < end)
    return tl.join(one, other)


@kernel
def store_planes(at, first, end, values, PLANE: tl.constexpr):
    """The same the other way."""
    second = first + PLANE
    one, other = tl.split(values)
    tl.store(at + first, one, mask=None if end is None else first < end)
    tl.store(at + second, other, mask=None if end is None else second < end)


@kernel
def load_halves(at, begun):
    """The two codes of each byte; `begun` are the blocks that are there."""
    byte = tl.load(at, mask=begun).to(tl.uint32)
    return tl.join(byte >> 4, byte & 15)


@kernel
def store_halves(at, begun, inside, code):
    """Two codes to a byte; those of elements that are not `inside` as 0."""
    code = code.to(tl.uint32)
    if inside is not None:
        code = tl.where(inside, code, 0)
    one, other = tl.split(code)
    tl.store(at, (one * 16 + other).to(tl.uint8), mask=begun)


@kernel
def largest_along(x):
    """The largest over the second and third axis, which stay."""
    return tl.reduce(tl.reduce(x, 2, larger, keep_dims=True), 1, larger, keep_dims=True)


@kernel
def least_along(x):
    """The least over the second and third axis, which stay."""
    return tl.reduce(tl.reduce(x, 2, smaller, keep_dims=True), 1, smaller, keep_dims=True)
