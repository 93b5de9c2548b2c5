"""The loss given to a step, for rules that read it: kept on the device like any state of all.

NormalizedGD(parameters).step(loss=loss)      a number, or a tensor of one, which is not waited for
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def keep_loss(groups: list[dict[str, Any]], loss: Tensor | float | None, optimizer: str) -> None:
    """Write the loss of this step where kernels read it; ValueError if there is none."""
    if loss is None:
        raise ValueError(f"{optimizer} reads the loss: call step(loss=...), or step(closure)")
    if isinstance(loss, Tensor) and loss.numel() != 1:
        raise ValueError(f"{optimizer} takes a loss of one number, not of {tuple(loss.shape)}")
    param: Tensor = next(param for group in groups for param in group["params"])
    kept = groups[0].get("loss")
    if kept is None:
        dtype = torch.float64 if param.dtype is torch.float64 else torch.float32
        kept = groups[0]["loss"] = torch.empty((), dtype=dtype, device=param.device)
    if isinstance(loss, Tensor):
        kept.copy_(loss.detach().reshape(()))
    else:
        kept.fill_(loss)
