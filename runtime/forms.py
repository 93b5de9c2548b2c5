"""What the torch forms of steps call: values of cells carried to elements, and back, and rounding.

    reduce(x, "amax", "chunks", 256)         one value per chunk, from a (rows, cols) tensor
    spread(scale, "chunks", 256, like=x)     each chunk's value at each of its elements
    quantile(x, 0.9, "rows")                 one value per row of every matrix in a stack

Cells are numbered along the flattened tensor; the last chunk, and tiles at the edges, may be
partial. Stacks (batch, rows, cols) go with one vector for each matrix: (batch, 1, cells).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from .random import mix

_NEUTRAL = {"sum": 0.0, "amax": float("-inf"), "amin": float("inf")}


def reduce(x: Tensor, how: str, level: str, *sizes: int) -> Tensor:
    """`sum`, `amax` or `amin` over every cell of a (rows, cols) tensor, as a vector."""
    cells = _cells(x, level, sizes, _NEUTRAL[how])
    found = getattr(torch, how)(cells, dim=-1)
    return found.unsqueeze(-2) if x.ndim > 2 else found


def spread(x: Tensor, level: str, *sizes: int, like: Tensor) -> Tensor:
    """A vector of one value per cell as a tensor of the shape of `like`."""
    rows, cols = like.shape[-2:]
    sizes = _fitting(level, sizes, rows, cols)
    x = x.squeeze(-2) if like.ndim > 2 else x
    match level, sizes:
        case "heads", (heads,):
            return x.repeat_interleave(rows // heads, -1).unsqueeze(-1).expand(like.shape)
        case "chunks", (length,):
            return x.repeat_interleave(length, -1)[..., : rows * cols].reshape(like.shape)
        case "tiles", (height, width):
            tiles = x.reshape(*x.shape[:-1], -(-rows // height), -(-cols // width))
            whole = tiles.repeat_interleave(height, -2).repeat_interleave(width, -1)
            return whole[..., :rows, :cols]
        case _:
            raise ValueError(f"no such cells: {level}{sizes}")


def _fitting(level: str, sizes: tuple[int, ...], rows: int, cols: int) -> tuple[int, ...]:
    """The sizes of a cell, those that reach beyond the tensor cut back to it."""
    if min(sizes) < 1:
        raise ValueError(f"{level} of {' x '.join(map(str, sizes))}")
    room = {"chunks": (rows * cols,), "tiles": (rows, cols)}.get(level, sizes)
    return tuple(max(1, min(size, most)) for size, most in zip(sizes, room, strict=True))


def _cells(x: Tensor, level: str, sizes: tuple[int, ...], neutral: float) -> Tensor:
    """One row per cell, padded with what does not count."""
    rows, cols = x.shape[-2:]
    sizes = _fitting(level, sizes, rows, cols)
    match level, sizes:
        case "heads", (heads,):
            if rows % heads:
                raise ValueError(f"{heads} heads do not divide {rows} rows")
            return x.reshape(*x.shape[:-2], heads, rows // heads * cols)
        case "chunks", (length,):
            whole = pad(x.flatten(-2), (0, -rows * cols % length), value=neutral)
            return whole.reshape(*x.shape[:-2], -(-rows * cols // length), length)
        case "tiles", (height, width):
            whole = pad(x, (0, -cols % width, 0, -rows % height), value=neutral)
            down, across = -(-rows // height), -(-cols // width)
            tiles = whole.reshape(*x.shape[:-2], down, height, across, width)
            return tiles.transpose(-3, -2).flatten(-4, -3).flatten(-2)
        case _:
            raise ValueError(f"no such cells: {level}{sizes}")


# ---------------------------------------------------------------- order statistics


def quantile(x: Tensor, fraction: Tensor | float, level: str) -> Tensor:
    """The value below which this fraction of a row, a column or a whole matrix lies, on a straight
    line between two; NaN where there is one, and for what is no fraction. (torch.quantile takes
    one fraction for the whole stack, and not too many numbers.)"""
    ordered = _lines(x, level).sort(dim=-1).values
    whole = torch.as_tensor(fraction, dtype=torch.float64, device=x.device)
    whole = whole.reshape(-1, 1, 1).expand(len(x), *ordered.shape[1:-1], 1)
    place = whole.clamp(0, 1).nan_to_num() * (ordered.shape[-1] - 1)
    share = (place - place.floor()).to(x.dtype)
    low = ordered.gather(-1, place.floor().long())
    high = ordered.gather(-1, place.ceil().long())
    between = torch.where((share == 0) | (low == high), low, low + share * (high - low))
    last = ordered[..., -1:]  # NaN is sorted behind all numbers
    nothing = last.isnan() | ~((whole >= 0) & (whole <= 1))
    return _cells_of_lines(torch.where(nothing, torch.nan, between), level)


def argmax(x: Tensor, level: str) -> Tensor:
    """Where the greatest value of a row, a column or a whole matrix is: the first, or NaN's."""
    places = _lines(x, level).argmax(dim=-1, keepdim=True)
    return _cells_of_lines(places.to(x.dtype), level)


def argmin(x: Tensor, level: str) -> Tensor:
    """Where the least value of a row, a column or a whole matrix is: the first, or NaN's."""
    places = _lines(x, level).argmin(dim=-1, keepdim=True)
    return _cells_of_lines(places.to(x.dtype), level)


def _lines(x: Tensor, level: str) -> Tensor:
    """A stack of matrices with what belongs together along the last axis."""
    match level:
        case "rows":
            return x
        case "cols":
            return x.mT
        case _:
            return x.flatten(-2).unsqueeze(-2)


def _cells_of_lines(x: Tensor, level: str) -> Tensor:
    """One value per line as one per row, per column or per matrix."""
    return x.mT if level == "cols" else x


# ---------------------------------------------------------------- codes


def byte_of(x: Tensor, zero: int) -> Tensor:
    """The whole number nearest to x + zero in [0, 255], of two the even one, as a code."""
    return ((x.to(torch.float32) + (12582912.0 + zero)).view(torch.int32) & 255).to(torch.uint8)


def pack(codes: Tensor, block: int, plane: int) -> Tensor:
    """4-bit codes as bytes: those of elements that lie `plane` apart in a block share one, whose
    upper half is the first one's. The last block is filled up with code 0."""
    whole = pad(codes.to(torch.uint8), (0, -codes.numel() % block)).view(-1, 2, plane)
    return (whole[:, 0] << 4 | whole[:, 1]).flatten()


def unpack(packed: Tensor, block: int, plane: int) -> Tensor:
    """The codes that bytes hold, those of the last block's filling too."""
    pairs = packed.view(-1, plane)
    return torch.stack((pairs >> 4, pairs & 15), dim=1).flatten()


def binade_of(x: Tensor) -> Tensor:
    """The greatest power of two not above x > 0."""
    mask = 0x7FF0000000000000 if x.dtype is torch.float64 else 0x7F800000
    return (x.view(_whole(x)) & mask).view(x.dtype)


def _whole(like: Tensor) -> torch.dtype:
    """Integers as wide as float32 or float64."""
    return torch.int64 if like.dtype is torch.float64 else torch.int32


# ---------------------------------------------------------------- piecewise affine arithmetic


def affine_product_of(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The sum of the piecewise linear logarithms that bits are (dsl/affine.py)."""
    exact = torch.as_tensor(a * b)
    return _size_or(_size(a, exact) + _size(b, exact) - _one(exact), exact)


def affine_quotient_of(a: Tensor | float, b: Tensor | float) -> Tensor:
    """Their difference."""
    exact = torch.as_tensor(a / b)
    return _size_or(_size(a, exact) - _size(b, exact) + _one(exact), exact)


def affine_root_of(x: Tensor) -> Tensor:
    """Half of it, rounded down."""
    exact = x.sqrt()
    return _size_or((_size(x, exact) + _one(exact)) >> 1, exact)


def _size(x: Tensor | float, like: Tensor) -> Tensor:
    """The bits of |x| as an integer."""
    return torch.as_tensor(x, dtype=like.dtype, device=like.device).abs().view(_whole(like)).long()


def _one(like: Tensor) -> int:
    return 0x3FF0000000000000 if like.dtype is torch.float64 else 0x3F800000


def _size_or(size: Tensor, exact: Tensor) -> Tensor:
    """The number of this size where the exact result is neither tiny, huge nor NaN; else that."""
    usual = (exact.abs() >= 2.0**-120) & (exact.abs() < 2.0**120)
    return torch.where(usual, size.to(_whole(exact)).view(exact.dtype).copysign(exact), exact)


# ---------------------------------------------------------------- units in the last place


_HALF_ULP = {torch.bfloat16: (2.0**-126, 2.0**-8), torch.float16: (2.0**-14, 2.0**-11)}


def half_ulp_of(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Half a unit in the last place of a parameter; of wide ones, which have no remainder, 1."""
    if dtype not in _HALF_ULP:
        return torch.ones_like(x)
    least, share = _HALF_ULP[dtype]
    return binade_of(x.abs().clamp(min=least)) * share


# ---------------------------------------------------------------- stochastic rounding

_MASK = 0xFFFFFFFF


def round_stochastic(x: Tensor, key: float, dtype: torch.dtype) -> Tensor:
    """Rounded to bfloat16, up with the probability of the bits cut off, by a hash of the key and
    the element's place; unchanged for other dtypes."""
    if dtype is not torch.bfloat16:
        return x
    place = torch.arange(x.numel(), device=x.device).view(x.shape)
    chance = mix((place & _MASK) * 0x9E3779B1 + int(key) + mix(place >> 32) & _MASK) & 0xFFFF
    bits = (x.view(torch.int32).to(torch.int64) & _MASK) + chance & 0xFFFF0000
    signed = torch.where(bits > 0x7FFFFFFF, bits - 0x100000000, bits).to(torch.int32)
    return torch.where(torch.isfinite(x), signed.view(torch.float32), x)
