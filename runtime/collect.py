"""From parameters to members of buckets: what is refused, and what lies scattered in memory.

Kernels walk over consecutive memory. A tensor that is not contiguous is copied, worked on, and
copied back; if all streams of an elementwise path lie in memory the same way (channels last, a
transposed layer with its gradient and states) nothing needs copying: their order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .batch import Bucket, Member
from .cells import COARSE, kind, length
from .dtypes import FLOATS
from .path import Finish, Matrix, Path, Sweep
from .target import target_of

_SUPPORTED = "float64, float32, bfloat16 and float16"


def refuse_param(param: Tensor, optimizer: str) -> None:
    """Raise for a parameter of a kind that no kernel handles."""
    if param.is_complex():
        raise TypeError(
            f"{optimizer} takes real parameters, not {param.dtype}; pass torch.view_as_real"
        )
    if param.layout is not torch.strided:
        raise TypeError(f"{optimizer} takes dense parameters, not {param.layout}")
    if param.dtype not in FLOATS:
        raise TypeError(f"{optimizer} takes parameters of {_SUPPORTED}, not {param.dtype}")
    if hasattr(param, "to_local"):
        raise TypeError(f"{optimizer} does not take sharded (DTensor) parameters yet")


def usable_grad(param: Tensor, optimizer: str) -> Tensor:
    """The parameter's gradient, if it is of a kind that kernels handle."""
    grad = param.grad
    assert grad is not None
    if grad.layout is not torch.strided:
        raise RuntimeError(
            f"{optimizer} does not support sparse gradients; use sparse=False in the embedding, or "
            "torch.optim.SparseAdam for it"
        )
    if param.device.type == "meta":
        raise RuntimeError(f"{optimizer}: a parameter is on the meta device; materialize it first")
    if grad.shape != param.shape or grad.device != param.device:
        raise RuntimeError(
            f"{optimizer}: a gradient of shape {tuple(grad.shape)} on {grad.device} does not go "
            f"with its parameter of shape {tuple(param.shape)} on {param.device}"
        )
    if grad.dtype not in FLOATS:
        raise RuntimeError(f"{optimizer} takes gradients of {_SUPPORTED}, not {grad.dtype}")
    return grad


def gather(
    buckets: dict[tuple[object, ...], Bucket], path: Path, member: Member, ordered: bool
) -> None:
    """Put a member into the bucket of its path, device, dtypes and alignment (and group, where that
    matters). `ordered`: the place of an element in its tensor matters (it is what random bits are
    drawn by)."""
    _straighten(path, member, ordered)
    param, grad = member.tensors["param"], member.tensors["grad"]
    aligned = target_of(param.device) != "triton" or _is_aligned(path, member)
    apart = member.group if _has_group_finish(path) else None
    place = (member.choice.path, param.device, param.dtype, grad.dtype, aligned, apart)
    bucket = buckets.get(place)
    if bucket is None:
        bucket = buckets[place] = Bucket(
            place, path, param.device, (param.dtype, grad.dtype), aligned, apart
        )
    bucket.members.append(member)


def _has_group_finish(path: Path) -> bool:
    return any(isinstance(step, Finish) and step.level == "group" for step in path.steps)


def write_back(buckets: Iterable[Bucket]) -> None:
    """Copy what was worked on as a copy to where it belongs."""
    for bucket in buckets:
        written = {name for step in bucket.path.steps for name in step.stores}
        for member in bucket.members:
            for name, original in member.originals.items():
                if name in written:
                    original.copy_(member.tensors[name])


# ---------------------------------------------------------------- memory


def _straighten(path: Path, member: Member, ordered: bool) -> None:
    """Replace scattered tensors by contiguous copies, unless order does not matter."""
    if all(tensor.is_contiguous() for tensor in member.tensors.values()):
        return
    scattered = [name for name, tensor in member.tensors.items() if not tensor.is_contiguous()]
    swept = [
        member.tensors[stream.name]
        for stream in path.streams
        if stream.name in member.tensors and kind(stream.level) == "element"
    ]
    if not ordered and _is_elementwise(path) and _lie_alike(swept):
        return
    for name in scattered:
        member.originals[name] = member.tensors[name]
        member.tensors[name] = member.tensors[name].contiguous()


def _is_elementwise(path: Path) -> bool:
    """Whether nothing on the path asks where in its tensor an element is."""
    if any(isinstance(step, Matrix) for step in path.steps):
        return False
    cells = [step.cell for step in path.steps if isinstance(step, Sweep) and step.cell]
    levels = {kind(stream.level) for stream in path.streams}
    return not cells and levels <= COARSE | {"element"}


def _lie_alike(tensors: Sequence[Tensor]) -> bool:
    """Whether all have the same strides and fill their memory without holes or overlaps."""
    first = tensors[0]
    if any(tensor.stride() != first.stride() for tensor in tensors):
        return False
    expected = 1
    for stride, size in sorted(zip(first.stride(), first.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _is_aligned(path: Path, member: Member) -> bool:
    """Whether full-width loads are allowed: addresses, and where cells begin, at 16 bytes."""
    cells = [step.cell for step in path.steps if isinstance(step, Sweep) and step.cell]
    if any(length(cell, member.fact, member.choice.sizes) % 16 for cell in cells):
        return False
    if any(kind(cell) == "cols" for cell in cells) and member.fact.cols % 16:
        return False
    return all(tensor.data_ptr() % 16 == 0 for tensor in member.tensors.values())
